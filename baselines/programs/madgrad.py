"""MADGRAD: dual averaging from the start, over the cube root of the squares, and a moving average of the result.

Convention: the authors' code and optax: eps is added to the learning rate and outside the root; momentum is the weight
of the old w. The learning rate stands inside the sums.
Family: averaging
Optax: optax.contrib.madgrad
Source: Defazio and Jelassi 2021, arXiv:2101.11075; equals optax.contrib.madgrad.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
momentum = tunable(0.9, low=0.5, high=0.99, scale="log1m")
eps = 1e-06
start = copy(w)
gradients = zeros_like(w)
squares = zeros_like(w)

def step(w, g, lr, t):
    rate = lr + eps
    growth = sqrt(t)
    weight = rate * growth
    g2 = square(g)
    more = g2 * weight
    squares = squares + more
    weighted = g * weight
    gradients = gradients + weighted
    root = cbrt(squares)
    denominator = root + eps
    way = gradients / denominator
    z = start - way
    after = interp(z, w, momentum)
    update = w - after
    return update
