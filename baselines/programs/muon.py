"""Muon: momentum made nearly orthogonal, by five steps of Newton-Schulz; the other leaves by AdamW.

Convention: the author's code. Averages that start at 0 and are not corrected, Nesterov's mix of gradient and
momentum, sqrt(max(1, out / in)) with weights that are in x out, decay times the learning rate. Vectors and numbers
take AdamW with a learning rate of its own, others_rate times that of the matrices (3e-4 beside 0.02). All in the
weights' precision, where the code orthogonalises in bfloat16. Kernels are flattened, and in / out is that of the
flattened matrix.
Family: matrix
Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon, github.com/KellerJordan/Muon.
"""
learning_rate = tunable(0.02, low=0.0005, high=0.5, scale="log")
momentum = tunable(0.95, low=0.5, high=0.995, scale="log1m")
weight_decay = tunable(0.01, low=1e-05, high=1.0, scale="log")
a = 3.4445
b = -4.775
c = 2.0315
eps = 1e-07
others_rate = tunable(0.015, low=0.001, high=1.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.95, low=0.8, high=0.9999, scale="log1m")
adam_eps = 1e-10
m = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr):
    m = interp(g, m, momentum)
    ahead = interp(g, m, momentum)
    size = norm(ahead)
    size = size + eps
    x = ahead / size
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    rows = row_count(w)
    columns = column_count(w)
    ratio = columns / rows
    ratio = maximum(ratio, 1.0)
    scale = sqrt(ratio)
    direction = x * scale
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
    denominator = root + adam_eps
    direction = m_hat / denominator
    decay = w * weight_decay
    direction = direction + decay
    rate = lr * others_rate
    update = direction * rate
    return update
