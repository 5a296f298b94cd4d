"""Heavy ball: SGD along a running sum of gradients.

Convention: m = momentum * m + g, the learning rate outside (optax.sgd, torch with dampening 0);
the averaging form, m = momentum * m + (1 - momentum) * g, needs a learning rate 1 / (1 - momentum) larger.
Family: momentum
Optax: optax.sgd
Source: Polyak 1964, doi:10.1016/0041-5553(64)90137-5; equals optax.sgd(momentum=0.9).
"""
learning_rate = tunable(0.05, low=0.0003, high=3.0, scale="log")
momentum = tunable(0.9, low=0.5, high=0.995, scale="log1m")
m = zeros_like(w)

def step(g, lr):
    past = momentum * m
    m = g + past
    update = m * lr
    return update
