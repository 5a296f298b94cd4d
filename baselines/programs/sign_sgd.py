"""SignSGD: every coordinate moves by the same length, against the sign of its gradient.

Convention: sign(0) = 0; no momentum, no decay (optax).
Family: sign
Optax: optax.sign_sgd
Source: Bernstein et al. 2018, arXiv:1802.04434, Algorithm 1; equals optax.sign_sgd.
"""
learning_rate = tunable(0.001, low=1e-05, high=0.1, scale="log")

def step(g, lr):
    direction = sign(g)
    update = direction * lr
    return update
