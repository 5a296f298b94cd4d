"""Nesterov's accelerated gradient for convex functions: momentum (t - 1) / (t + 2), growing towards 1.

Convention: the parameters hold y, the point ahead, where the gradient is taken. The velocity v is the last
step of the sequence x behind it, x = y - lr * g, so the learning rate is inside v. No strong convexity is known.
Family: momentum
Source: Nesterov 1983, Soviet Math. Dokl. 27; the weights are those of Su, Boyd and Candes 2014, arXiv:1503.01243.
"""
learning_rate = tunable(0.05, low=0.0003, high=3.0, scale="log")
v = zeros_like(w)

def step(g, lr, t):
    descent = g * lr
    t_minus_2 = t - 2.0
    t_minus_1 = t - 1.0
    t_plus_1 = t + 1.0
    t_plus_2 = t + 2.0
    mu_before = t_minus_2 / t_plus_1
    mu = t_minus_1 / t_plus_2
    past = mu_before * v
    v = past + descent
    ahead = mu * v
    update = descent + ahead
    return update
