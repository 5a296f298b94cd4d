"""Sophia: momentum over an estimate of the Hessian's diagonal, each coordinate cut to a step of at most 1.

Convention: the paper's: Hutchinson's estimate with a normal vector at steps 1, 11, 21, ..., used in the same step; the
momentum is not corrected. Weight decay times the learning rate.
Family: second order
Source: Liu et al. 2023, arXiv:2305.14342, Algorithm 3 with Algorithm 1 (Sophia-H).
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
beta1 = tunable(0.96, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.99, low=0.8, high=0.9999, scale="log1m")
gamma = tunable(0.01, low=0.0001, high=1.0, scale="log")
eps = 1e-12
weight_decay = tunable(0.0001, low=1e-05, high=3.0, scale="log")
period = 10.0
m = zeros_like(w)
h = zeros_like(w)

def step(w, g, lr, t, noise, hvp):
    m = interp(g, m, beta1)
    product = hvp(noise)
    estimate = product * noise
    fresh = interp(estimate, h, beta2)
    phase = t % period
    now = phase == 1.0
    h = where(now, fresh, h)
    denominator = h * gamma
    denominator = maximum(denominator, eps)
    direction = m / denominator
    direction = minimum(direction, 1.0)
    direction = maximum(direction, -1.0)
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
