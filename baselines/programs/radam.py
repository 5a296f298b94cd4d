"""RAdam: Adam whose first steps are shortened, or taken without a divisor, while the divisor is a poor estimate.

Convention: rectified where rho >= 5 (the authors' code, optax); the paper says rho > 4. eps outside the root and after
the correction. The paper's rho = rho_end - 2 * t * beta2 ** t / (1 - beta2 ** t) is a small difference of numbers
near 2000; here it is computed as 1 + 2 * (mean age of the gradients in v), which is the same and keeps its digits.
Family: adaptive
Optax: optax.radam
Source: Liu et al. 2020, arXiv:1908.03265, Algorithm 2; equals optax.radam.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
threshold = 5.0
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)
age = scalar(0.0)
weight = scalar(0.0)

def step(g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    age = age + weight
    age = beta2 * age
    weight = beta2 * weight
    weight = weight + 1.0
    mean_age = age / weight
    span = 2.0 * mean_age
    rho = span + 1.0
    share = 1.0 - beta2
    span_end = 2.0 / share
    rho_end = span_end - 1.0
    rho_4 = rho - 4.0
    rho_2 = rho - 2.0
    above = rho_4 * rho_2
    above = above * rho_end
    end_4 = rho_end - 4.0
    end_2 = rho_end - 2.0
    below = end_4 * end_2
    below = below * rho
    r2 = above / below
    r = sqrt(r2)
    adam = m_hat / denominator
    rectified = r * adam
    enough = rho >= threshold
    direction = where(enough, rectified, m_hat)
    update = direction * lr
    return update
