"""RMSProp with eps inside the root.

Convention: eps inside the root (the default of optax and of TensorFlow), where 1e-8 outweighs gradients below 1e-4;
the program rmsprop has it outside. The average starts at 0 and is not corrected.
Family: adaptive
Optax: optax.rmsprop
Source: Tieleman and Hinton 2012, Coursera lecture 6.5; equals optax.rmsprop.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
decay = tunable(0.9, low=0.5, high=0.9999, scale="log1m")
eps = 1e-08
v = zeros_like(w)

def step(g, lr):
    g2 = square(g)
    v = interp(g2, v, decay)
    padded = v + eps
    root = sqrt(padded)
    direction = g / root
    update = direction * lr
    return update
