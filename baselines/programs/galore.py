"""GaLore: Adam on the gradient's projection to a few of its singular vectors, which are found anew every few steps.

Convention: optax 0.2.8. Singular vectors on the longer side of a matrix, the left ones of a square; moments keep
their numbers when the basis changes, which is why its signs matter: here each vector's largest component is above 0.
The basis is refreshed every 50 steps (optax and the paper: 200) and has 4 directions (optax: 128). Vectors and
numbers take Adam. Kernels are flattened, as optax does if it is told the axes.
Family: matrix
Optax: optax.contrib.galore
Source: Zhao et al. 2024, arXiv:2403.03507, Algorithm 2; equals optax.contrib.galore but for signs after a refresh.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
rank = tunable(4.0, low=1.0, high=128.0, scale="log")
every = tunable(50.0, low=10.0, high=1000.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
scale = tunable(1.0, low=0.1, high=10.0, scale="log")
weight_decay = 0.0
m = zeros_like(w)
v = zeros_like(w)
q_l = left(identity)
q_r = right(identity)

def step(w, g, lr, t):
    steps = t - 1.0
    turn = steps % every
    now = turn < 1.0  # and not == 0, as every may be no whole number
    l = gram_left(g)
    r = gram_right(g)
    l_basis = eigenbasis(l)
    r_basis = eigenbasis(r)
    q_l = where(now, l_basis, q_l)
    q_r = where(now, r_basis, q_r)
    q_l_t = transpose(q_l)
    q_r_t = transpose(q_r)
    rows = row_count(w)
    columns = column_count(w)
    high = rows >= columns
    g_l = q_l_t @ g
    g_l = keep_rows(g_l, rank)
    g_r = g @ q_r
    g_r = keep_columns(g_r, rank)
    p = where(high, g_l, g_r)
    m = interp(p, m, beta1)
    g2 = square(p)
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
    d_l = q_l @ direction
    d_r = direction @ q_r_t
    direction = where(high, d_l, d_r)
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
    direction = direction * scale
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
