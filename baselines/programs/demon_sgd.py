"""Demon: gradient descent with a momentum that decays to 0 until the end of the run.

Convention: momentum as a sum, m = beta * m + g. The share of the run that is done counts the steps before this one,
so the first step has the whole momentum.
Family: momentum
Source: Chen et al. 2019, arXiv:1910.04952, Algorithm 1.
"""
learning_rate = tunable(0.03, low=0.0003, high=3.0, scale="log")
momentum = tunable(0.9, low=0.5, high=0.995, scale="log1m")
m = zeros_like(w)

def step(g, lr, run_progress):
    left_ = 1.0 - run_progress
    kept = momentum * left_
    forgotten = 1.0 - momentum
    whole = forgotten + kept
    beta = kept / whole
    m = m * beta
    m = m + g
    update = m * lr
    return update
