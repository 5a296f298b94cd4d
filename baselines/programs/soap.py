"""SOAP: Adam in the eigenbases of Shampoo's matrices, which one step of power iteration keeps up to date.

Convention: the paper's Algorithm 3 in the order of the authors' code: the first step only sets the bases, by
eigenvectors, and moves nothing; the bases change after the step, every few steps, by QR; both averages are corrected
for their start, which is step 2; eps is outside the root and after the correction. The authors also sort the basis by
eigenvalue before QR; the paper and this program do not. Gram matrices decay with beta2, and decay is times the
learning rate. Vectors and numbers take AdamW, from step 2. Kernels are flattened.
Family: matrix
Source: Vyas et al. 2024, arXiv:2409.11321, Algorithms 3 and 4.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.95, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.95, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
every = tunable(10.0, low=1.0, high=100.0, scale="log")
weight_decay = tunable(0.01, low=1e-05, high=3.0, scale="log")
m = zeros_like(w)
v = zeros_like(w)
l = left(0.0)
r = right(0.0)
q_l = left(identity)
q_r = right(identity)

def step(w, g, lr, t):
    steps = t - 1.0
    first = steps == 0.0
    m_next = interp(g, m, beta1)
    m = where(first, m, m_next)
    q_l_t = transpose(q_l)
    q_r_t = transpose(q_r)
    g_turned = q_l_t @ g
    g_turned = g_turned @ q_r
    g2 = square(g_turned)
    v_next = interp(g2, v, beta2)
    v = where(first, v, v_next)
    p1 = beta1 ** steps
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** steps
    c2 = 1.0 - p2
    v_hat = v / c2
    m_turned = q_l_t @ m_hat
    m_turned = m_turned @ q_r
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_turned / denominator
    direction = q_l @ direction
    direction = direction @ q_r_t
    decay = w * weight_decay
    direction = direction + decay
    direction = where(first, 0.0, direction)
    update = direction * lr
    l_now = gram_left(g)
    l = interp(l_now, l, beta2)
    r_now = gram_right(g)
    r = interp(r_now, r, beta2)
    l_power = l @ q_l
    r_power = r @ q_r
    l_fresh = orthonormal(l_power)
    r_fresh = orthonormal(r_power)
    turn = steps % every
    now = turn < 1.0  # and not == 0, as every may be no whole number
    q_l = where(now, l_fresh, q_l)
    q_r = where(now, r_fresh, q_r)
    l_basis = eigenbasis(l)
    r_basis = eigenbasis(r)
    q_l = where(first, l_basis, q_l)
    q_r = where(first, r_basis, q_r)
    return update

def fallback(w, g, lr, t):
    steps = t - 1.0
    first = steps == 0.0
    m_next = interp(g, m, beta1)
    m = where(first, m, m_next)
    g2 = square(g)
    v_next = interp(g2, v, beta2)
    v = where(first, v, v_next)
    p1 = beta1 ** steps
    c1 = 1.0 - p1
    m_hat = m / c1
    p2 = beta2 ** steps
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = m_hat / denominator
    decay = w * weight_decay
    direction = direction + decay
    direction = where(first, 0.0, direction)
    update = direction * lr
    return update
