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

    # int[inputs + 1, outputs]: where kernel and, last, bias are in the vector of parameters
    at: np.ndarray | jax.Array
    # [row, inputs]
    inputs: jax.Array
    # [row, outputs]: a row's own gradient in what comes out, for a target that the model draws
    signals: jax.Array


@dataclass(frozen=True)
class Objective:
    """The loss on one batch, as a pure function of all parameters in one vector; and its
    derivatives.

    A new one for every step: a method that compares two points asks both of the same batch.
    """

    value: Callable[[jax.Array], jax.Array]
    # (w, v) -> the Gauss-Newton matrix at w, times v; None where the task has none
    gnvp: Product | None = None
    # w -> the layers there; None where the task is no row of layers
    layers: Callable[[jax.Array], tuple[Layer, ...]] | None = None
    # the task's name, for sentences
    task: str = "this task"

    def gradient(self, w: jax.Array) -> jax.Array:
        return jax.grad(self.value)(w)

    def value_and_gradient(self, w: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.value_and_grad(self.value)(w)

    def hvp(self, w: jax.Array, v: jax.Array) -> jax.Array:
        """Return the Hessian at w, times v."""
        return jax.jvp(jax.grad(self.value), (w,), (v,))[1]
