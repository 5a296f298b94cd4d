"""Optimistic gradient descent: steps where the next gradient is expected, g plus what g has just changed by.

Convention: optax's generalised form, (alpha + beta) g - beta times the previous gradient; with both 1 it is the paper's
2 g - previous. The first step takes g itself as the previous gradient.
Family: momentum
Optax: optax.optimistic_gradient_descent
Source: Mokhtari, Ozdaglar and Pattathil 2020, arXiv:1901.08511; equals optax.optimistic_gradient_descent.
"""
learning_rate = tunable(0.05, low=0.0005, high=5.0, scale="log")
alpha = tunable(1.0, low=0.1, high=10.0, scale="log")
beta = tunable(1.0, low=0.05, high=10.0, scale="log")
previous = copy(g)

def step(g, lr):
    weight = alpha + beta
    now = g * weight
    before = previous * beta
    direction = now - before
    update = direction * lr
    previous = g
    return update
