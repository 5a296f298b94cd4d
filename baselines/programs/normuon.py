"""NorMuon: Muon's orthogonal update, divided by a running mean square of each neuron and brought back to its norm.

Convention: the authors' code, which keeps Muon's sqrt(max(1, out / in)); the paper sets the root mean square of the
update to 0.2 instead. Neurons are columns, weights being in x out; nothing is corrected for its start; decay is times
the learning rate. Vectors and numbers take AdamW with a learning rate of their own, others_rate times that of the
matrices. All in the weights' precision, where the code orthogonalises in bfloat16. Kernels are flattened.
Family: matrix
Source: Li et al. 2025, arXiv:2510.05491, github.com/zichongli5/NorMuon.
"""
learning_rate = tunable(0.02, low=0.0005, high=0.5, scale="log")
momentum = tunable(0.95, low=0.5, high=0.995, scale="log1m")
neuron_beta = tunable(0.95, low=0.5, high=0.999, scale="log1m")
weight_decay = tunable(0.01, low=1e-05, high=1.0, scale="log")
a = 3.4445
b = -4.775
c = 2.0315
eps = 1e-07
neuron_eps = 1e-10
others_rate = tunable(0.015, low=0.001, high=1.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.95, low=0.8, high=0.9999, scale="log1m")
m = zeros_like(w)
v = zeros_like(w)
n = row(0.0)

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
    x_norm = norm(x)
    x2 = square(x)
    x2_mean = mean_over_rows(x2)
    n = interp(x2_mean, n, neuron_beta)
    n_root = sqrt(n)
    n_root = n_root + neuron_eps
    y = x / n_root
    y_norm = norm(y)
    y_norm = y_norm + neuron_eps
    back = x_norm / y_norm
    y = y * back
    rows = row_count(w)
    columns = column_count(w)
    ratio = columns / rows
    ratio = maximum(ratio, 1.0)
    scale = sqrt(ratio)
    direction = y * scale
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
    denominator = root + neuron_eps
    direction = m_hat / denominator
    decay = w * weight_decay
    direction = direction + decay
    rate = lr * others_rate
    update = direction * rate
    return update
