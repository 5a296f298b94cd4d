"""Muon as optax has it: orthogonal momentum with the bias-corrected mix of NAdam; the other leaves by NAdamW.

Convention: optax 0.2.8. Momentum and gradient are corrected for their start as in NAdam, eps is added to the norm,
sqrt(max(1, out / in)). Only leaves of two axes are matrices; the others, kernels too, take NAdamW with the same
learning rate and without decay.
Family: matrix
Optax: optax.contrib.muon
Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; equals optax.contrib.muon.
"""
learning_rate = tunable(0.02, low=0.0005, high=0.5, scale="log")
beta = tunable(0.95, low=0.5, high=0.995, scale="log1m")
weight_decay = 0.0
a = 3.4445
b = -4.775
c = 2.0315
eps = 1e-08
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
m = zeros_like(w)
v = zeros_like(w)
kernels = fallback()

def step(w, g, lr, t):
    m = interp(g, m, beta)
    p = beta ** t
    c1 = 1.0 - p
    p_next = p * beta
    c1_next = 1.0 - p_next
    m_next = m / c1_next
    g_now = g / c1
    ahead = interp(g_now, m_next, beta)
    size = norm(ahead)
    size = size + eps
    x = ahead / size
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    rows = row_count(w)
    columns = column_count(w)
    ratio = columns / rows
    ratio = maximum(ratio, 1.0)
    scale = sqrt(ratio)
    direction = x * scale
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update

def fallback(g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    p1_next = p1 * beta1
    c1_next = 1.0 - p1_next
    m_next = m / c1_next
    g_now = g / c1
    m_hat = interp(g_now, m_next, beta1)
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    update = direction * lr
    return update
