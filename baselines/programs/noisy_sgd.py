"""Gradient descent with noise added to each gradient, less and less as time goes on.

Convention: the variance of the noise at step t = 1, 2, ... is eta / t^gamma. Optax draws it from a key of its own.
Family: gradient descent
Optax: optax.noisy_sgd
Source: Neelakantan et al. 2015, arXiv:1511.06807; the rule of optax.noisy_sgd.
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")
eta = tunable(0.01, low=0.0001, high=1.0, scale="log")
gamma = 0.55

def step(g, lr, t, noise):
    age = t ** gamma
    variance = eta / age
    deviation = sqrt(variance)
    jolt = noise * deviation
    noisy = g + jolt
    update = noisy * lr
    return update
