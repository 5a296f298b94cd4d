"""What an optimizer may ask about the batch of its step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

Product = Callable[[jax.Array, jax.Array], jax.Array]


class Layer(NamedTuple):
    """An affine layer on the batch of a step."""

    at: (
        np.ndarray | jax.Array
    )  # int[inputs + 1, outputs]: where in the vector of parameters are kernel and, last, bias
    inputs: jax.Array  # [row, inputs]
    signals: (
        jax.Array
    )  # [row, outputs]; a row's own gradient in what comes out, for a target that the model draws


@dataclass(frozen=True)
class Objective:
    """The loss on one batch, as a pure function of all parameters in one vector; and its
    derivatives.

    A new one for every step: a method that compares two points asks both of the same batch.
    """

    value: Callable[[jax.Array], jax.Array]
    gnvp: Product | None = None  # Gauss-Newton matrix at w, times v; None where the task has none
    layers: Callable[[jax.Array], tuple[Layer, ...]] | None = (
        None  # at w; None where the task is no row of them
    )
    task: str = "this task"  # its name, for sentences

    def gradient(self, w: jax.Array) -> jax.Array:
        return jax.grad(self.value)(w)

    def value_and_gradient(self, w: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.value_and_grad(self.value)(w)

    def hvp(self, w: jax.Array, v: jax.Array) -> jax.Array:
        """Hessian at w, times v."""
        return jax.jvp(jax.grad(self.value), (w,), (v,))[1]
