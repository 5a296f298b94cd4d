"""Gradient descent with the step that would end a problem whose lowest loss is known, as far as a bound lets it.

Convention: the paper's: the step is min((loss - f_min) / (c |g|^2), learning rate), the norm over the whole model. In
optax c is called scaling, and the learning rate is max_learning_rate times scaling; it takes no step where |g|^2 is
below 2e-16, here only where it is 0.
Family: gradient descent
Optax: optax.polyak_sgd
Source: Loizou et al. 2021, arXiv:2002.10542, SPS_max; equals optax.polyak_sgd.
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
c = tunable(0.5, low=0.1, high=1.0)
f_min = 0.0

def step(g, lr, loss):
    gap = loss - f_min
    size = dot(g, g)
    size = size * c
    length = gap / size
    length = minimum(length, lr)
    update = g * length
    return update
