"""Gradient descent whose learning rate is cut when the loss has not improved for a while.

Convention: optax's: a loss improves when it is below (1 - rtol) times the best so far; after `patience` losses in a row
that do not, the rate is multiplied by `factor`, from this step on. Each batch's loss counts, and there is no cooldown.
Family: gradient descent
Optax: optax.contrib.reduce_on_plateau
Source: DeepMind 2023, https://github.com/google-deepmind/optax; equals optax.contrib.reduce_on_plateau after optax.sgd.
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")
factor = tunable(0.5, low=0.05, high=0.95)
patience = tunable(8.0, low=2.0, high=200.0, scale="log")
rtol = 0.0001
scale = scalar(1.0)
best = scalar(10000000000.0)
waited = scalar(0.0)

def step(g, lr, loss):
    share = 1.0 - rtol
    bar = best * share
    improved = loss < bar
    best = where(improved, loss, best)
    waited = waited + 1.0
    waited = where(improved, 0.0, waited)
    over = waited >= patience
    smaller = scale * factor
    scale = where(over, smaller, scale)
    waited = where(over, 0.0, waited)
    rate = lr * scale
    update = g * rate
    return update
