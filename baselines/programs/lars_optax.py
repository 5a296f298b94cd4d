"""LARS as optax has it: weight decay joins the gradient before the norm is taken.

Convention: optax's, norm of w over norm of (g + weight_decay w), 1 where one of the norms is 0; the learning rate
stands inside the momentum.
Family: layerwise
Optax: optax.lars
Source: You, Gitman and Ginsburg 2017, arXiv:1708.03888; equals optax.lars.
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
momentum = tunable(0.9, low=0.5, high=0.99, scale="log1m")
trust_coefficient = 0.001
weight_decay = tunable(0.0005, low=1e-06, high=0.1, scale="log")
m = zeros_like(w)

def step(w, g, lr):
    decay = w * weight_decay
    direction = g + decay
    w_norm = norm(w)
    direction_norm = norm(direction)
    ratio = w_norm / direction_norm
    ratio = ratio * trust_coefficient
    least = minimum(w_norm, direction_norm)
    ratio = where(least, ratio, 1.0)
    direction = direction * ratio
    change = direction * lr
    m = m * momentum
    m = m + change
    return m
