"""Fromage: a step of a fixed fraction of the size of the weights, leaf by leaf, then shrunk so that they do not grow.

Convention: the paper's with optax's floor: a norm below min_norm counts as min_norm.
Family: layerwise
Optax: optax.fromage
Source: Bernstein, Vahdat, Yue and Liu 2020, arXiv:2002.03432; equals optax.fromage.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
min_norm = 1e-06

def step(w, g, lr):
    w_norm = norm(w)
    w_norm = maximum(w_norm, min_norm)
    g_norm = norm(g)
    g_norm = maximum(g_norm, min_norm)
    ratio = w_norm / g_norm
    direction = g * ratio
    change = direction * lr
    after = w - change
    lr2 = square(lr)
    growth = log1p(lr2)
    growth = growth * -0.5
    factor = expm1(growth)  # 1 / sqrt(1 + lr2) - 1, whose digits a plain difference would lose
    shrinking = after * factor
    update = change - shrinking
    return update
