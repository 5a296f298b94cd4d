"""PowerSign: the gradient, e times larger where it agrees with the sign of its average and e times smaller where not.

Convention: the exponent is sign(g) · sign(m) with no decay over time (the paper's f(t) = 1), base e by default.
Family: sign
Source: Bello et al. 2017, arXiv:1709.07417, section 4.3.
"""
learning_rate = tunable(0.03, low=0.0003, high=3.0, scale="log")
base = tunable(2.718281828459045, low=1.1, high=20.0, scale="log")
beta = tunable(0.9, low=0.5, high=0.99, scale="log1m")
m = zeros_like(w)

def step(g, lr):
    m = interp(g, m, beta)
    now = sign(g)
    past = sign(m)
    agreement = now * past
    size = base ** agreement
    direction = size * g
    update = direction * lr
    return update
