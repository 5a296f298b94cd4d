"""Scion: a Frank-Wolfe step towards the corner of a norm ball that the averaged gradient points away from.

Convention: the constrained form, w (1 - lr) + lr times the corner; the average starts at 0 and is not corrected.
Matrices have the spectral norm, scaled by sqrt(out / in) with weights that are in x out, by five steps of
Newton-Schulz; vectors and numbers the largest magnitude, whose corner is a sign; each has a radius of its own. Layers
differ in the paper by their place: its last layer takes the sign, and its biases are scaled to a root mean square of
1. All in the weights' precision, where the code orthogonalises in bfloat16. Kernels are flattened.
Family: matrix
Source: Pethick et al. 2025, arXiv:2502.07529, Algorithm 2, github.com/LIONS-EPFL/scion.
"""
learning_rate = tunable(0.001, low=3e-05, high=0.1, scale="log")
alpha = tunable(0.1, low=0.01, high=0.9, scale="log")
radius = tunable(10.0, low=1.0, high=100.0, scale="log")
radius_others = tunable(10.0, low=1.0, high=1000.0, scale="log")
a = 3.4445
b = -4.775
c = 2.0315
eps = 1e-07
m = zeros_like(w)

def step(w, g, lr):
    m = interp(m, g, alpha)
    size = norm(m)
    size = size + eps
    x = m / size
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    x = newton_schulz(x, a, b, c)
    rows = row_count(w)
    columns = column_count(w)
    ratio = columns / rows
    scale = sqrt(ratio)
    scale = scale * radius
    corner = x * scale
    direction = w + corner
    update = direction * lr
    return update

def fallback(w, g, lr):
    m = interp(m, g, alpha)
    corner = sign(m)
    corner = corner * radius_others
    direction = w + corner
    update = direction * lr
    return update
