"""L-BFGS: the gradient times an inverse Hessian that the last five changes of parameters and gradients describe.

Convention: no line search, the learning rate is the step. Changes s, y with s·y = 0 are left out, others are all used,
also where s·y is below 0; inner products over the whole model. The start is scaled by s·y / y·y of the last change, in
the first step by min(1, 1 / |g|), as in optax. For full batches: where gradients differ by the noise of their batches
more than by the step between them, y is too large for s, and the steps shrink to nothing.
Family: second order
Optax: optax.lbfgs
Source: Liu and Nocedal 1989, doi:10.1007/BF01589116; equals optax.lbfgs(memory_size=5, linesearch=None).
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")
w_prev = copy(w)
g_prev = copy(g)
s = ring(zeros_like(w), 4)
y = ring(zeros_like(w), 4)
sy = ring(scalar(0.0), 4)

def step(w, g, lr, t):
    s = w - w_prev
    y = g - g_prev
    w_prev = w
    g_prev = g
    sy = dot(s, y)
    q = g
    sq = dot(s, q)
    a = sq / sy
    drop = y * a
    q = q - drop
    sq = dot(s1, q)
    a1 = sq / sy1
    drop = y1 * a1
    q = q - drop
    sq = dot(s2, q)
    a2 = sq / sy2
    drop = y2 * a2
    q = q - drop
    sq = dot(s3, q)
    a3 = sq / sy3
    drop = y3 * a3
    q = q - drop
    sq = dot(s4, q)
    a4 = sq / sy4
    drop = y4 * a4
    q = q - drop
    yy = dot(y, y)
    scale = sy / yy
    changed = yy > 0.0
    scale = where(changed, scale, 1.0)
    length = global_norm(g)
    cap = reciprocal(length)
    cap = minimum(cap, 1.0)
    start = t == 1.0
    scale = where(start, cap, scale)
    q = q * scale
    yq = dot(y4, q)
    b = yq / sy4
    gain = a4 - b
    move = s4 * gain
    q = q + move
    yq = dot(y3, q)
    b = yq / sy3
    gain = a3 - b
    move = s3 * gain
    q = q + move
    yq = dot(y2, q)
    b = yq / sy2
    gain = a2 - b
    move = s2 * gain
    q = q + move
    yq = dot(y1, q)
    b = yq / sy1
    gain = a1 - b
    move = s1 * gain
    q = q + move
    yq = dot(y, q)
    b = yq / sy
    gain = a - b
    move = s * gain
    q = q + move
    update = q * lr
    return update
