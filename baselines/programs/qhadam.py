"""QHAdam: Adam, with each of its two averages mixed with its newest value.

Convention: the averages are corrected for their start before the mixing, eps outside the root; nu1 = 0.7, nu2 = 1
and the decays are what the authors recommend.
Family: adaptive
Source: Ma and Yarats 2019, arXiv:1810.06801, section 4.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
nu1 = tunable(0.7, low=0.0, high=1.0)
nu2 = 1.0
beta1 = tunable(0.995, low=0.5, high=0.9995, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)

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
    numerator = interp(g, m_hat, nu1)
    square_mix = interp(g2, v_hat, nu2)
    root = sqrt(square_mix)
    denominator = root + eps
    direction = numerator / denominator
    update = direction * lr
    return update
