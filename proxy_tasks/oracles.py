"""Curvature of a task's loss where a training stands, without ever forming a matrix.

    tree v  →  H v       `hvp`, the Hessian
    tree v  →  G v       `gnvp`, the Gauss-Newton matrix Jᵀ H_judge J
    key     →  layers    what goes into every affine layer and what comes back

Trees are shaped as the parameters. All is pure, and may be traced inside any loop.

Only reverse mode is used, because `networks.matmul` states a gradient of its own, which forward
mode cannot pass. What that leaves out is made up for by symmetry and transposition:

    H v = Hᵀ v          the gradient of ⟨∇loss, v⟩
    J v = (Jᵀ)ᵀ v       u ↦ Jᵀ u is linear, so its own reverse is J
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from proxy_tasks.registry import TASKS
from proxy_tasks.sentences import listed
from proxy_tasks.task import DenseTask, Params, PredictionTask, Task

Product = Callable[[Params], Params]


def hvp(task: Task, params: Params, data: dict[str, Any], draw: PyTree[Array]) -> Product:
    """Return v ↦ H v, with H the Hessian of the loss of one step (Pearlmutter 1994).

    A relu has a second derivative of 0, at its kink too.
    """
    return transposed(jax.grad(lambda w: task.loss(w, data, draw)), params)


def gnvp(task: Task, params: Params, data: dict[str, Any], draw: PyTree[Array]) -> Product:
    """Return v ↦ G v, with G the Gauss-Newton matrix of the loss of one step (Schraudolph 2002).

    Raises  ValueError when the task does not say what it predicts.
    """
    if not isinstance(task, PredictionTask):
        able = sorted(kind for kind, cls in TASKS.items() if issubclass(cls, PredictionTask))
        raise ValueError(
            f"{task.kind} has no Gauss-Newton matrix, because it predicts nothing; "
            f"{listed(able)} do."
        )
    predictions, back = jax.vjp(lambda w: task.predict(w, data, draw), params)
    forward = transposed(lambda u: back(u)[0], jax.tree.map(jnp.zeros_like, predictions))
    bend = transposed(jax.grad(lambda p: task.judge(p, data, draw)), predictions)
    return lambda v: back(bend(forward(v)))[0]


def layers(
    task: DenseTask, params: Params, data: dict[str, Any], draw: PyTree[Array], key: PRNGKeyArray
) -> dict[str, tuple[Float[Array, "row _"], Float[Array, "row _"]]]:
    """Compute by name what goes into every layer, and the signals that come back to it.

    The signal of a row is the gradient of that row's own penalty, for a target drawn from the
    model, so that the mean of products of signals is a piece of the Fisher matrix (Martens and
    Grosse 2015). It is found as the gradient in a bias that every row has for itself.
    """
    rows = jax.eval_shape(task.predict, params, data, draw).shape[0]

    def total(biases):
        apart = {name: layer | {"bias": biases[name]} for name, layer in params.items()}
        predictions, inputs = task.layers(apart, data, draw)
        targets = jax.lax.stop_gradient(task.sample(key, predictions))
        return rows * task.penalty(predictions, targets), inputs

    biases = {
        name: jnp.broadcast_to(layer["bias"], (rows, layer["bias"].size))
        for name, layer in params.items()
    }
    signals, inputs = jax.grad(total, has_aux=True)(biases)
    return {name: (inputs[name], signals[name]) for name in params}


def transposed(function: Callable, at: PyTree[Array]) -> Callable:
    """Return v ↦ Aᵀ v, with A the Jacobian of a function at a point."""
    _, product = jax.vjp(function, at)
    return lambda v: product(v)[0]
