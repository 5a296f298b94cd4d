"""Nonlinear conjugate gradients of Hestenes-Stiefel, with the schedule's step in place of a line search.

Convention: beta is max(0, g·y / d·y), and 0 where d·y, the curvature along the last direction, is not positive;
y = g - g_prev, inner products over the whole model; the first direction is the gradient. State d is
minus the direction.
Family: conjugate gradient
Source: Hestenes and Stiefel 1952, doi:10.6028/jres.049.044.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
d = zeros_like(w)
g_prev = zeros_like(w)

def step(g, lr):
    y = g - g_prev
    numerator = dot(g, y)
    descent = dot(d, y)
    curvature = negative(descent)
    quotient = numerator / curvature
    convex = curvature > 0.0
    beta = where(convex, quotient, 0.0)
    beta = maximum(beta, 0.0)
    kept = d * beta
    d = g + kept
    g_prev = g
    update = d * lr
    return update
