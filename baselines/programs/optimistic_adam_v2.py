"""Optimistic Adam as optax has it: the optimistic rule on the direction of Adam with Nesterov's momentum.

Convention: optax's second version, where the learning rate scales the whole step; with alpha and beta 1 it is twice the
direction less the previous one. The first step is its own predecessor.
Family: adaptive
Optax: optax.optimistic_adam_v2
Source: Daskalakis, Ilyas, Syrgkanis and Zeng 2018, arXiv:1711.00141; equals optax.optimistic_adam_v2.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
alpha = tunable(1.0, low=0.1, high=10.0, scale="log")
beta = tunable(1.0, low=0.05, high=10.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)
previous = zeros_like(w)

def step(g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    p_next = p1 * beta1
    c_next = 1.0 - p_next
    m_next = m / c_next
    g_hat = g / c1
    m_hat = interp(g_hat, m_next, beta1)  # the momentum that the next step will see
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    first = t == 1.0
    previous = where(first, direction, previous)
    weight = alpha + beta
    now = direction * weight
    before = previous * beta
    change = now - before
    update = change * lr
    previous = direction
    return update
