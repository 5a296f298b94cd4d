"""QHM: a weighted mean of the gradient and its average (quasi-hyperbolic momentum).

Convention: the average weighs the gradient with 1 - beta, so the learning rate is that of sgd; nu = 0.7 and
beta = 0.999 are what the authors recommend.
Family: momentum
Source: Ma and Yarats 2019, arXiv:1810.06801, equations 3 and 4.
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")
nu = tunable(0.7, low=0.0, high=1.0)
beta = tunable(0.999, low=0.5, high=0.9999, scale="log1m")
m = zeros_like(w)

def step(g, lr):
    m = interp(g, m, beta)
    direction = interp(g, m, nu)
    update = direction * lr
    return update
