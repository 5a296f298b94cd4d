"""AdamW: Adam with decoupled weight decay.

Convention: decay times the learning rate (optax, torch); the paper multiplies it with the schedule's
shape only. eps outside the root and after the correction.
Family: adaptive
Optax: optax.adamw
Source: Loshchilov and Hutter 2019, arXiv:1711.05101; equals optax.adamw.
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
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
