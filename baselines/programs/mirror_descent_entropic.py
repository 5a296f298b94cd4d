"""Entropic mirror descent: each weight times the exponential of minus rate times gradient (exponentiated gradient).

Convention: unnormalised, on the size of a weight, whose gradient is g · sign(w): every weight keeps its sign, and one
that is 0 stays there. On positive weights this is the textbook rule.
Family: mirror descent
Source: Kivinen and Warmuth 1997, doi:10.1006/inco.1996.2612 (EGU).
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")

def step(w, g, lr):
    side = sign(w)
    slope = g * side
    step_size = slope * lr
    exponent = negative(step_size)
    growth = expm1(exponent)
    gained = w * growth
    update = negative(gained)
    return update
