"""Adafactor: the mean squares of rows and columns stand for the second moment of a matrix; the update is clipped.

Convention: Algorithms 4 to 6 of the paper without a first moment. The step is relative to the size of the weights and
at most lr and at most 1 / sqrt(t), where the paper has 0.01 for lr. Vectors and numbers keep the full second moment.
Kernels are flattened.
Family: adaptive
Source: Shazeer and Stern 2018, arXiv:1804.04235, Algorithms 4, 5 and 6.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
decay_rate = tunable(0.8, low=0.5, high=1.0)
eps1 = 1e-30
eps2 = 0.001
clip = tunable(1.0, low=0.1, high=10.0, scale="log")
r = column(0.0)
c = row(0.0)
v = zeros_like(w)

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
    root_t = sqrt(t)
    most = 1.0 / root_t
    rate = minimum(lr, most)
    rate = rate * size
    update = u * rate
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
    root_t = sqrt(t)
    most = 1.0 / root_t
    rate = minimum(lr, most)
    rate = rate * size
    update = u * rate
    return update
