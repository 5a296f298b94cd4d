"""AdamC: AdamW whose weight decay goes with the square of the learning rate.

Convention: decay_ratio is the paper's decay divided by the peak of the schedule, so lr · lr · decay_ratio is its
lr · decay · lr / peak. The paper corrects the layers before a normalisation only; here all leaves.
Family: adaptive
Source: Defazio 2025, arXiv:2506.02285.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
decay_ratio = tunable(0.1, low=0.001, high=1000.0, scale="log")
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
    decay_rate = decay_ratio * lr
    decay = w * decay_rate
    direction = direction + decay
    update = direction * lr
    return update
