"""AdaGrad as optax has it: the sum of squares starts above 0.

Convention: the sum starts at 0.1 and eps is inside the root; the program adagrad follows the paper.
Family: adaptive
Optax: optax.adagrad
Source: Duchi, Hazan and Singer 2011, JMLR 12; equals optax.adagrad.
"""
learning_rate = tunable(0.05, low=0.0003, high=3.0, scale="log")
eps = 1e-07
total_square = full_like(w, 0.1)

def step(g, lr):
    g2 = square(g)
    total_square = total_square + g2
    padded = total_square + eps
    root = sqrt(padded)
    direction = g / root
    update = direction * lr
    return update
