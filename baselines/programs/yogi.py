"""Yogi: Adam whose average of squares moves by a fraction of g squared only, so that it cannot forget fast.

Convention: the paper's Algorithm 2, nothing is corrected for its start; m starts at 0, v at 1e-6 (TensorFlow).
The program yogi_optax corrects both.
Family: adaptive
Source: Zaheer et al. 2018, NeurIPS, "Adaptive methods for nonconvex optimization", Algorithm 2.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 0.001
m = zeros_like(w)
v = full_like(w, 1e-06)

def step(g, lr):
    m = interp(g, m, beta1)
    g2 = square(g)
    gap = v - g2
    side = sign(gap)
    share = 1.0 - beta2
    change = share * g2
    change = change * side
    v = v - change
    root = sqrt(v)
    denominator = root + eps
    direction = m / denominator
    update = direction * lr
    return update
