"""Lookahead: gradient descent that returns every few steps part of the way to where it was.

Convention: the slow weights start at w; at every sync_period-th step they walk slow_step of the way to the fast ones,
which then continue from there. The inner optimizer is plain sgd.
Family: averaging
Optax: optax.lookahead
Source: Zhang, Lucas, Hinton and Ba 2019, arXiv:1907.08610; equals optax.lookahead(optax.sgd).
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
slow_step = tunable(0.5, low=0.1, high=1.0)
sync_period = 6.0
slow = copy(w)

def step(w, g, lr, t):
    drop = g * lr
    fast = w - drop
    phase = t % sync_period
    sync = phase == 0.0
    target = interp(slow, fast, slow_step)
    slow = where(sync, target, slow)
    moved = where(sync, target, fast)
    update = w - moved
    return update
