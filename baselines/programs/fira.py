"""Fira: GaLore's Adam in a few singular directions, and beside it the rest of the gradient, scaled column by column alike.

Convention: the authors' code. Left singular vectors, whichever side is shorter; each has its largest component above
0. The basis is refreshed every 50 steps (paper: 200) and has 4 directions; moments keep their numbers then. The scaled
rest grows by 1.01 a step at most. Vectors and numbers take Adam. Kernels are flattened.
Family: matrix
Source: Chen et al. 2024, arXiv:2410.01623, Algorithm 1, and github.com/xichen-fy/Fira.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
rank = tunable(4.0, low=1.0, high=128.0, scale="log")
every = tunable(50.0, low=10.0, high=1000.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
scale = tunable(1.0, low=0.1, high=10.0, scale="log")
growth = 1.01
weight_decay = 0.0
m = zeros_like(w)
v = zeros_like(w)
q = left(identity)
size = scalar(0.0)

def step(w, g, lr, t):
    steps = t - 1.0
    turn = steps % every
    now = turn < 1.0  # and not == 0, as every may be no whole number
    l = gram_left(g)
    basis = eigenbasis(l)
    q = where(now, basis, q)
    q_t = transpose(q)
    small = q_t @ g
    small = keep_rows(small, rank)
    m = interp(small, m, beta1)
    g2 = square(small)
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
    inside = q @ small
    rest = g - inside
    moved = norm_over_rows(direction)
    given = norm_over_rows(small)
    factor = moved / given
    rest = rest * factor
    new = norm(rest)
    before = size + eps
    ratio = new / before
    ratio = maximum(ratio, growth)
    limit = ratio / growth
    first = t == 1.0
    limit = where(first, 1.0, limit)
    rest = rest / limit
    size = new / limit
    direction = q @ direction
    direction = direction + rest
    direction = direction * scale
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
