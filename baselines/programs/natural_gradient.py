"""Natural gradient: five steps of conjugate gradients solve (F + damping) x = g.

Convention: F is the Gauss-Newton matrix of this batch, which is Fisher's matrix of the model's own predictions for
squared errors and for cross-entropy; a fixed number of inner steps from x = 0, inner products over the whole model.
Family: second order
Source: Amari 1998, doi:10.1162/089976698300017746; Martens 2020, arXiv:1412.1193; Schraudolph 2002.
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")
damping = tunable(0.1, low=0.0001, high=10.0, scale="log")

def step(g, lr, gnvp):
    x = g - g
    r = g
    d = g
    size = dot(g, g)
    fd = gnvp(d)
    damp = d * damping
    fd = fd + damp
    curvature = dot(d, fd)
    length = size / curvature
    move = d * length
    x = x + move
    change = fd * length
    r = r - change
    size_next = dot(r, r)
    beta = size_next / size
    kept = d * beta
    d = r + kept
    size = size_next
    fd = gnvp(d)
    damp = d * damping
    fd = fd + damp
    curvature = dot(d, fd)
    length = size / curvature
    move = d * length
    x = x + move
    change = fd * length
    r = r - change
    size_next = dot(r, r)
    beta = size_next / size
    kept = d * beta
    d = r + kept
    size = size_next
    fd = gnvp(d)
    damp = d * damping
    fd = fd + damp
    curvature = dot(d, fd)
    length = size / curvature
    move = d * length
    x = x + move
    change = fd * length
    r = r - change
    size_next = dot(r, r)
    beta = size_next / size
    kept = d * beta
    d = r + kept
    size = size_next
    fd = gnvp(d)
    damp = d * damping
    fd = fd + damp
    curvature = dot(d, fd)
    length = size / curvature
    move = d * length
    x = x + move
    change = fd * length
    r = r - change
    size_next = dot(r, r)
    beta = size_next / size
    kept = d * beta
    d = r + kept
    size = size_next
    fd = gnvp(d)
    damp = d * damping
    fd = fd + damp
    curvature = dot(d, fd)
    length = size / curvature
    move = d * length
    x = x + move
    update = x * lr
    return update
