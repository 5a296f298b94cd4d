"""EG±: exponentiated gradient on the difference of two positive weights, one that grows and one that shrinks.

Convention: unnormalised (EGU±). The product of the two weights stays (scale / 2)^2, so they follow from w and need no
state: this is mirror descent with the hyperbolic entropy, near gradient descent of rate lr · scale for small weights.
Family: mirror descent
Source: Kivinen and Warmuth 1997, doi:10.1006/inco.1996.2612; Ghai, Hazan and Singer 2020, arXiv:1902.01903.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
scale = tunable(1.0, low=0.001, high=100.0, scale="log")

def step(w, g, lr):
    w2 = square(w)
    scale2 = square(scale)
    s2 = w2 + scale2
    s = sqrt(s2)  # sum of the two weights; w is their difference
    x = g * lr
    plus = w + s
    up = expm1(x)
    opposite = negative(x)
    down = expm1(opposite)
    minus = s - w
    lost = plus * down
    gained = minus * up
    twice = gained - lost
    update = 0.5 * twice
    return update
