"""found_22696: evolved from adamw by Pride.

Candidate 22696 of the run 'quickstart', seed 0. Score on the selection seeds +0.1671 (0 is tuned AdamW, 0.1 is 10 % less loss).
Confirmed on the test part in 10 fresh seeds: +0.1308 (95 % interval +0.0652 to +0.2065).
"""
learning_rate = tunable(0.1168, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.6369, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.5443495882322904, low=0.8, high=0.9999, scale="log1m")
eps = 8.509177074244776e-09
weight_decay = tunable(0.0102, low=1e-05, high=3.0, scale="log")
m = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    c1 = 1.0 - eps
    m_hat = m / c1
    c2 = 1.0 - w
    v_hat = v / c2
    root = sqrt(v_hat)
    direction = m_hat / root
    decay = 1.7427190703906874 * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
