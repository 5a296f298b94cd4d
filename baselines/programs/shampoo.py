"""Shampoo: a gradient between the inverse fourth roots of the sums of its Gram matrices.

Convention: Algorithm 1 of the paper. The sums start at eps times the identity, here added where the root is taken; no
momentum, no grafting. Vectors and numbers take AdaGrad, the diagonal of the paper's form for one axis, its sum
started at eps. Kernels are flattened, where the paper has a matrix for each of their axes.
Family: matrix
Source: Gupta, Koren and Singer 2018, arXiv:1802.09568, Algorithm 1.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
eps = tunable(0.0001, low=1e-08, high=0.1, scale="log")
l = left(0.0)
r = right(0.0)
v = zeros_like(w)

def step(g, lr):
    l_now = gram_left(g)
    l = l + l_now
    r_now = gram_right(g)
    r = r + r_now
    l_damped = add_diagonal(l, eps)
    r_damped = add_diagonal(r, eps)
    l_root = inverse_root(l_damped, 4.0)
    r_root = inverse_root(r_damped, 4.0)
    direction = l_root @ g
    direction = direction @ r_root
    update = direction * lr
    return update

def fallback(g, lr):
    g2 = square(g)
    v = v + g2
    v_damped = v + eps
    root = sqrt(v_damped)
    direction = g / root
    update = direction * lr
    return update
