"""CAME: Adafactor's step, averaged, over the factored mean square of what the step and its average differ by.

Convention: the authors' code: no correction for the start, decay times the learning rate, not clipped with the step.
Vectors and numbers keep the full second moment and are not weighed by confidence. Kernels are flattened, where the
code factors their last two axes.
Family: adaptive
Source: Luo et al. 2023, arXiv:2307.02047, github.com/yangluo7/CAME.
"""
learning_rate = tunable(0.001, low=1e-05, high=0.1, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
beta3 = tunable(0.9999, low=0.9, high=0.99999, scale="log1m")
eps1 = 1e-30
eps2 = 1e-16
clip = tunable(1.0, low=0.1, high=10.0, scale="log")
weight_decay = tunable(0.0001, low=1e-05, high=3.0, scale="log")
r = column(0.0)
c = row(0.0)
r_doubt = column(0.0)
c_doubt = row(0.0)
v = zeros_like(w)
m = zeros_like(w)

def step(w, g, lr):
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
    m = interp(u, m, beta1)
    doubt = u - m
    doubt = square(doubt)
    doubt = doubt + eps2
    r_now = mean_over_columns(doubt)
    r_doubt = interp(r_now, r_doubt, beta3)
    c_now = mean_over_rows(doubt)
    c_doubt = interp(c_now, c_doubt, beta3)
    r_mean = mean(r_doubt)
    r_part = r_doubt / r_mean
    r_root = sqrt(r_part)
    c_root = sqrt(c_doubt)
    direction = m / r_root
    direction = direction / c_root
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update

def fallback(w, g, lr):
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
    m = interp(u, m, beta1)
    decay = w * weight_decay
    direction = m + decay
    update = direction * lr
    return update
