"""Nonlinear conjugate gradients of Fletcher-Reeves, with the schedule's step in place of a line search.

Convention: beta is |g|² / |g_prev|², and 0 where the direction would not descend; inner products over the
whole model; the first direction is the gradient. State d is minus the direction.
Family: conjugate gradient
Source: Fletcher and Reeves 1964, doi:10.1093/comjnl/7.2.149.
"""
learning_rate = tunable(0.03, low=0.0003, high=3.0, scale="log")
d = zeros_like(w)
g_prev = zeros_like(w)

def step(g, lr):
    numerator = dot(g, g)
    denominator = dot(g_prev, g_prev)
    beta = numerator / denominator
    slope = dot(g, d)
    gain = slope * beta
    gain = gain + numerator
    descends = gain > 0.0
    beta = where(descends, beta, 0.0)
    kept = d * beta
    d = g + kept
    g_prev = g
    update = d * lr
    return update
