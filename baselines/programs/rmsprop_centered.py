"""Centered RMSProp: each coordinate divided by the standard deviation of its gradients.

Convention: eps inside the root (Graves, optax); torch has it outside. Neither average is corrected for its start.
Family: adaptive
Optax: optax.rmsprop
Source: Graves 2013, arXiv:1308.0850, equations 38 to 41 without their momentum; equals optax.rmsprop(centered=True).
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
decay = tunable(0.9, low=0.5, high=0.9999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)

def step(g, lr):
    m = interp(g, m, decay)
    g2 = square(g)
    v = interp(g2, v, decay)
    m2 = square(m)
    variance = v - m2
    padded = variance + eps
    root = sqrt(padded)
    direction = g / root
    update = direction * lr
    return update
