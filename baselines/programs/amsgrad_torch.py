"""AMSGrad as torch has it: the largest average of squared gradients so far, then corrected.

Convention: the maximum is taken over the uncorrected averages and corrected at each step, as is m (torch).
Family: adaptive
Source: Reddi, Kale and Kumar 2018, arXiv:1904.09237; the rule of torch.optim.Adam(amsgrad=True).
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)
v_max = zeros_like(w)

def step(g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    v_max = maximum(v_max, v)
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v_max / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    update = direction * lr
    return update
