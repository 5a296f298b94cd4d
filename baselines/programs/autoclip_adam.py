"""AutoClip: the gradient is clipped at a quantile of the norms that it had so far, then Adam.

Convention: the tenth percentile of the norms of the whole model, between two of them on a straight line as numpy
has it; that of this step is among them. The last 64 norms are kept, where the paper keeps all. The ring starts at
1e10, above every norm, and the quantile is taken of those that there are.
Family: adaptive
Source: Seetharaman et al. 2020, arXiv:2007.14469, section 3, before Adam.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
quantile_ = tunable(0.1, low=0.01, high=0.99)
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
norms = ring(scalar(10000000000.0), 64)
m = zeros_like(w)
v = zeros_like(w)

def step(g, lr, t):
    norms = global_norm(g)
    known = minimum(t, 64.0)
    last = known - 1.0
    part = last / 63.0
    part = part * quantile_
    bound = window_quantile(part, norms)
    clipped = clip_by_global_norm(g, bound)
    m = interp(clipped, m, beta1)
    g2 = square(clipped)
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
    update = direction * lr
    return update
