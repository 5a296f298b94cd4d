"""ACProp: the gradient over the root of an average of its squared deviations, all of the steps before.

Convention: the paper's deviation from the average that includes g; correction, eps and a plain first step as in the
authors' code (without its rectification). Optax takes the deviation from the average before g: acprop_optax.
Family: adaptive
Source: Zhuang et al. 2021, arXiv:2110.05454; the authors' repository juntang-zhuang/ACProp-Optimizer.
"""
learning_rate = tunable(0.001, low=1e-05, high=0.1, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-16
eps_root = 1e-16
m = zeros_like(w)
s = zeros_like(w)

def step(g, lr, t):
    late = t - 1.0
    p2 = beta2 ** late
    c2 = 1.0 - p2
    s_hat = s / c2
    first = t == 1.0
    s_hat = where(first, 1.0, s_hat)
    root = sqrt(s_hat)
    denominator = root + eps  # of the step before: it does not know g
    direction = g / denominator
    update = direction * lr
    m = interp(g, m, beta1)
    error = g - m
    error2 = square(error)
    s = interp(error2, s, beta2)
    s = s + eps_root
    return update
