"""LARS: momentum whose steps are scaled, leaf by leaf, to a small fraction of the size of the weights.

Convention: the paper's, norm of w over norm of g plus weight_decay times norm of w; the learning rate stands inside the
momentum. Where one of the norms is 0 the ratio is 1, as implementations have it, or weights at 0 would stay there.
Family: layerwise
Source: You, Gitman and Ginsburg 2017, arXiv:1708.03888, Algorithm 1.
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
momentum = tunable(0.9, low=0.5, high=0.99, scale="log1m")
trust_coefficient = 0.001
weight_decay = tunable(0.0005, low=1e-06, high=0.1, scale="log")
m = zeros_like(w)

def step(w, g, lr):
    w_norm = norm(w)
    g_norm = norm(g)
    decay_norm = w_norm * weight_decay
    denominator = g_norm + decay_norm
    ratio = w_norm / denominator
    ratio = ratio * trust_coefficient
    least = minimum(w_norm, g_norm)
    ratio = where(least, ratio, 1.0)
    decay = w * weight_decay
    direction = g + decay
    direction = direction * ratio
    change = direction * lr
    m = m * momentum
    m = m + change
    return m
