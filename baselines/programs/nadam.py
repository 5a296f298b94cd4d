"""NAdam: Adam with Nesterov momentum.

Convention: the simplified form with a constant beta1 (optax); the program nadam_scheduled lets it grow. Dozat's second
algorithm also multiplies v_hat with beta2, which optax and torch leave out.
Family: adaptive
Optax: optax.nadam
Source: Dozat 2016, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ; equals optax.nadam.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
m = zeros_like(w)
v = zeros_like(w)

def step(g, lr, t):
    m = interp(g, m, beta1)
    g2 = square(g)
    v = interp(g2, v, beta2)
    p1 = beta1 ** t
    c1 = 1.0 - p1
    p1_next = p1 * beta1
    c1_next = 1.0 - p1_next
    m_next = m / c1_next
    g_now = g / c1
    m_hat = interp(g_now, m_next, beta1)
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    update = direction * lr
    return update
