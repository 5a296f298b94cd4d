"""Schedule-free gradient descent: gradients are taken between a fast sequence and its average, which is what counts.

Convention: the authors' code: w holds y = (1 - beta) z + beta x; z descends, x averages z with weights of the square of
the largest learning rate so far and is where the model is evaluated. Optax weighs with the next step's rate, which is
the same where the rate does not grow.
Family: averaging
Optax: optax.contrib.schedule_free, optax.contrib.schedule_free_sgd
Source: Defazio et al. 2024, arXiv:2405.15682; equals optax.contrib.schedule_free_sgd.
"""
learning_rate = tunable(0.3, low=0.003, high=30.0, scale="log")
beta = tunable(0.9, low=0.5, high=0.99, scale="log1m")
z = copy(w)
x = copy(w)
lr_max = scalar(0.0)
weight_sum = scalar(0.0)

def step(w, g, lr):
    drop = g * lr
    z = z - drop
    lr_max = maximum(lr_max, lr)
    weight = square(lr_max)
    weight_sum = weight_sum + weight
    share = weight / weight_sum
    x = interp(x, z, share)
    y = interp(z, x, beta)
    update = w - y
    return update, x
