"""Yogi as optax has it: corrected as Adam is, and both averages start at 1e-6.

Convention: m and v start at 1e-6 and are divided by 1 - beta ** t all the same; eps outside the root.
Family: adaptive
Optax: optax.yogi
Source: Zaheer et al. 2018, NeurIPS, "Adaptive methods for nonconvex optimization"; equals optax.yogi.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 0.001
m = full_like(w, 1e-06)
v = full_like(w, 1e-06)

def step(g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    gap = v - g2
    side = sign(gap)
    share = 1.0 - beta2
    change = share * g2
    change = change * side
    v = v - change
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    update = direction * lr
    return update
