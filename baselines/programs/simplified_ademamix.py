"""Simplified AdEMAMix: one slow sum of gradients, with the present gradient counted alpha times more.

Convention: optax's: the sum is not divided by 1 - beta1, so learning rates are smaller than Adam's by
about that factor. Decay times the learning rate.
Family: adaptive
Optax: optax.contrib.simplified_ademamix
Source: Morwani et al. 2025, arXiv:2502.02431; equals optax.contrib.simplified_ademamix.
"""
learning_rate = tunable(3e-05, low=3e-07, high=0.003, scale="log")
beta1 = tunable(0.99, low=0.8, high=0.9999, scale="log1m")
beta2 = tunable(0.95, low=0.8, high=0.9999, scale="log1m")
alpha = tunable(10.0, low=0.1, high=200.0, scale="log")
eps = 1e-08
weight_decay = tunable(0.01, low=0.0001, high=1.0, scale="log")
m = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr, t):
    m = m * beta1
    m = m + g
    g2 = square(g)
    v = interp(g2, v, beta2)
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    present = g * alpha
    mixed = m + present
    direction = mixed / denominator
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
