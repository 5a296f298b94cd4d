"""LAMB: AdamW's direction, scaled leaf by leaf to the size of the weights.

Convention: the paper's with phi the identity; the ratio is 1 where one of the norms is 0, or
weights at 0 would stay there. Decay joins the direction before the norm is taken.
Family: layerwise
Optax: optax.lamb
Source: You et al. 2020, arXiv:1904.00962, Algorithm 2; equals optax.lamb.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-06
weight_decay = tunable(0.01, low=0.0001, high=1.0, scale="log")
m = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    decay = w * weight_decay
    direction = direction + decay
    w_norm = norm(w)
    direction_norm = norm(direction)
    ratio = w_norm / direction_norm
    least = minimum(w_norm, direction_norm)
    ratio = where(least, ratio, 1.0)
    direction = direction * ratio
    update = direction * lr
    return update
