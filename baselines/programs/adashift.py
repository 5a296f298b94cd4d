"""AdaShift: a mean of the last ten gradients over the size of the gradient before them, which they do not know.

Convention: max-AdaShift: one denominator a leaf, from the largest |g| of ten steps ago, corrected for its start as
Adam's. The first ten steps gather gradients and move nothing: the denominator is 0, and x / 0 counts as 0.
Family: adaptive
Source: Zhou et al. 2019, arXiv:1810.00143, max-AdaShift.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
delay = 10.0
v = scalar(0.0)
past = ring(zeros_like(w), 10)

def step(g, lr, t):
    past = g
    m = past9 * beta1
    m = m + past8
    m = m * beta1
    m = m + past7
    m = m * beta1
    m = m + past6
    m = m * beta1
    m = m + past5
    m = m * beta1
    m = m + past4
    m = m * beta1
    m = m + past3
    m = m * beta1
    m = m + past2
    m = m * beta1
    m = m + past1
    m = m * beta1
    m = m + g
    share = beta1 ** delay
    all_shares = 1.0 - share
    one_share = 1.0 - beta1
    weights = all_shares / one_share
    m = m / weights
    size = largest(past10)
    size2 = square(size)
    v = interp(size2, v, beta2)
    age = t - delay
    p2 = beta2 ** age
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    direction = m / root
    update = direction * lr
    return update
