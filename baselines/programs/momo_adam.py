"""MoMo-Adam: Adam with the step that a model of the loss asks for, built of past losses and gradients.

Convention: the paper's and optax's: lengths are measured in Adam's metric over the whole model; the learning rate is
the most the step may be. Without weight decay, and with a lower bound that stays.
Family: adaptive
Optax: optax.contrib.momo_adam
Source: Schaipp et al. 2023, arXiv:2305.07583; equals optax.contrib.momo_adam.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
lower_bound = 0.0
tiny = 2.220446049250313e-16
value = scalar(0.0)
m = zeros_like(w)
v = zeros_like(w)
gamma = scalar(0.0)

def step(w, g, lr, t, loss):
    value = interp(loss, value, beta1)
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m / denominator
    gw = dot(g, w)
    gamma = interp(gw, gamma, beta1)
    mw = dot(m, w)
    shift = mw - gamma
    least = lower_bound * c1
    gap = value - least
    gap = gap + shift
    gap = maximum(gap, 0.0)
    size = dot(m, direction)
    length = gap / size
    still = size <= tiny
    length = where(still, 0.0, length)
    most = lr / c1
    length = minimum(length, most)
    update = direction * length
    return update
