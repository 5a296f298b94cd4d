"""SM3: AdaGrad whose sums are kept for rows and columns only; a weight's own is bounded by the lesser of its two.

Convention: SM3-II with momentum as an average (optax, whose eps stands inside the root). Kernels are flattened, where
optax keeps a sum for each of their axes; vectors and numbers take AdaGrad.
Family: adaptive
Optax: optax.sm3
Source: Anil et al. 2019, arXiv:1901.11150, SM3-II; equals optax.sm3 on vectors and matrices.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
momentum = tunable(0.9, low=0.5, high=0.99, scale="log1m")
eps = 1e-08
r = column(0.0)
c = row(0.0)
v = zeros_like(w)
m = zeros_like(w)

def step(g, lr):
    g2 = square(g)
    bound = minimum(r, c)
    v_now = bound + g2
    r = largest_over_columns(v_now)
    c = largest_over_rows(v_now)
    v_damped = v_now + eps
    root = sqrt(v_damped)
    direction = g / root
    m = interp(direction, m, momentum)
    update = m * lr
    return update

def fallback(g, lr):
    g2 = square(g)
    v = v + g2
    v_damped = v + eps
    root = sqrt(v_damped)
    direction = g / root
    m = interp(direction, m, momentum)
    update = m * lr
    return update
