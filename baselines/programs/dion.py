"""Dion: the momentum's few leading directions, made orthonormal by one step of power iteration; what they miss is kept.

Convention: Algorithm 1 of the paper, on one device. The right basis starts at the identity, where the paper draws it;
sqrt(out / in) with weights that are in x out. Columns beyond the rank are 0, in a basis of [c, c]. Vectors and
numbers take Lion with a learning rate of its own. Kernels are flattened.
Family: matrix
Source: Ahn et al. 2025, arXiv:2504.05295, Algorithm 1.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
rank = tunable(4.0, low=1.0, high=128.0, scale="log")
momentum = tunable(0.95, low=0.5, high=0.995, scale="log1m")
weight_decay = tunable(0.01, low=1e-05, high=1.0, scale="log")
others_rate = tunable(0.1, low=0.001, high=1.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.99, low=0.8, high=0.9999, scale="log1m")
m = zeros_like(w)
q = right(identity)
ones = row(1.0)

def step(w, g, lr):
    b = m + g
    p = b @ q
    p = keep_columns(p, rank)
    p = orthonormal_columns(p)
    r = cross_right(b, p)
    r_t = transpose(r)
    found = p @ r_t
    forget = 1.0 - momentum
    found = found * forget
    m = b - found
    lengths = square(r)
    lengths = ones @ lengths
    lengths = sqrt(lengths)
    q = r / lengths
    q_t = transpose(q)
    direction = p @ q_t
    rows = row_count(w)
    columns = column_count(w)
    ratio = columns / rows
    scale = sqrt(ratio)
    direction = direction * scale
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update

def fallback(w, g, lr):
    c = interp(g, m, beta1)
    direction = sign(c)
    m = interp(g, m, beta2)
    decay = w * weight_decay
    direction = direction + decay
    rate = lr * others_rate
    update = direction * rate
    return update
