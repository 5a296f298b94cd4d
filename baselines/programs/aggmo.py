"""AggMo: the mean of three heavy-ball momenta of different decay.

Convention: decays 0, 0.9 and 0.99, the paper's for three buffers; the buffer of decay 0 is the gradient itself.
Gradients are added undamped, the learning rate stands outside the buffers.
Family: momentum
Source: Lucas, Sun, Zemel and Grosse 2019, arXiv:1804.00325.
"""
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.99, low=0.9, high=0.9999, scale="log1m")
m1 = zeros_like(w)
m2 = zeros_like(w)

def step(g, lr):
    kept1 = m1 * beta1
    m1 = kept1 + g
    kept2 = m2 * beta2
    m2 = kept2 + g
    both = m1 + m2
    three = both + g
    direction = three / 3.0
    update = direction * lr
    return update
