"""NovoGrad: gradients divided by the size of their leaf's gradient, then averaged, with decay inside the average.

Convention: the paper's, momentum without the factor 1 - beta1; the average of squared norms starts at the first one.
Family: layerwise
Optax: optax.novograd
Source: Ginsburg et al. 2019, arXiv:1905.11286; equals optax.novograd.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.25, low=0.05, high=0.999, scale="log1m")
eps = 1e-06
weight_decay = tunable(0.001, low=1e-05, high=0.1, scale="log")
m = zeros_like(w)
v = scalar(0.0)

def step(w, g, lr, t):
    g_norm = norm(g)
    size = square(g_norm)
    average = interp(size, v, beta2)
    first = t == 1.0
    v = where(first, size, average)
    root = sqrt(v)
    denominator = root + eps
    direction = g / denominator
    decay = w * weight_decay
    direction = direction + decay
    m = m * beta1
    m = m + direction
    update = m * lr
    return update
