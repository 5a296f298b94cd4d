"""AdaMaxW: AdaMax with decoupled weight decay.

Convention: decay times the learning rate; eps inside the maximum (optax).
Family: adaptive
Optax: optax.adamaxw
Source: Kingma and Ba 2015, arXiv:1412.6980, Algorithm 2; Loshchilov and Hutter, arXiv:1711.05101;
equals optax.adamaxw.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
weight_decay = tunable(0.0001, low=1e-05, high=3.0, scale="log")
m = zeros_like(w)
u = zeros_like(w)

def step(w, g, lr, t):
    m = interp(g, m, beta1)
    past = beta2 * u
    size = abs(g)
    padded = size + eps
    u = maximum(past, padded)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    m_hat = m / c1
    direction = m_hat / u
    decay = w * weight_decay
    direction = direction + decay
    update = direction * lr
    return update
