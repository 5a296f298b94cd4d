"""AddSign: the gradient, doubled where it agrees with the sign of its average and dropped where not.

Convention: the factor is alpha + sign(g) · sign(m) with alpha = 1 and no decay over time (the paper's f(t) = 1).
Family: sign
Source: Bello et al. 2017, arXiv:1709.07417, section 4.3.
"""
learning_rate = tunable(0.03, low=0.0003, high=3.0, scale="log")
alpha = tunable(1.0, low=0.1, high=10.0, scale="log")
beta = tunable(0.9, low=0.5, high=0.99, scale="log1m")
m = zeros_like(w)

def step(g, lr):
    m = interp(g, m, beta)
    now = sign(g)
    past = sign(m)
    agreement = now * past
    size = alpha + agreement
    direction = size * g
    update = direction * lr
    return update
