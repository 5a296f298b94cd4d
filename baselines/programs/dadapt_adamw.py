"""D-Adapted AdamW: AdamW whose learning rate is a growing lower bound of the distance to the solution.

Convention: the authors' code as optax has it: rates are corrected as Adam's, and the inner product is weighted with the
denominator of the step before. The learning rate multiplies the bound; leave it at 1. Decay times the rate.
Family: parameter free
Optax: optax.contrib.dadapt_adamw
Source: Defazio and Mishchenko 2023, arXiv:2301.07733; equals optax.contrib.dadapt_adamw.
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
d0 = tunable(1e-06, low=1e-08, high=0.01, scale="log")
eps = 1e-08
weight_decay = tunable(0.01, low=0.0001, high=1.0, scale="log")
m = zeros_like(w)
v = zeros_like(w)
s = zeros_like(w)
d = scalar(0.0)
r = scalar(0.0)

def step(w, g, lr, t):
    first = t == 1.0
    d = where(first, d0, d)
    beta3 = sqrt(beta2)
    rate = d * lr
    p1 = beta1 ** t
    c1 = 1.0 - p1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    root2 = sqrt(c2)
    correction = root2 / c1
    rate = rate * correction
    root = sqrt(v)
    denominator = root + eps
    way = s / denominator
    gain = dot(g, way)
    gain = gain * rate
    r = interp(gain, r, beta3)
    scaled = g * rate
    m = interp(scaled, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    s = interp(scaled, s, beta3)
    sizes = abs(s)
    length = global_total(sizes)
    rest = 1.0 - beta3
    bound = rest * length
    guess = r / bound
    d = maximum(d, guess)
    root = sqrt(v)
    denominator = root + eps
    direction = m / denominator
    fading = rate * weight_decay
    decay = w * fading
    update = direction + decay
    return update
