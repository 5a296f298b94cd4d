"""AdaMod: Adam whose step sizes are held below their own average.

Convention: the paper's algorithm: both moments corrected for their start, eps outside the root; the average of the
step sizes starts at 0, is not corrected and holds the learning rate. No weight decay.
Family: adaptive
Source: Ding, Ren, Luo and Sun 2019, arXiv:1910.12249, algorithm 1.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
beta3 = tunable(0.999, low=0.8, high=0.99999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)
s = zeros_like(w)

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
    rates = lr / denominator
    s = interp(rates, s, beta3)
    bounded = minimum(rates, s)
    update = bounded * m_hat
    return update
