"""Cautious Lion: Lion that moves only where its sign is that of the gradient.

Convention: the authors' c_lion.py: the mask is multiplied with n / (number of agreeing + 1) of its leaf; the decay,
times the learning rate, is not masked.
Family: sign
Source: Liang, Chen, Liu and Liu 2024, arXiv:2411.16085; https://github.com/kyleliang919/C-Optim.
"""
learning_rate = tunable(0.0003, low=3e-06, high=0.1, scale="log")
beta1 = tunable(0.95, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.98, low=0.8, high=0.9999, scale="log1m")
weight_decay = tunable(0.001, low=0.0001, high=30.0, scale="log")
m = zeros_like(w)

def step(w, g, lr):
    c = interp(g, m, beta1)
    direction = sign(c)
    product = direction * g
    mask = product > 0.0
    agreeing = total(mask)
    agreeing = agreeing + 1.0
    n = count(w)
    weight = n / agreeing
    direction = direction * mask
    direction = direction * weight
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    m = interp(g, m, beta2)
    return update
