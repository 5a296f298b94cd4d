"""Clipping by value: each coordinate of the gradient is cut to lie within max_value of 0.

Convention: optax.clip and torch.nn.utils.clip_grad_value_.
Source: Mikolov 2012, PhD thesis, Brno University of Technology, section 3.2.2.
"""
max_value = tunable(1.0, low=0.001, high=100.0, scale="log")

def step(g):
    below = minimum(g, max_value)
    lowest = -max_value
    clipped = maximum(below, lowest)
    return clipped
