"""What an optimizer may ask about the batch of its step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax

Product = Callable[[jax.Array, jax.Array], jax.Array]


@dataclass(frozen=True)
class Objective:
    """The loss on one batch, as a pure function of all parameters in one vector; and its derivatives.

    A new one for every step: a method that compares two points asks both of the same batch.
    """

    value: Callable[[jax.Array], jax.Array]
    gnvp: Product | None = None  # Gauss-Newton matrix at w, times v; None where the task has none

    def gradient(self, w: jax.Array) -> jax.Array:
        return jax.grad(self.value)(w)

    def value_and_gradient(self, w: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.value_and_grad(self.value)(w)

    def hvp(self, w: jax.Array, v: jax.Array) -> jax.Array:
        """Hessian at w, times v."""
        return jax.jvp(jax.grad(self.value), (w,), (v,))[1]


def gauss_newton(outputs: Callable[[jax.Array], jax.Array], loss: Callable[[jax.Array], jax.Array]) -> Product:
    """The product v -> Jᵀ H J v: J is the Jacobian of the outputs, H the Hessian of the loss in the outputs.

    For a cross-entropy or a squared error it is the Fisher matrix (Martens 2014, arXiv:1412.1193).
    """

    def product(w: jax.Array, v: jax.Array) -> jax.Array:
        z, pull = jax.vjp(outputs, w)
        # J v by transposing Jᵀ: layers with a gradient of their own (jax.custom_vjp) have no forward mode
        (tangent,) = jax.linear_transpose(lambda u: pull(u)[0], z)(v)
        curved = jax.jvp(jax.grad(loss), (z,), (tangent,))[1]
        return pull(curved)[0]

    return product
