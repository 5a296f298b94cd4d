"""Adai: momentum whose decay is lower, per coordinate, where gradients are large against the mean over the model.

Convention: the authors' code: squares corrected for their start, decays within 0 and 1 - eps, the average of gradients
corrected by the product of its decays; the learning rate is that of sgd. No weight decay.
Family: momentum
Source: Xie et al. 2022, arXiv:2006.15815; https://github.com/zeke-xie/adaptive-inertia-adai.
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")
beta0 = tunable(0.1, low=0.001, high=1.0, scale="log")
beta2 = tunable(0.99, low=0.8, high=0.9999, scale="log1m")
eps = 0.001
m = zeros_like(w)
v = zeros_like(w)
decayed = full_like(w, 1.0)

def step(g, lr, t):
    g2 = square(g)
    v = interp(g2, v, beta2)
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    whole = global_total(v_hat)
    n = global_count(g)
    typical = whole / n
    relative = v_hat / typical
    gain = relative * beta0
    beta1 = 1.0 - gain
    beta1 = maximum(beta1, 0.0)
    most = 1.0 - eps
    beta1 = minimum(beta1, most)
    kept = m * beta1
    share = 1.0 - beta1
    new = g * share
    m = kept + new
    decayed = decayed * beta1
    c1 = 1.0 - decayed
    m_hat = m / c1
    update = m_hat * lr
    return update
