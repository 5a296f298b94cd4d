"""SGD with gradient centralization: the mean is taken off the gradient of each neuron before the momentum.

Convention: Algorithm 1 of the paper, momentum as an average that is not corrected. A neuron is a column, weights
being in x out, so the mean is over the rows; optax.centralize takes the mean over all axes but the first. Kernels are
flattened to one column for each output. Vectors and numbers keep their mean.
Family: momentum
Source: Yong et al. 2020, arXiv:2004.01461, Algorithm 1.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
momentum = tunable(0.9, low=0.5, high=0.99, scale="log1m")
m = zeros_like(w)

def step(g, lr):
    g_mean = mean_over_rows(g)
    g_centred = g - g_mean
    m = interp(g_centred, m, momentum)
    update = m * lr
    return update

def fallback(g, lr):
    m = interp(g, m, momentum)
    update = m * lr
    return update
