"""GrokFast-MA: the mean of the last hundred gradients is added to each, many times over, then Adam.

Convention: the authors' gradfilter_ma with warmup=False, so that the mean is of as many gradients as there are;
that of this step is among them. A ring has a fixed length: the window is no hyperparameter.
Family: adaptive
Source: Lee et al. 2024, arXiv:2405.20233, and github.com/ironjr/grokfast.
"""
learning_rate = tunable(0.001, low=1e-05, high=0.1, scale="log")
amplitude = tunable(5.0, low=0.1, high=20.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
past = ring(zeros_like(w), 100)
m = zeros_like(w)
v = zeros_like(w)

def step(g, lr, t):
    past = g
    slow = window_total(past)
    known = minimum(t, 100.0)
    slow = slow / known
    slow = slow * amplitude
    filtered = g + slow
    m = interp(filtered, m, beta1)
    g2 = square(filtered)
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
