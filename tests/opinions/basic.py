"""Opinions on the optimizers that came first: those of optax, and the seed of Lion's search."""

from __future__ import annotations

import numpy as np
import optax
from opinions.harness import by_optax, by_paper

by_optax("sgd", "optax.sgd", lambda lr: optax.sgd(lr))
by_optax("heavy_ball", "optax.sgd(momentum)", lambda lr, momentum: optax.sgd(lr, momentum=momentum))
by_optax(
    "nesterov",
    "optax.sgd(nesterov=True)",
    lambda lr, momentum: optax.sgd(lr, momentum=momentum, nesterov=True),
)
by_optax(
    "adagrad",
    "optax.adagrad(initial_accumulator_value=0)",
    lambda lr, eps: optax.adagrad(lr, initial_accumulator_value=0.0, eps=eps),
)
by_optax(
    "rmsprop",
    "optax.rmsprop(eps_in_sqrt=False)",
    lambda lr, decay, eps: optax.rmsprop(lr, decay=decay, eps=eps, eps_in_sqrt=False),
)
by_optax(
    "adam", "optax.adam", lambda lr, beta1, beta2, eps: optax.adam(lr, b1=beta1, b2=beta2, eps=eps)
)
by_optax(
    "adamw",
    "optax.adamw",
    lambda lr, beta1, beta2, eps, weight_decay: optax.adamw(
        lr, b1=beta1, b2=beta2, eps=eps, weight_decay=weight_decay
    ),
)
by_optax(
    "lion",
    "optax.lion",
    lambda lr, beta1, beta2, weight_decay: optax.lion(
        lr, b1=beta1, b2=beta2, weight_decay=weight_decay
    ),
)


@by_paper("lion_seed", "Chen et al. 2023, Program 2; 0/0 counts as 0")
def lion_seed(w, g, s, lr, t):
    s["m"] = 0.1 * g + 0.9 * s.get("m", 0.0)
    s["v"] = 0.001 * g**2 + 0.999 * s.get("v", 0.0)
    root = np.sqrt(s["v"])
    ratio = np.divide(s["m"], root, out=np.zeros_like(root), where=root > 0.0)
    return w - (ratio + 0.01 * w) * (0.001 * lr)
