"""Shampoo with the size of Adam's step: averaged Gram matrices, roots refreshed every few steps, decoupled decay.

Convention: as the distributed implementation of 2023. Averages of the gradient, of its square and of the Gram
matrices are corrected for their start; the roots are those of steps 1, 1 + every, 1 + 2 every, ...; each leaf's step
has the norm of Adam's. Shampoo preconditions from the first step on, and decay is times the learning rate. Damping is
relative to the trace, which bounds the largest eigenvalue, to which that of 2020 is relative. Vectors and numbers
take AdamW. Kernels are flattened.
Family: matrix
Source: Anil et al. 2020, arXiv:2002.09018; Shi et al. 2023, arXiv:2309.06497.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
damping = tunable(1e-05, low=1e-06, high=0.1, scale="log")
every = tunable(10.0, low=1.0, high=100.0, scale="log")
weight_decay = tunable(0.0001, low=1e-05, high=3.0, scale="log")
m = zeros_like(w)
v = zeros_like(w)
l = left(0.0)
r = right(0.0)
l_root = left(identity)
r_root = right(identity)

def step(w, g, lr, t):
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
    direction = m_hat / denominator
    l_now = gram_left(g)
    l = interp(l_now, l, beta2)
    r_now = gram_right(g)
    r = interp(r_now, r, beta2)
    l_hat = l / c2
    r_hat = r / c2
    size = trace(l_hat)
    ridge = damping * size
    l_damped = add_diagonal(l_hat, ridge)
    r_damped = add_diagonal(r_hat, ridge)
    l_fresh = inverse_root(l_damped, 4.0)
    r_fresh = inverse_root(r_damped, 4.0)
    steps = t - 1.0
    turn = steps % every
    now = turn < 1.0  # and not == 0, as every may be no whole number
    l_root = where(now, l_fresh, l_root)
    r_root = where(now, r_fresh, r_root)
    s = l_root @ m_hat
    s = s @ r_root
    adam_norm = norm(direction)
    s_norm = norm(s)
    graft = adam_norm / s_norm
    direction = s * graft
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update

def fallback(w, g, lr, t):
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
    direction = m_hat / denominator
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
