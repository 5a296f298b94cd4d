"""APOLLO: each column of the gradient is scaled as Adam would scale its random projection on few directions.

Convention: the authors' code for channels, where a projection has more than one direction. The rows are projected,
whichever side is shorter; the projection is drawn anew every 50 steps (paper: 200) and has 4 directions. The scaled
gradient grows by 1.01 a step at most. The projected gradient and its moments stand in the first rows of [c, c].
Vectors and numbers take Adam. Kernels are flattened.
Family: matrix
Source: Zhu et al. 2024, arXiv:2412.05270, Algorithm 1, and github.com/zhuhanqing/APOLLO.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
rank = tunable(4.0, low=1.0, high=128.0, scale="log")
every = tunable(50.0, low=10.0, high=1000.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
scale = tunable(1.0, low=0.1, high=10.0, scale="log")
growth = 1.01
weight_decay = 0.0
p = zeros_like(w)
mean_ = right(0.0)
variance = right(0.0)
ones = row(1.0)
size = scalar(0.0)
m = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr, t, noise):
    steps = t - 1.0
    turn = steps % every
    now = turn < 1.0  # and not == 0, as every may be no whole number
    p = where(now, noise, p)
    few = keep_columns(p, rank)
    small = cross_right(few, g)
    deviation = sqrt(rank)
    small = small / deviation
    mean_ = interp(small, mean_, beta1)
    squares = square(small)
    variance = interp(squares, variance, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = mean_ / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = variance / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    moved = square(direction)
    moved = ones @ moved
    given = ones @ squares
    factor = moved / given
    factor = sqrt(factor)
    scaled = g * factor
    new = norm(scaled)
    before = size + eps
    ratio = new / before
    ratio = maximum(ratio, growth)
    limit = ratio / growth
    first = t == 1.0
    limit = where(first, 1.0, limit)
    scaled = scaled / limit
    size = new / limit
    scaled = scaled * scale
    decay = w * weight_decay
    scaled = scaled + decay
    update = scaled * lr
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
