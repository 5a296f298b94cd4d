"""Adadelta: gradients in units of past steps, the root of averaged squared steps over that of squared gradients.

Convention: eps inside both roots. The paper has no learning rate; here it multiplies the step at the end, so x
averages the steps before it (optax, torch).
Family: adaptive
Optax: optax.adadelta
Source: Zeiler 2012, arXiv:1212.5701, Algorithm 1; equals optax.adadelta(1.0, rho=0.95).
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
rho = tunable(0.95, low=0.5, high=0.9999, scale="log1m")
eps = 1e-06
v = zeros_like(w)
x = zeros_like(w)

def step(g, lr):
    g2 = square(g)
    v = interp(g2, v, rho)
    v_padded = v + eps
    x_padded = x + eps
    v_root = sqrt(v_padded)
    x_root = sqrt(x_padded)
    ratio = x_root / v_root
    direction = ratio * g
    direction2 = square(direction)
    x = interp(direction2, x, rho)
    update = direction * lr
    return update
