"""Rprop as optax has it: takes the step that Rprop found one step earlier.

Convention: optax 0.2.8, which keeps the new step and returns the old one, so the first step is zero; a coordinate whose
sign turns rests twice. The learning rate at the first step is the length that all begin with, and no schedule acts.
Family: sign
Optax: optax.rprop
Source: Riedmiller and Braun 1993, doi:10.1109/ICNN.1993.298623; equals optax.rprop of version 0.2.8.
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
    changed = size * factor
    changed = maximum(changed, min_step_size)
    changed = minimum(changed, max_step_size)
    still = product == 0.0
    size = where(still, size, changed)
    update = where(clash, 0.0, previous)  # found one step ago
    direction = sign(g)
    found = direction * size
    previous = where(clash, 0.0, found)
    return update
