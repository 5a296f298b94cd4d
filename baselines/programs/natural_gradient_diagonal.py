"""Diagonal natural gradient: the gradient over the diagonal of the empirical Fisher matrix.

Convention: the diagonal is an average of squared batch gradients, corrected for its start, plus a damping; no root, so
the step grows as the gradient shrinks, down to the damping.
Family: second order
Source: Amari 1998, doi:10.1162/089976698300017746.
"""
learning_rate = tunable(0.001, low=1e-05, high=0.1, scale="log")
decay = tunable(0.95, low=0.5, high=0.9999, scale="log1m")
damping = tunable(0.001, low=1e-08, high=1.0, scale="log")
fisher = zeros_like(w)

def step(g, lr, t):
    g2 = square(g)
    fisher = interp(g2, fisher, decay)
    p = decay ** t
    c = 1.0 - p
    fisher_hat = fisher / c
    damped = fisher_hat + damping
    direction = g / damped
    update = direction * lr
    return update
