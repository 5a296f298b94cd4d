"""Clipping by norm: the gradient of the whole model is shortened to a length of at most max_norm.

Convention: optax.clip_by_global_norm; torch adds 1e-6 to the norm. It cannot stand before a program with a
fallback, which sees the matrices and the other leaves apart.
Source: Pascanu, Mikolov and Bengio 2013, arXiv:1211.5063, Algorithm 1.
"""
max_norm = tunable(1.0, low=0.01, high=100.0, scale="log")

def step(g):
    clipped = clip_by_global_norm(g, max_norm)
    return clipped
