"""Adan as optax has it: changes of the gradient count little.

Convention: optax weighs changes with 1 - beta2 (0.08), where the authors' code weighs them with beta2 (0.92); decay
times the learning rate, as in AdamW; 1e-8 inside the root as well as outside.
Family: adaptive
Optax: optax.adan
Source: Xie et al. 2022, arXiv:2208.06677; equals optax.adan.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.98, low=0.5, high=0.999, scale="log1m")
beta2 = tunable(0.92, low=0.5, high=0.99, scale="log1m")
beta3 = tunable(0.99, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
eps_root = 1e-08
weight_decay = tunable(0.02, low=1e-05, high=3.0, scale="log")
m = zeros_like(w)
d = zeros_like(w)
n = zeros_like(w)
g_before = copy(g)

def step(w, g, lr, t):
    change = g - g_before
    g_before = g
    m = interp(g, m, beta1)
    d = interp(change, d, beta2)
    share = 1.0 - beta2
    ahead = share * change
    g_ahead = g + ahead
    g2 = square(g_ahead)
    n = interp(g2, n, beta3)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    d_hat = d / c2
    p3 = beta3 ** t
    c3 = 1.0 - p3
    n_hat = n / c3
    padded = n_hat + eps_root
    root = sqrt(padded)
    denominator = root + eps
    d_ahead = share * d_hat
    m_ahead = m_hat + d_ahead
    direction = m_ahead / denominator
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
