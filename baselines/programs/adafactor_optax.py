"""Adafactor as optax has it: rows and columns stand for the second moment, and the learning rate is not bounded.

Convention: optax 0.2.8 with its defaults: no decay, no first moment, no bound of 1 / sqrt(t). optax factors the two
largest axes of a leaf, where both are at least 128; here that bound is as low as it gets for leaves of two axes, and
kernels, vectors and numbers keep the full second moment.
Family: adaptive
Optax: optax.adafactor
Source: Shazeer and Stern 2018, arXiv:1804.04235; equals optax.adafactor.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
decay_rate = tunable(0.8, low=0.5, high=1.0)
eps1 = 1e-30
eps2 = 0.001
clip = tunable(1.0, low=0.1, high=10.0, scale="log")
r = column(0.0)
c = row(0.0)
v = zeros_like(w)
kernels = fallback()

def step(w, g, lr, t):
    forget = t ** decay_rate
    forget = 1.0 / forget
    beta2 = 1.0 - forget
    g2 = square(g)
    g2 = g2 + eps1
    r_now = mean_over_columns(g2)
    r = interp(r_now, r, beta2)
    c_now = mean_over_rows(g2)
    c = interp(c_now, c, beta2)
    r_mean = mean(r)
    r_part = r / r_mean
    r_root = sqrt(r_part)
    c_root = sqrt(c)
    u = g / r_root
    u = u / c_root
    u2 = square(u)
    u_mean = mean(u2)
    u_rms = sqrt(u_mean)
    excess = u_rms / clip
    shrink = maximum(excess, 1.0)
    u = u / shrink
    w2 = square(w)
    w_mean = mean(w2)
    w_rms = sqrt(w_mean)
    size = maximum(w_rms, eps2)
    u = u * lr
    update = u * size
    return update

def fallback(w, g, lr, t):
    forget = t ** decay_rate
    forget = 1.0 / forget
    beta2 = 1.0 - forget
    g2 = square(g)
    g2 = g2 + eps1
    v = interp(g2, v, beta2)
    v_root = sqrt(v)
    u = g / v_root
    u2 = square(u)
    u_mean = mean(u2)
    u_rms = sqrt(u_mean)
    excess = u_rms / clip
    shrink = maximum(excess, 1.0)
    u = u / shrink
    w2 = square(w)
    w_mean = mean(w2)
    w_rms = sqrt(w_mean)
    size = maximum(w_rms, eps2)
    u = u * lr
    update = u * size
    return update
