"""Prodigy as optax has it: rates are corrected as Adam's, with decoupled weight decay.

Convention: optax's: the sums are kept in units of d0, eps is multiplied with the estimate that already knows g, decay
with the rate. The learning rate multiplies the estimate; leave it at 1.
Family: parameter free
Optax: optax.contrib.prodigy
Source: Mishchenko and Defazio 2023, arXiv:2306.06101; equals optax.contrib.prodigy.
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
d0 = tunable(1e-06, low=1e-08, high=0.01, scale="log")
eps = 1e-08
weight_decay = tunable(0.01, low=0.0001, high=1.0, scale="log")
start = copy(w)
m = zeros_like(w)
v = zeros_like(w)
s = zeros_like(w)
d = scalar(0.0)
r = scalar(0.0)

def step(w, g, lr, t):
    first = t == 1.0
    d = where(first, d0, d)
    beta3 = sqrt(beta2)
    scaled = g * d
    m = interp(scaled, m, beta1)
    scaled2 = square(scaled)
    v = interp(scaled2, v, beta2)
    rate = d * lr
    p1 = beta1 ** t
    c1 = 1.0 - p1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    root2 = sqrt(c2)
    correction = root2 / c1
    rate = rate * correction
    grown = d / d0
    weight = rate * grown
    back = start - w
    gain = dot(g, back)
    gain = gain * weight
    r = r * beta3
    r = r + gain
    weighted = g * weight
    s = s * beta3
    s = s + weighted
    sizes = abs(s)
    length = global_total(sizes)
    guess = r / length
    d = maximum(d, guess)
    root = sqrt(v)
    guard = d * eps
    denominator = root + guard
    direction = m / denominator
    decay = w * weight_decay
    direction = direction + decay
    update = direction * rate
    return update
