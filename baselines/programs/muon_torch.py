"""Muon as torch has it: orthogonal momentum with strong decay; the other leaves by AdamW.

Convention: torch.optim.Muon with its defaults. As the author's code, but the norm is kept above eps instead of eps
added to it; sqrt(max(1, out / in)); decay times the learning rate, before that factor. torch takes matrices only: the
AdamW of the other leaves, with the same learning rate and decay, is our choice. All in the weights' precision, where
torch orthogonalises in bfloat16. Kernels are flattened.
Family: matrix
Source: Jordan et al. 2024, kellerjordan.github.io/posts/muon; equals torch.optim.Muon on matrices.
"""
learning_rate = tunable(0.02, low=0.0005, high=0.5, scale="log")
momentum = tunable(0.95, low=0.5, high=0.995, scale="log1m")
weight_decay = tunable(0.1, low=1e-05, high=1.0, scale="log")
a = 3.4445
b = -4.775
c = 2.0315
eps = 1e-07
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
adam_eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr):
    m = interp(g, m, momentum)
    ahead = interp(g, m, momentum)
    size = norm(ahead)
    size = maximum(size, eps)
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
    update = direction * lr
    return update
