"""Cautious AdamW: AdamW that moves only where its average agrees in sign with the gradient.

Convention: the authors' c_adamw.py: the mask is divided by its mean over the leaf, at least 0.001; the decay, times
the learning rate, is not masked.
Family: adaptive
Source: Liang, Chen, Liu and Liu 2024, arXiv:2411.16085; https://github.com/kyleliang919/C-Optim.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-06
weight_decay = tunable(0.0001, low=1e-05, high=3.0, scale="log")
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
    product = m * g
    mask = product > 0.0
    share = mean(mask)
    share = maximum(share, 0.001)
    weight = mask / share
    direction = direction * weight
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
