"""AdaMax: Adam with a decaying maximum of |g| in place of the root of the average square.

Convention: Algorithm 2 of the paper, without eps; 0 / 0 counts as 0. The maximum needs no correction.
Family: adaptive
Source: Kingma and Ba 2015, arXiv:1412.6980, Algorithm 2.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
m = zeros_like(w)
u = zeros_like(w)

def step(g, lr, t):
    m = interp(g, m, beta1)
    past = beta2 * u
    size = abs(g)
    u = maximum(past, size)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    direction = m_hat / u
    update = direction * lr
    return update
