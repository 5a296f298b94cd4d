"""DoG: the step length is the farthest distance from the start over the root of all squared gradient norms.

Convention: the paper's: distance and norms are of the whole model, and the distance begins at r_eps (1 + norm of w).
The learning rate multiplies the result; leave it at 1. The paper's averaging of the iterates is left out.
Family: parameter free
Optax: optax.contrib.dog
Source: Ivgi, Hinder and Carmon 2023, arXiv:2302.12022; equals optax.contrib.dog.
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
r_eps = tunable(1e-06, low=1e-08, high=0.01, scale="log")
eps = 1e-08
start = copy(w)
farthest = scalar(0.0)
squares = scalar(0.0)

def step(w, g, lr, t):
    w_norm = global_norm(w)
    longer = 1.0 + w_norm
    guess = longer * r_eps
    first = t == 1.0
    farthest = where(first, guess, farthest)
    away = w - start
    distance = global_norm(away)
    farthest = maximum(farthest, distance)
    square_norm = dot(g, g)
    squares = squares + square_norm
    guarded = squares + eps
    root = sqrt(guarded)
    rate = farthest / root
    rate = rate * lr
    update = g * rate
    return update
