"""Adam-atan2: Adam with the angle atan2(m, root of v) in place of the quotient, which needs no eps.

Convention: both moments corrected for their start; times 1.27, about 4 / pi, so that equal moments make a step of the
learning rate, as in the public torch code (its a = 1.27, b = 1). No weight decay.
Family: adaptive
Source: Everett et al. 2024, arXiv:2407.05872; https://github.com/lucidrains/adam-atan2-pytorch.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
scale = 1.27
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
    angle = atan2(m_hat, root)
    direction = angle * scale
    update = direction * lr
    return update
