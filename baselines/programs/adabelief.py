"""AdaBelief: Adam that divides by how far gradients fall from their average, not by their size.

Convention: the paper's single eps of 1e-8, added outside the root and to s at every step; in s it accumulates, up to
eps / (1 - beta2). The later code of the authors recommends 1e-16, which is the program adabelief_optax.
Family: adaptive
Source: Zhuang et al. 2020, arXiv:2010.07468, Algorithm 2; equals optax.adabelief(eps=1e-8, eps_root=1e-8).
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
s = zeros_like(w)

def step(g, lr, t):
    m = interp(g, m, beta1)
    surprise = g - m
    surprise2 = square(surprise)
    s = interp(surprise2, s, beta2)
    s = s + eps
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    s_hat = s / c2
    root = sqrt(s_hat)
    denominator = root + eps
    direction = m_hat / denominator
    update = direction * lr
    return update
