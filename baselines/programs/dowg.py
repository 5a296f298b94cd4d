"""DoWG: DoG whose squared gradient norms are weighted with the squared distance from the start at their time.

Convention: optax's: eps is added to the root. The squared distance begins at the small number distance2. The learning
rate multiplies the result; leave it at 1.
Family: parameter free
Optax: optax.contrib.dowg
Source: Khaled, Mishchenko and Jin 2023, arXiv:2305.16284; equals optax.contrib.dowg.
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
distance2 = tunable(0.0001, low=1e-10, high=1.0, scale="log")
eps = 0.0001
start = copy(w)
farthest = scalar(0.0)
squares = scalar(0.0)

def step(w, g, lr):
    away = w - start
    distance = dot(away, away)
    farthest = maximum(farthest, distance)
    farthest = maximum(farthest, distance2)
    square_norm = dot(g, g)
    weighted = farthest * square_norm
    squares = squares + weighted
    root = sqrt(squares)
    denominator = root + eps
    rate = farthest / denominator
    rate = rate * lr
    update = g * rate
    return update
