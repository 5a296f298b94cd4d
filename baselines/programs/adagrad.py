"""AdaGrad: each coordinate divided by the root of its sum of squared gradients.

Convention: the paper's, the sum starts at 0 and eps stands outside the root. Optax starts at 0.1 and
puts 1e-7 inside the root by default; with both 0 the two agree (0 / 0 counts as 0 in each).
Family: adaptive
Source: Duchi, Hazan and Singer 2011, JMLR 12; optax.adagrad(initial_accumulator_value=0, eps=0).
"""
learning_rate = tunable(0.05, low=0.0003, high=3.0, scale="log")
eps = 0.0
total_square = zeros_like(w)

def step(g, lr):
    g2 = square(g)
    total_square = total_square + g2
    root = sqrt(total_square)
    denominator = root + eps
    direction = g / denominator
    update = direction * lr
    return update
