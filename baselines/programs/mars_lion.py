"""MARS-Lion: the sign of averaged gradients that are corrected by their change since the last step.

Convention: the authors' code, with one decay for the average. Approximate form: the change is that of the batch
gradient, which counts as 0 before the first; the corrected gradient is cut to norm 1 per leaf. They use AdamW for
leaves that are no matrices; here all leaves are corrected.
Family: variance reduction
Source: Yuan et al. 2024, arXiv:2411.10438; https://github.com/AGI-Arena/MARS.
"""
learning_rate = tunable(0.0003, low=3e-06, high=0.1, scale="log")
gamma = tunable(0.025, low=0.001, high=1.0, scale="log")
beta1 = tunable(0.95, low=0.5, high=0.99, scale="log1m")
weight_decay = tunable(0.001, low=0.0001, high=30.0, scale="log")
m = zeros_like(w)
g_prev = zeros_like(w)

def step(w, g, lr):
    keep = 1.0 - beta1
    odds = beta1 / keep
    factor = gamma * odds
    change = g - g_prev
    correction = change * factor
    c = g + correction
    length = norm(c)
    bound = maximum(length, 1.0)
    c = c / bound
    g_prev = g
    m = interp(c, m, beta1)
    direction = sign(m)
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
