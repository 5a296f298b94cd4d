"""Cauchy's gradient descent: the step goes to the lowest point of the quadratic model on the line along the gradient.

Convention: the step is g·g / |g·Hg| over the whole model, H this batch's Hessian; a line that curves downwards counts
as one that curves upwards as much. At the learning rate 1 the line search is exact on a quadratic.
Family: gradient descent
Source: Cauchy 1847, Comptes rendus 25; Nocedal and Wright 2006, section 3.3.
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")

def step(g, lr, hvp):
    hg = hvp(g)
    curvature = dot(g, hg)
    curvature = abs(curvature)
    size = dot(g, g)
    length = size / curvature
    length = length * lr
    update = g * length
    return update
