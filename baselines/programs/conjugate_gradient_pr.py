"""Nonlinear conjugate gradients of Polak-Ribière, with the schedule's step in place of a line search.

Convention: beta is max(0, g·y / |g_prev|²), the form PR+;
y = g - g_prev, inner products over the whole model; the first direction is the gradient. State d is
minus the direction.
Family: conjugate gradient
Source: Polak and Ribière 1969; Gilbert and Nocedal 1992, doi:10.1137/0802003 (PR+).
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
d = zeros_like(w)
g_prev = zeros_like(w)

def step(g, lr):
    y = g - g_prev
    numerator = dot(g, y)
    denominator = dot(g_prev, g_prev)
    beta = numerator / denominator
    beta = maximum(beta, 0.0)
    kept = d * beta
    d = g + kept
    g_prev = g
    update = d * lr
    return update
