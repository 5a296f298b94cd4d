"""Linear conjugate gradients: each step goes to the lowest point of the quadratic model on a line.

Convention: beta is |g|^2 / |g_prev|^2, the step g·d / |d·Hd|, inner products over the whole model, H this batch's
Hessian; a line that curves downwards counts as one that curves upwards as much. At the learning rate 1 a quadratic of n
dimensions ends after at most n steps. State d is minus the direction.
Family: conjugate gradient
Source: Hestenes and Stiefel 1952, doi:10.6028/jres.049.044.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
d = zeros_like(w)
size = scalar(0.0)

def step(g, lr, hvp):
    size_prev = size
    size = dot(g, g)
    beta = size / size_prev
    kept = d * beta
    d = g + kept
    hd = hvp(d)
    curvature = dot(d, hd)
    curvature = abs(curvature)
    slope = dot(g, d)
    length = slope / curvature
    length = length * lr
    update = d * length
    return update
