"""SAM around gradient descent: climb to where the loss is sharper, then descend from home by the gradient found there.

Convention: the paper's with one gradient a step, as optax's transparent mode: odd steps climb, even steps go home and
descend, at the learning rate of their own step. The norm is of the whole model.
Family: gradient descent
Optax: optax.contrib.sam
Source: Foret, Kleiner, Mobahi and Neyshabur 2021, arXiv:2010.01412, Algorithm 1; equals optax.contrib.sam.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
rho = tunable(0.05, low=0.001, high=1.0, scale="log")
home = copy(w)

def step(w, g, lr, t):
    climbing = t % 2.0
    home = where(climbing, w, home)
    g_norm = global_norm(g)
    length = rho / g_norm
    up = g * length
    climb = negative(up)
    away = w - home
    change = g * lr
    descent = away + change
    update = where(climbing, climb, descent)
    return update
