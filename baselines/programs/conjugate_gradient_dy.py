"""Nonlinear conjugate gradients of Dai-Yuan, with the schedule's step in place of a line search.

Convention: beta is |g|² / d·y, and 0 where d·y, the curvature along the last direction, is not positive;
y = g - g_prev, inner products over the whole model; the first direction is the gradient. State d is
minus the direction.
Family: conjugate gradient
Source: Dai and Yuan 1999, doi:10.1137/S1052623497318992.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
d = zeros_like(w)
g_prev = zeros_like(w)

def step(g, lr):
    y = g - g_prev
    numerator = dot(g, g)
    descent = dot(d, y)
    curvature = negative(descent)
    quotient = numerator / curvature
    convex = curvature > 0.0
    beta = where(convex, quotient, 0.0)
    kept = d * beta
    d = g + kept
    g_prev = g
    update = d * lr
    return update
