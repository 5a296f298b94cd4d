"""FTRL-Proximal: the weights that minimise all gradients so far plus a proximal term of each step and an L1 norm.

Convention: rates lr / (beta + root of the sum of squares) per coordinate. The proximal weights are the growth of the
inverse rate, also where the schedule moves it, and the first is centred at the weights of the start: from weights of 0
at a constant rate this is algorithm 1 of the paper.
Family: adaptive
Source: McMahan et al. 2013, doi:10.1145/2487575.2488200.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
beta = 1.0
lambda1 = tunable(0.001, low=1e-05, high=10.0, scale="log")
lambda2 = tunable(0.001, low=1e-05, high=10.0, scale="log")
z = zeros_like(w)
n = zeros_like(w)
inverse_rate = zeros_like(w)

def step(w, g, lr):
    g2 = square(g)
    n = n + g2
    root = sqrt(n)
    denominator = root + beta
    inverse = denominator / lr
    sigma = inverse - inverse_rate
    inverse_rate = inverse
    z = z + g
    centre = sigma * w
    z = z - centre
    short = soft_threshold(z, lambda1)
    stiffness = inverse + lambda2
    opposite = short / stiffness
    update = w + opposite
    return update
