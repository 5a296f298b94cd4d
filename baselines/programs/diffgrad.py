"""diffGrad: Adam slowed down, by half at most, where the gradient hardly changes.

Convention: the paper's rule, both moments corrected and eps outside the corrected root (the authors' code adds it
before); the gradient before the first counts as 0.
Family: adaptive
Source: Dubey et al. 2019, arXiv:1909.11015.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)
g_prev = zeros_like(w)

def step(g, lr, t):
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
    change = g_prev - g
    size = abs(change)
    opposite = negative(size)
    fading = exp(opposite)
    odds = 1.0 + fading
    friction = 1.0 / odds
    g_prev = g
    direction = direction * friction
    update = direction * lr
    return update
