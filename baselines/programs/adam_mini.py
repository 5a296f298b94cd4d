"""Adam-mini: AdamW with one second moment for a neuron: the mean square of the gradient of its weights.

Convention: a neuron is a column of a matrix, weights being in x out; the paper's partition without the exceptions of
Transformers, which are embeddings (one moment a weight) and attention (one a head). A vector or a number is one
block. Kernels are flattened to one column for each output. Decay is times the learning rate.
Family: adaptive
Source: Zhang et al. 2024, arXiv:2406.16793, github.com/zyushun/Adam-mini.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
weight_decay = tunable(0.0001, low=1e-05, high=3.0, scale="log")
m = zeros_like(w)
v = row(0.0)
v_leaf = scalar(0.0)

def step(w, g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    g2_mean = mean_over_rows(g2)
    v = interp(g2_mean, v, beta2)
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
    update = direction * lr
    return update

def fallback(w, g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    g2_mean = mean(g2)
    v_leaf = interp(g2_mean, v_leaf, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v_leaf / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
