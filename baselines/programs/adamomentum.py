"""AdaMomentum: Adam with the average of the squared average of gradients in its denominator.

Convention: eps is added to the average of squares at every step, and so accumulates; none stands in the denominator.
Family: adaptive
Source: Wang et al. 2021, arXiv:2106.11514.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)

def step(g, lr, t):
    m = interp(g, m, beta1)
    m2 = square(m)
    v = interp(m2, v, beta2)
    v = v + eps
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    direction = m_hat / root
    update = direction * lr
    return update
