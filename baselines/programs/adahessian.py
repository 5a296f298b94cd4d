"""AdaHessian: Adam with an estimate of the Hessian's diagonal in place of the gradient in its denominator.

Convention: the authors' code, without averaging the estimate over the positions of a kernel (their block size 1, which
they use for all leaves of up to two axes); eps outside the root, after the corrections.
Family: second order
Source: Yao et al. 2021, arXiv:2006.00719, Algorithm 1; https://github.com/amirgholami/adahessian.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
hessian_power = 1.0
eps = 0.0001
m = zeros_like(w)
v = zeros_like(w)

def step(g, lr, t, rademacher, hvp):
    m = interp(g, m, beta1)
    product = hvp(rademacher)
    diagonal = product * rademacher
    d2 = square(diagonal)
    v = interp(d2, v, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    root = root ** hessian_power
    denominator = root + eps
    direction = m_hat / denominator
    update = direction * lr
    return update
