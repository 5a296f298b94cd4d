"""Sophia as in optax: corrected momentum over an estimate of the Hessian's diagonal, cut to steps of at most 1.

Convention: optax's: Hutchinson's estimate with random signs at steps 1, 11, 21, ..., used from the next step on; the
momentum is corrected for its start. Weight decay times the learning rate.
Family: second order
Optax: optax.contrib.sophia
Source: Liu et al. 2023, arXiv:2305.14342; equals optax.contrib.sophia.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
beta1 = tunable(0.965, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.99, low=0.8, high=0.9999, scale="log1m")
gamma = tunable(0.01, low=0.0001, high=1.0, scale="log")
eps = 1e-08
weight_decay = tunable(0.0001, low=1e-05, high=3.0, scale="log")
period = 10.0
m = zeros_like(w)
h = zeros_like(w)

def step(w, g, lr, t, rademacher, hvp):
    m = interp(g, m, beta1)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    denominator = h * gamma
    denominator = maximum(denominator, eps)
    direction = m_hat / denominator
    direction = minimum(direction, 1.0)
    direction = maximum(direction, -1.0)
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    product = hvp(rademacher)
    estimate = product * rademacher
    fresh = interp(estimate, h, beta2)
    phase = t % period
    now = phase == 1.0
    h = where(now, fresh, h)
    return update
