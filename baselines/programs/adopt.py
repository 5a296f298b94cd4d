"""ADOPT: each gradient is divided by the root of the squares before it, clipped, and only then averaged.

Convention: the paper's with clipping at the fourth root of the step number before; the first step
only starts the squares.
Family: adaptive
Optax: optax.contrib.adopt
Source: Taniguchi et al. 2024, arXiv:2411.02853, Algorithm 2; equals optax.contrib.adopt.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.9999, low=0.9, high=0.99999, scale="log1m")
eps = 1e-06
m = zeros_like(w)
v = zeros_like(w)

def step(g, lr, t):
    root = sqrt(v)
    denominator = maximum(root, eps)
    direction = g / denominator
    late = t - 1.0
    bound = late ** 0.25  # 0 at the first step, which leaves m at 0
    low = negative(bound)
    direction = maximum(direction, low)
    direction = minimum(direction, bound)
    m = interp(direction, m, beta1)
    g2 = square(g)
    average = interp(g2, v, beta2)
    first = t == 1.0
    v = where(first, g2, average)
    update = m * lr
    return update
