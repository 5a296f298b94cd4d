"""MoMo: momentum with the step that a model of the loss asks for, built of past losses and gradients.

Convention: the paper's and optax's: the averages start at the first loss and gradient; inner products over the whole
model; the learning rate is the most the step may be. Without weight decay, and with a lower bound that stays.
Family: momentum
Optax: optax.contrib.momo
Source: Schaipp et al. 2023, arXiv:2305.07583; equals optax.contrib.momo.
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
beta = tunable(0.9, low=0.5, high=0.99, scale="log1m")
lower_bound = 0.0
tiny = 2.220446049250313e-16
value = scalar(0.0)
m = zeros_like(w)
gamma = scalar(0.0)

def step(w, g, lr, t, loss):
    first = t == 1.0
    keep = where(first, 0.0, beta)
    value = interp(loss, value, keep)
    m = interp(g, m, keep)
    gw = dot(g, w)
    gamma = interp(gw, gamma, keep)
    mw = dot(m, w)
    shift = mw - gamma
    gap = value - lower_bound
    gap = gap + shift
    gap = maximum(gap, 0.0)
    size = dot(m, m)
    length = gap / size
    still = size <= tiny
    length = where(still, 0.0, length)
    length = minimum(length, lr)
    update = m * length
    return update
