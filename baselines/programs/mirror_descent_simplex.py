"""Entropic mirror descent on the simplex: exponentiated gradient, normalised so that each leaf keeps its sum.

Convention: per leaf, on the size of the weights: signs and the sum of sizes stay what they were at the start. A leaf
of positive weights of sum 1 walks on the unit simplex, the textbook case; a leaf of one number never moves.
Family: mirror descent
Source: Beck and Teboulle 2003, doi:10.1016/S0167-6377(02)00231-6.
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")
mass = scalar(0.0)

def step(w, g, lr):
    size = abs(w)
    whole = total(size)
    fresh = mass == 0.0
    mass = where(fresh, whole, mass)  # the sum of the start; kept, as rounding would make it drift
    side = sign(w)
    slope = g * side
    step_size = slope * lr
    exponent = negative(step_size)
    growth = exp(exponent)
    grown = w * growth
    grown_size = size * growth
    grown_whole = total(grown_size)
    shrink = mass / grown_whole
    moved = grown * shrink
    update = w - moved
    return update
