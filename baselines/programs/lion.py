"""Lion: the sign of an interpolated momentum, with decoupled weight decay.

Convention: decay times the learning rate. Learning rate 3-10 times smaller, decay 3-10 times larger than AdamW's.
Family: sign
Optax: optax.lion
Source: Chen et al. 2023, arXiv:2302.06675, Program 1; equals optax.lion.
"""
learning_rate = tunable(0.0003, low=3e-06, high=0.1, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.99, low=0.8, high=0.9999, scale="log1m")
weight_decay = tunable(0.001, low=0.0001, high=30.0, scale="log")
m = zeros_like(w)

def step(w, g, lr):
    c = interp(g, m, beta1)
    update = sign(c)
    decay = w * weight_decay
    update = update + decay
    update = update * lr
    m = interp(g, m, beta2)  # read above at its old value, then reassigned
    return update
