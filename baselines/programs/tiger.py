"""Tiger: the sign of averaged gradients with decoupled weight decay; Lion with one decay for both averages.

Convention: decay times the learning rate. The author's code also multiplies the learning rate with the root
mean square of the weights; this is left out, as a leaf that starts at 0 would never move.
Family: sign
Source: Su 2023, https://github.com/bojone/tiger.
"""
learning_rate = tunable(0.0003, low=3e-06, high=0.1, scale="log")
beta = tunable(0.965, low=0.5, high=0.999, scale="log1m")
weight_decay = tunable(0.01, low=0.0001, high=30.0, scale="log")
m = zeros_like(w)

def step(w, g, lr):
    m = interp(g, m, beta)
    update = sign(m)
    decay = w * weight_decay
    update = update + decay
    update = update * lr
    return update
