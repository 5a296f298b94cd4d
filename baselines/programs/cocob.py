"""COCOB: each coordinate bets a fraction of its wealth on the outcome of the next gradient; there is no step length.

Convention: optax's: the largest gradient so far starts at 1e-08, which keeps the paper's 0 / 0 away, and the learning
rate multiplies the gradients, so a constant one changes next to nothing: leave it at 1; it carries the schedule.
Family: parameter free
Optax: optax.contrib.cocob
Source: Orabona and Tommasi 2017, arXiv:1705.07795, Algorithm 2; equals optax.contrib.cocob.
"""
learning_rate = tunable(1.0, low=0.01, high=100.0, scale="log")
alpha = tunable(100.0, low=10.0, high=1000.0, scale="log")
start = copy(w)
largest_g = full_like(w, 1e-08)
sizes = zeros_like(w)
reward = zeros_like(w)
outcomes = zeros_like(w)

def step(w, g, lr):
    scaled = g * lr
    size = abs(scaled)
    largest_g = maximum(largest_g, size)
    sizes = sizes + size
    away = w - start
    lost = scaled * away
    reward = reward - lost
    reward = maximum(reward, 0.0)
    outcomes = outcomes - scaled
    seen = sizes + largest_g
    least = largest_g * alpha
    bound = maximum(seen, least)
    denominator = largest_g * bound
    fraction = outcomes / denominator
    wealth = largest_g + reward
    bet = fraction * wealth
    after = start + bet
    update = w - after
    return update
