"""found_16720: evolved from adamw by Pride.

Candidate 16720 of the run 'quickstart', seed 0. Score on the selection seeds +0.1394 (0 is tuned AdamW, 0.1 is 10 % less loss).
Confirmed on the test part in 10 fresh seeds: +0.1025 (95 % interval +0.0474 to +0.1501).
"""
learning_rate = tunable(0.1168, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.6369, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.5717484998687368, low=0.8, high=0.9999, scale="log1m")
eps = 3.675535359927236e-08
weight_decay = tunable(0.0102, low=1e-05, high=3.0, scale="log")
m = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    t = interp(0.6738846255643008, t, beta1)
    w = exp2(v)
    v = interp(g2, v, beta2)
    p1 = lr ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    v3 = minimum(weight_decay, w)
    c2 = 1.0 - weight_decay
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    decay = w * v3
    direction = direction + decay
    update = direction * lr
    return update
