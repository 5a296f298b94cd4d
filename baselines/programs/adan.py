"""Adan: Adam on the gradient and its change, which is Nesterov's momentum without a second gradient.

Convention: the authors' code. A beta is the weight of the past (1 minus the paper's), so changes of the gradient count
beta2 times; all averages are corrected for their start; decay is the proximal step, a division by 1 + lr * decay.
The first change counts as 0.
Family: adaptive
Source: Xie et al. 2022, arXiv:2208.06677, Algorithm 1.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.98, low=0.5, high=0.999, scale="log1m")
beta2 = tunable(0.92, low=0.5, high=0.99, scale="log1m")
beta3 = tunable(0.99, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
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
    ahead = beta2 * change
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
    root = sqrt(n_hat)
    denominator = root + eps
    d_ahead = beta2 * d_hat
    m_ahead = m_hat + d_ahead
    direction = m_ahead / denominator
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    shrink = lr * weight_decay
    shrink = shrink + 1.0
    update = update / shrink
    return update
