"""Grams: the size of Adam's step with the sign of the gradient.

Convention: Adam with both corrections and eps outside the root; no weight decay, the default of the authors' code.
Family: sign
Source: Cao, Li and Song 2024, arXiv:2412.17107.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-06
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
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    size = abs(direction)
    heading = sign(g)
    direction = size * heading
    update = direction * lr
    return update
