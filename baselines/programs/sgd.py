"""SGD: step along the negative gradient.

Convention: no momentum, no decay; the batch (full, single, mini) is the task's.
Family: gradient descent
Optax: optax.sgd
Source: Robbins and Monro 1951, doi:10.1214/aoms/1177729586; equals optax.sgd.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")

def step(g, lr):
    update = g * lr
    return update
