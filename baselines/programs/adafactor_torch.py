"""Adafactor as torch has it: rows and columns stand for the second moment, which is kept above a square of eps.

Convention: torch.optim.Adafactor. eps1, that of float32, bounds the second moment from below and is not added to
gradients; decay times the learning rate. Kernels are flattened, where torch factors their last two axes.
Family: adaptive
Source: Shazeer and Stern 2018, arXiv:1804.04235; equals torch.optim.Adafactor on leaves of at most two axes.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
beta2_decay = tunable(0.8, low=0.5, high=1.0)
eps1 = 1.1920928955078125e-07
eps2 = 0.001
clip = tunable(1.0, low=0.1, high=10.0, scale="log")
weight_decay = 0.0
r = column(0.0)
c = row(0.0)
v = zeros_like(w)

def step(w, g, lr, t):
    forget = t ** beta2_decay
    forget = 1.0 / forget
    beta2 = 1.0 - forget
    g2 = square(g)
    r_now = mean_over_columns(g2)
    r = interp(r_now, r, beta2)
    c_now = mean_over_rows(g2)
    c = interp(c_now, c, beta2)
    r_mean = mean(r)
    r_mean = maximum(r_mean, eps1)
    v_now = r * c
    v_now = v_now / r_mean
    least = square(eps1)
    v_now = maximum(v_now, least)
    v_root = sqrt(v_now)
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
    u = u * rate
    decay = lr * weight_decay
    decay = w * decay
    update = u + decay
    return update

def fallback(w, g, lr, t):
    forget = t ** beta2_decay
    forget = 1.0 / forget
    beta2 = 1.0 - forget
    g2 = square(g)
    v = interp(g2, v, beta2)
    least = square(eps1)
    v_now = maximum(v, least)
    v_root = sqrt(v_now)
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
    u = u * rate
    decay = lr * weight_decay
    decay = w * decay
    update = u + decay
    return update
