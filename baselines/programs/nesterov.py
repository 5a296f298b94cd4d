"""Nesterov momentum: heavy ball with the gradient taken one step ahead.

Convention: the form of optax and torch, g + momentum * m with the new m and a constant momentum.
It equals the lookahead form with the parameters stored at the lookahead point.
Family: momentum
Optax: optax.sgd
Source: Nesterov 1983; Sutskever et al. 2013; equals optax.sgd(momentum=0.9, nesterov=True).
"""
learning_rate = tunable(0.05, low=0.0003, high=3.0, scale="log")
momentum = tunable(0.9, low=0.5, high=0.995, scale="log1m")
m = zeros_like(w)

def step(g, lr):
    past = momentum * m
    m = g + past
    ahead = momentum * m
    direction = g + ahead
    update = direction * lr
    return update
