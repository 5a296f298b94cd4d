"""NAdam with its momentum schedule: the weight mu of the past grows from beta1 / 2 towards beta1.

Convention: torch's and Keras': mu = beta1 * (1 - 0.96 ** (0.004 * t) / 2) weighs and corrects, with the product of
all mu so far in place of a power of beta1; the average m itself keeps the constant beta1.
Family: adaptive
Source: Dozat 2016, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ; the rule of torch.optim.NAdam.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
momentum_decay = 0.004
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)
product = scalar(1.0)

def step(g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    age = t * momentum_decay
    age_next = age + momentum_decay
    fade = 0.96 ** age
    fade_next = 0.96 ** age_next
    half = 0.5 * fade
    half_next = 0.5 * fade_next
    share = 1.0 - half
    share_next = 1.0 - half_next
    mu = beta1 * share
    mu_next = beta1 * share_next
    product = product * mu
    product_next = product * mu_next
    c1 = 1.0 - product
    c1_next = 1.0 - product_next
    one_minus_mu = 1.0 - mu
    g_weight = one_minus_mu / c1
    m_weight = mu_next / c1_next
    g_part = g_weight * g
    m_part = m_weight * m
    m_hat = g_part + m_part
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    update = direction * lr
    return update
