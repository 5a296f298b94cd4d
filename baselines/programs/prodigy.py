"""Prodigy: Adam whose learning rate is a fast growing estimate of the distance from the start to the solution.

Convention: the paper's: nothing is corrected for its start. The learning rate multiplies the estimate; leave it at 1.
Family: parameter free
Source: Mishchenko and Defazio 2023, arXiv:2306.06101, the Adam version of Prodigy.
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
d0 = tunable(1e-06, low=1e-08, high=0.01, scale="log")
eps = 1e-08
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
    weight = rate * d
    back = start - w
    gain = dot(g, back)
    gain = gain * weight
    r = interp(gain, r, beta3)
    weighted = g * weight
    s = interp(weighted, s, beta3)
    root = sqrt(v)
    guard = d * eps
    denominator = root + guard
    direction = m / denominator
    update = direction * rate
    sizes = abs(s)
    length = global_total(sizes)
    guess = r / length
    d = maximum(d, guess)
    return update
