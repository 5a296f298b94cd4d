"""Trust-region step: the gradient step, cut back to a ball around the weights.

Convention: the ball's radius is lr · radius, in the Euclidean norm over the whole model. The radius follows the
schedule and not the success of the last step, which would need the loss.
Family: gradient descent
Source: Conn, Gould and Toint 2000, Trust-Region Methods, doi:10.1137/1.9780898719857.
"""
learning_rate = tunable(0.1, low=0.001, high=10.0, scale="log")
radius = tunable(1.0, low=0.001, high=100.0, scale="log")

def step(g, lr):
    direction = clip_by_global_norm(g, radius)
    update = direction * lr
    return update
