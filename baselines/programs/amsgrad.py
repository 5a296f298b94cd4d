"""AMSGrad: Adam whose divisor never shrinks, the largest average of squared gradients so far.

Convention: the paper's, nothing is corrected for its start; its eps, which only the experiments have, is outside the
root. The programs amsgrad_optax and amsgrad_torch correct, in different orders.
Family: adaptive
Source: Reddi, Kale and Kumar 2018, arXiv:1904.09237, Algorithm 2;
equals optax.amsgrad(bias_correction_mu=False, bias_correction_nu=False).
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)
v_max = zeros_like(w)

def step(g, lr):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    v_max = maximum(v_max, v)
    root = sqrt(v_max)
    denominator = root + eps
    direction = m / denominator
    update = direction * lr
    return update
