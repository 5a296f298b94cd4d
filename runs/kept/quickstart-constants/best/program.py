"""found_17: adamw with other constants by Pride.

Candidate 17 of the run 'quickstart', seed 0. Score on the selection seeds +0.0026 (0 is tuned AdamW, 0.1 is 10 % less loss).
Confirmed on the test part in 10 fresh seeds: +0.0453 (95 % interval -0.0464 to +0.1120).
"""
learning_rate = tunable(0.1103, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.614934766867073, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.6936, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
weight_decay = tunable(1.361e-07, low=1e-05, high=3.0, scale="log")
m = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr, t):
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
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
