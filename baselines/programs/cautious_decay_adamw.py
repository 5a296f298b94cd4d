"""AdamW with cautious weight decay: only weights that the step moves towards 0 decay.

Convention: decay where step and weight have the same sign or one is 0, times the learning rate; Adam with both
corrections and eps outside the root.
Family: adaptive
Source: Chen et al. 2025, arXiv:2510.12402.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
weight_decay = tunable(0.0001, low=1e-05, high=3.0, scale="log")
m = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    product = direction * w
    mask = product >= 0.0
    decay = w * weight_decay
    decay = decay * mask
    direction = direction + decay
    update = direction * lr
    return update
