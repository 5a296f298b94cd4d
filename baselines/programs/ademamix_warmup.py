"""AdEMAMix with its warm-up: the slow average begins as fast as the other, and its weight at 0.

Convention: the paper's schedules over the first warmup steps: the weight grows evenly to alpha, the half-life of the
slow average grows evenly from that of beta1 to that of beta3. Decay times the learning rate.
Family: adaptive
Source: Pagliardini, Ablin and Grangier 2024, arXiv:2409.03137, Algorithm 1 and its schedules.
"""
learning_rate = tunable(0.001, low=1e-05, high=0.1, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
beta3 = tunable(0.9999, low=0.99, high=0.99999, scale="log1m")
alpha = tunable(5.0, low=0.5, high=20.0, scale="log")
warmup = tunable(60.0, low=10.0, high=100000.0, scale="log")
eps = 1e-08
weight_decay = tunable(0.01, low=0.0001, high=1.0, scale="log")
fast = zeros_like(w)
slow = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr, t):
    progress = t / warmup
    progress = minimum(progress, 1.0)
    mix = alpha * progress
    log1 = log(beta1)
    log3 = log(beta3)
    rate1 = reciprocal(log1)  # half-lives are ln 0.5 over the logarithm of a decay
    rate3 = reciprocal(log3)
    rate = interp(rate1, rate3, progress)
    log_decay = reciprocal(rate)
    slow_decay = exp(log_decay)
    fast = interp(g, fast, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    fast_hat = fast / c1
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    slow = interp(g, slow, slow_decay)
    denominator = root + eps
    old = slow * mix
    mixed = fast_hat + old  # slow stays uncorrected, and fills slowly
    direction = mixed / denominator
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
