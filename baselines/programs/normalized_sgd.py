"""Normalized gradient descent: the direction of the gradient, with the learning rate as the length of the step.

Convention: the norm is of the whole model; no step where it is 0.
Family: gradient descent
Optax: optax.contrib.normalize
Source: Hazan, Levy and Shalev-Shwartz 2015, arXiv:1507.02030.
"""
learning_rate = tunable(0.05, low=0.0005, high=5.0, scale="log")

def step(g, lr):
    g_norm = global_norm(g)
    length = lr / g_norm
    update = g * length
    return update
