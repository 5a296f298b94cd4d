"""AdaBound: Adam whose step sizes are held between two bounds that close in on one rate, that of sgd.

Convention: the authors' code: corrections for the start folded into the rate, eps outside the uncorrected root, the
bounds follow the schedule, no division by the root of t. final_ratio is their final_lr over the base rate, 0.1 / 0.001.
Family: adaptive
Source: Luo, Xiong, Liu and Sun 2019, arXiv:1902.09843; https://github.com/Luolc/AdaBound.
"""
learning_rate = tunable(0.001, low=1e-05, high=0.1, scale="log")
final_ratio = tunable(100.0, low=1.0, high=10000.0, scale="log")
gamma = tunable(0.001, low=1e-05, high=0.1, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)

def step(g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    root = sqrt(v)
    denominator = root + eps
    p1 = beta1 ** t
    c1 = 1.0 - p1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    root_c2 = sqrt(c2)
    rate = lr * root_c2
    rate = rate / c1
    rates = rate / denominator
    final = lr * final_ratio
    age = gamma * t
    older = age + 1.0
    closed = age / older  # 1 - 1 / (gamma t + 1), without its cancellation
    lower = final * closed
    opened = older / age
    upper = final * opened
    rates = maximum(rates, lower)
    rates = minimum(rates, upper)
    update = rates * m
    return update
