"""Padam: AMSGrad with a power of the largest average of squares between 0 (momentum) and 1/2 (AMSGrad).

Convention: the paper's algorithm: no correction for the start and no eps (0 / 0 counts as 0); the authors' code, made
from torch's Adam, has both.
Family: adaptive
Source: Chen et al. 2018, arXiv:1806.06763, algorithm 1.
"""
learning_rate = tunable(0.03, low=0.0003, high=3.0, scale="log")
partial = tunable(0.125, low=0.0, high=0.5)
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
m = zeros_like(w)
v = zeros_like(w)
v_max = zeros_like(w)

def step(g, lr):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    v_max = maximum(v_max, v)
    denominator = v_max ** partial
    direction = m / denominator
    update = direction * lr
    return update
