"""RMSProp with heavy-ball momentum on its directions.

Convention: the buffer sums directions and the learning rate multiplies it afterwards, so a schedule acts at once
(torch); eps outside the root. The program rmsprop_momentum_optax has the learning rate inside the buffer.
Family: adaptive
Source: Tieleman and Hinton 2012, Coursera lecture 6.5; the rule of torch.optim.RMSprop(momentum=0.9).
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
    root = sqrt(v)
    denominator = root + eps
    direction = g / denominator
    past = momentum * buffer
    buffer = direction + past
    update = buffer * lr
    return update
