"""RMSProp: each coordinate divided by the root of an average of its squared gradients.

Convention: eps outside the root (torch, most textbooks). Optax puts it inside by default; this is
optax.rmsprop(eps_in_sqrt=False). The average starts at 0 and is not corrected.
Family: adaptive
Source: Tieleman and Hinton 2012, Coursera lecture 6.5.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
decay = tunable(0.9, low=0.5, high=0.9999, scale="log1m")
eps = 1e-08
v = zeros_like(w)

def step(g, lr):
    g2 = square(g)
    v = interp(g2, v, decay)
    root = sqrt(v)
    denominator = root + eps
    direction = g / denominator
    update = direction * lr
    return update
