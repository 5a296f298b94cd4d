"""found_20085: evolved from adamw by Pride.

Candidate 20085 of the run 'quickstart', seed 0. Score on the selection seeds +0.0547 (0 is tuned AdamW, 0.1 is 10 % less loss).
Confirmed on the test part in 10 fresh seeds: +0.0946 (95 % interval +0.0216 to +0.2509).
"""
learning_rate = tunable(0.1103, low=3e-05, high=0.3, scale="log")
beta2 = tunable(0.6936, low=0.8, high=0.9999, scale="log1m")
eps = 1.4075700484985711e-08
m = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr):
    m = interp(g, m, beta2)
    g2 = square(g)
    v = interp(g2, v, beta2)
    lr = log1p(lr)
    c1 = 1.0 - eps
    m_hat = m / c1
    c2 = 1.0 - w
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    update = direction * lr
    return update
