"""Newton's method: five steps of conjugate gradients solve H x = g with nothing but products with H.

Convention: Algorithm 7.1 of Nocedal and Wright without its line search, and with a fixed number of inner steps, from
x = 0. They stop at the first direction that does not curve upwards; where that is the gradient itself, it is taken.
Inner products over the whole model, H this batch's Hessian. No damping.
Family: second order
Source: Dembo and Steihaug 1983, doi:10.1007/BF02592055; Nocedal and Wright 2006, Algorithm 7.1.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")

def step(g, lr, hvp):
    x = g - g
    r = g
    d = g
    size = dot(g, g)
    going = 1.0
    hd = hvp(d)
    curvature = dot(d, hd)
    bends_up = curvature > 0.0
    going = going * bends_up
    length = size / curvature
    length = length * going
    move = d * length
    x = x + move
    change = hd * length
    r = r - change
    size_next = dot(r, r)
    beta = size_next / size
    kept = d * beta
    d = r + kept
    size = size_next
    hd = hvp(d)
    curvature = dot(d, hd)
    bends_up = curvature > 0.0
    going = going * bends_up
    length = size / curvature
    length = length * going
    move = d * length
    x = x + move
    change = hd * length
    r = r - change
    size_next = dot(r, r)
    beta = size_next / size
    kept = d * beta
    d = r + kept
    size = size_next
    hd = hvp(d)
    curvature = dot(d, hd)
    bends_up = curvature > 0.0
    going = going * bends_up
    length = size / curvature
    length = length * going
    move = d * length
    x = x + move
    change = hd * length
    r = r - change
    size_next = dot(r, r)
    beta = size_next / size
    kept = d * beta
    d = r + kept
    size = size_next
    hd = hvp(d)
    curvature = dot(d, hd)
    bends_up = curvature > 0.0
    going = going * bends_up
    length = size / curvature
    length = length * going
    move = d * length
    x = x + move
    change = hd * length
    r = r - change
    size_next = dot(r, r)
    beta = size_next / size
    kept = d * beta
    d = r + kept
    size = size_next
    hd = hvp(d)
    curvature = dot(d, hd)
    bends_up = curvature > 0.0
    going = going * bends_up
    length = size / curvature
    length = length * going
    move = d * length
    x = x + move
    solved = dot(x, x)
    direction = where(solved, x, g)
    update = direction * lr
    return update
