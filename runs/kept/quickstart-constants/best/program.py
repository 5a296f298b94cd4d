"""found_4239: adamw with other constants by Pride.

Candidate 4239 of the run 'quickstart-constants', seed 0. Score on the selection seeds +0.0992 (0 is tuned AdamW, 0.1 is 10 % less loss).
Confirmed on the test part in 10 fresh seeds: +0.0658 (95 % interval -0.0105 to +0.1149).
"""
learning_rate = tunable(0.0987817404190092, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.6369, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.6851725051474741, low=0.8, high=0.9999, scale="log1m")
eps = 5.8544488017501725e-09
weight_decay = tunable(0.006211043733325382, low=1e-05, high=3.0, scale="log")
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
