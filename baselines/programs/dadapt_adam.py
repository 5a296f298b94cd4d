"""D-Adapted Adam: Adam whose learning rate is a growing lower bound of the distance to the solution.

Convention: the paper's: nothing is corrected for its start, and the inner product is weighted with the denominator that
already knows g. The learning rate multiplies the bound; leave it at 1. The authors' code differs: dadapt_adamw.
Family: parameter free
Source: Defazio and Mishchenko 2023, arXiv:2301.07733, the algorithm D-Adapt Adam.
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
d0 = tunable(1e-06, low=1e-08, high=0.01, scale="log")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)
s = zeros_like(w)
d = scalar(0.0)
r = scalar(0.0)

def step(g, lr, t):
    first = t == 1.0
    d = where(first, d0, d)
    beta3 = sqrt(beta2)
    rate = d * lr
    scaled = g * rate
    m = interp(scaled, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    root = sqrt(v)
    denominator = root + eps
    way = s / denominator
    gain = dot(g, way)
    gain = gain * rate
    r = interp(gain, r, beta3)
    s = interp(scaled, s, beta3)
    sizes = abs(s)
    length = global_total(sizes)
    rest = 1.0 - beta3
    bound = rest * length
    guess = r / bound
    d = maximum(d, guess)
    update = m / denominator
    return update
