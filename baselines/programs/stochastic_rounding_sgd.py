"""Gradient descent on weights of few bits, each rounded up or down by chance so that it is right on average.

Convention: a weight has as many bits as bfloat16, 8, and an exponent without bounds. It goes up with the fraction of
the distance to the next that it has gone; the uniform number comes of normal noise.
Family: gradient descent
Source: Gupta et al. 2015, arXiv:1502.02551, section 3.1, for numbers with an exponent.
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")
bits = 8.0

def step(w, g, lr, noise):
    move = g * lr
    new = w - move
    unit = spacing(new, bits)
    chance = noise * 0.7071067811865476
    chance = erf(chance)
    chance = chance * 0.5
    chance = chance + 0.5
    steps = new / unit
    steps = steps + chance
    steps = floor(steps)
    rounded = steps * unit
    update = w - rounded
    return update
