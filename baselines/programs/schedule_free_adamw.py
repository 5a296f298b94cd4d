"""Schedule-free AdamW: Adam's denominator without its momentum, whose place an average of the parameters takes.

Convention: the authors' code: w holds y = (1 - beta1) z + beta1 x; z takes steps of RMSProp with a corrected
denominator and decay of y; x averages z with weights of the square of the largest learning rate so far and is where
the model is evaluated. Optax weighs with the next step's rate, which is the same where the rate does not grow.
Family: averaging
Optax: optax.contrib.schedule_free_adamw
Source: Defazio et al. 2024, arXiv:2405.15682, Algorithm 1; equals optax.contrib.schedule_free_adamw.
"""
learning_rate = tunable(0.003, low=3e-05, high=0.3, scale="log")
beta1 = tunable(0.9, low=0.5, high=0.99, scale="log1m")
beta2 = tunable(0.999, low=0.8, high=0.9999, scale="log1m")
eps = 1e-08
weight_decay = tunable(0.0001, low=1e-05, high=3.0, scale="log")
v = zeros_like(w)
z = copy(w)
x = copy(w)
lr_max = scalar(0.0)
weight_sum = scalar(0.0)

def step(w, g, lr, t):
    g2 = square(g)
    v = interp(g2, v, beta2)
    p2 = beta2 ** t
    c2 = 1.0 - p2
    v_hat = v / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction = g / denominator
    decay = w * weight_decay
    direction = direction + decay
    drop = direction * lr
    z = z - drop
    lr_max = maximum(lr_max, lr)
    weight = square(lr_max)
    weight_sum = weight_sum + weight
    share = weight / weight_sum
    x = interp(x, z, share)
    y = interp(z, x, beta1)
    update = w - y
    return update, x
