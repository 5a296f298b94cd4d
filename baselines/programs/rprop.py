"""Rprop: each coordinate has a step length of its own, which grows while its gradient keeps its sign.

Convention: torch's, which is iRprop-: where the sign turns, the length shrinks and the coordinate rests for one step.
The learning rate at the first step is the length that all begin with; a schedule changes nothing afterwards.
Family: sign
Source: Riedmiller and Braun 1993, doi:10.1109/ICNN.1993.298623; variant of Igel and
Huesken 2000; torch.optim.Rprop.
"""
learning_rate = tunable(0.01, low=1e-05, high=1.0, scale="log")
eta_minus = tunable(0.5, low=0.1, high=0.95)
eta_plus = tunable(1.2, low=1.01, high=2.0)
min_step_size = 1e-06
max_step_size = 50.0
previous = zeros_like(w)
size = zeros_like(w)

def step(g, lr, t):
    first = t == 1.0
    size = where(first, lr, size)
    product = g * previous
    agree = product > 0.0
    clash = product < 0.0
    slower = where(clash, eta_minus, 1.0)
    factor = where(agree, eta_plus, slower)
    size = size * factor
    size = maximum(size, min_step_size)
    size = minimum(size, max_step_size)
    previous = where(clash, 0.0, g)
    direction = sign(previous)
    update = direction * size
    return update
