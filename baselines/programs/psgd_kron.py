"""PSGD-Kron: a factor for each side of a matrix, fitted by steps of its own so that preconditioned gradients are white.

Convention: the author's code of 2025 with whitened gradients, momentum after whitening, and the factors moved by dQ =
Q E, which needs no triangular solves; every step fits them. Their step is over the largest curvature so far: here
with the Frobenius norm of a Gram matrix, where the code has a lower bound of its spectral norm. Both sides of a
matrix have full factors. Vectors and numbers have a diagonal one. Rescaling the factors against each other now and
then changes nothing but their range, and is left out. A first gradient of 0 starts the factors at the identity.
Kernels are flattened.
Family: matrix
Source: Li 2015, arXiv:1512.04202; Li 2024, arXiv:2402.11858, github.com/lixilinx/psgd_torch.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
whitening_rate = tunable(0.1, low=0.01, high=1.0, scale="log")
momentum = tunable(0.9, low=0.5, high=0.99, scale="log1m")
m = zeros_like(w)
q_l = left(identity)
q_r = right(identity)
steepest_l = scalar(0.0)
steepest_r = scalar(0.0)
q = full_like(w, 1.0)

def step(w, g, lr, t):
    g2 = square(g)
    g4 = square(g2)
    g4_mean = mean(g4)
    start = g4_mean ** -0.0625
    start = where(g4_mean, start, 1.0)
    first = t == 1.0
    start = where(first, start, 1.0)
    q_l = q_l * start
    q_r = q_r * start
    q_l_t = transpose(q_l)
    q_r_t = transpose(q_r)
    p_l = q_l_t @ q_l
    p_r = q_r_t @ q_r
    x = p_l @ g
    x = x @ p_r
    rows = row_count(w)
    columns = column_count(w)
    gram = gram_left(x)
    gram2 = gram @ gram
    gram_norm = trace(gram2)
    gram_norm = sqrt(gram_norm)
    steepest = gram_norm + columns
    slow = interp(steepest, steepest_l, 0.9)
    steepest_l = maximum(slow, steepest)
    shift = negative(columns)
    error = add_diagonal(gram, shift)
    change = q_l @ error
    rate = whitening_rate / steepest_l
    change = change * rate
    q_l = q_l - change
    gram = gram_right(x)
    gram2 = gram @ gram
    gram_norm = trace(gram2)
    gram_norm = sqrt(gram_norm)
    steepest = gram_norm + rows
    slow = interp(steepest, steepest_r, 0.9)
    steepest_r = maximum(slow, steepest)
    shift = negative(rows)
    error = add_diagonal(gram, shift)
    change = q_r @ error
    rate = whitening_rate / steepest_r
    change = change * rate
    q_r = q_r - change
    steps = t - 1.0
    weight = steps / t
    beta = minimum(weight, momentum)
    m = interp(x, m, beta)
    update = m * lr
    return update

def fallback(g, lr, t):
    g2 = square(g)
    g4 = square(g2)
    g4_mean = mean(g4)
    start = g4_mean ** -0.125
    start = where(g4_mean, start, 1.0)
    first = t == 1.0
    start = where(first, start, 1.0)
    q = q * start
    p = square(q)
    x = p * g
    x2 = square(x)
    steepest = largest(x2)
    steepest = steepest + 1.0
    slow = interp(steepest, steepest_l, 0.9)
    steepest_l = maximum(slow, steepest)
    error = x2 - 1.0
    change = q * error
    rate = whitening_rate / steepest_l
    change = change * rate
    q = q - change
    steps = t - 1.0
    weight = steps / t
    beta = minimum(weight, momentum)
    m = interp(x, m, beta)
    update = m * lr
    return update
