"""MARS-AdamW: AdamW on a gradient that is corrected by its change since the last step (variance reduction).

Convention: the authors' approximate form: the change is that of the batch gradient, which counts as 0 before the first;
the corrected gradient is cut to norm 1 per leaf, as in their code. They use AdamW for leaves that are no matrices;
here all leaves are corrected.
Family: variance reduction
Source: Yuan et al. 2024, arXiv:2411.10438; https://github.com/AGI-Arena/MARS.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
gamma = tunable(0.025, low=0.001, high=1.0, scale="log")
beta1 = tunable(0.95, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.99, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
weight_decay = tunable(0.0001, low=1e-05, high=3.0, scale="log")
m = zeros_like(w)
v = zeros_like(w)
g_prev = zeros_like(w)

def step(w, g, lr, t):
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
    square_c = square(c)
    v = interp(square_c, v, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
