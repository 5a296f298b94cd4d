"""Averaged gradient descent: the model is evaluated at the mean of all parameters so far.

Convention: the plain mean of w after each step from the first on, the start left out.
Family: averaging
Source: Polyak and Juditsky 1992, doi:10.1137/0330046; Ruppert 1988.
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")
average = zeros_like(w)

def step(w, g, lr, t):
    update = g * lr
    after = w - update
    share = reciprocal(t)
    average = interp(average, after, share)
    return update, average
