"""Optimistic Adam: twice Adam's direction, less the direction of the step before.

Convention: the paper's, plain Adam with eps outside the root; the direction before the first step counts as 0.
Optax's two versions put Nesterov's momentum inside and start otherwise: optimistic_adam_optax, optimistic_adam_v2.
Family: adaptive
Source: Daskalakis, Ilyas, Syrgkanis and Zeng 2018, arXiv:1711.00141, Algorithm 1.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)
previous = zeros_like(w)

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
    twice = direction * 2.0
    change = twice - previous
    update = change * lr
    previous = direction
    return update
