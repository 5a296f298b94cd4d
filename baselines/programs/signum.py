"""Signum: the sign of an average of gradients.

Convention: the average is uncorrected; correcting it would not change a sign. No decay (optax).
Family: sign
Optax: optax.signum
Source: Bernstein et al. 2018, arXiv:1802.04434, Algorithm 2; equals optax.signum.
"""
learning_rate = tunable(0.001, low=1e-05, high=0.1, scale="log")
beta = tunable(0.9, low=0.5, high=0.99, scale="log1m")
m = zeros_like(w)

def step(g, lr):
    m = interp(g, m, beta)
    direction = sign(m)
    update = direction * lr
    return update
