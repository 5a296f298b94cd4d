"""Adadelta with the wrong sign: what optax does where no learning rate is given.

Convention: optax.adadelta() leaves the sign of its direction as it is, and adding that climbs. Kept to show it;
the program adadelta descends. With a learning rate of 1 and a constant schedule this is that optimizer.
Family: adaptive
Optax: optax.adadelta
Source: Zeiler 2012, arXiv:1212.5701; equals optax.adadelta(learning_rate=None).
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
rho = tunable(0.9, low=0.5, high=0.9999, scale="log1m")
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
    climb = direction * lr
    update = negative(climb)
    return update
