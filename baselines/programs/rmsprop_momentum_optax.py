"""RMSProp with heavy-ball momentum on its steps.

Convention: the buffer sums steps, each with the learning rate of its time (optax, TensorFlow); eps inside the root.
Family: adaptive
Optax: optax.rmsprop
Source: Tieleman and Hinton 2012, Coursera lecture 6.5; equals optax.rmsprop(momentum=0.9).
"""
learning_rate = tunable(0.001, low=1e-05, high=0.1, scale="log")
decay = tunable(0.9, low=0.5, high=0.9999, scale="log1m")
momentum = tunable(0.9, low=0.5, high=0.99, scale="log1m")
eps = 1e-08
v = zeros_like(w)
buffer = zeros_like(w)

def step(g, lr):
    g2 = square(g)
    v = interp(g2, v, decay)
    padded = v + eps
    root = sqrt(padded)
    direction = g / root
    descent = direction * lr
    past = momentum * buffer
    buffer = descent + past
    return buffer
