"""Mirror descent with the potential |w|^p / p: a gradient step on sign(w) |w|^(p - 1), mapped back.

Convention: the potential is a sum over coordinates, so no norm of a leaf enters (p-GD). p = 2 is gradient descent, p
near 1 is near the exponentiated gradient.
Family: mirror descent
Source: Sun, Ahn, Thrampoulidis and Azizan 2022, arXiv:2205.12808.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
p = tunable(1.5, low=1.1, high=3.0)

def step(w, g, lr):
    q = p - 1.0
    side = sign(w)
    size = abs(w)
    dual_size = size ** q
    dual = dual_size * side
    x = g * lr
    dual = dual - x
    back = 1.0 / q
    new_side = sign(dual)
    new_dual_size = abs(dual)
    new_size = new_dual_size ** back
    moved = new_size * new_side
    update = w - moved
    return update
