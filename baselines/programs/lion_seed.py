"""The program that Lion's search started from: AdamW without bias correction and without epsilon.

Convention: the constants stand in the program and lr is the schedule's shape alone, as in the paper.
Family: adaptive
Source: Chen et al. 2023, arXiv:2302.06675.
"""
learning_rate = 1.0
m = zeros_like(w)
v = zeros_like(w)

def step(w, g, lr):
    g2 = square(g)
    m = interp(g, m, 0.9)
    v = interp(g2, v, 0.999)
    sqrt_v = sqrt(v)
    update = m / sqrt_v
    wd = w * 0.01
    update = update + wd
    lr = lr * 0.001
    update = update * lr
    return update
