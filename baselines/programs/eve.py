"""Eve: Adam whose learning rate is divided by an average of how much the loss changes, against its height.

Convention: Algorithm 1 of the paper's third version, with a lowest loss f_star of 0 that is given; the average starts
at 1, at the first step. Adam with both corrections and eps outside the root.
Family: adaptive
Source: Hayashi, Koushik and Neubig 2016, arXiv:1611.01505.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
beta3 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
c = tunable(10.0, low=1.5, high=100.0, scale="log")
eps = 1e-08
f_star = 0.0
m = zeros_like(w)
v = zeros_like(w)
d = scalar(1.0)
loss_prev = scalar(0.0)

def step(g, lr, t, loss):
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
    difference = loss - loss_prev
    change = abs(difference)
    lowest = minimum(loss, loss_prev)
    height = lowest - f_star
    relative = change / height
    least = 1.0 / c
    relative = maximum(relative, least)
    relative = minimum(relative, c)
    later = interp(relative, d, beta3)
    first = t == 1.0
    d = where(first, d, later)
    loss_prev = loss
    direction = direction / d
    update = direction * lr
    return update
