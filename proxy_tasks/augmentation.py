"""Augmentation of any task: each seed draws its own scales, horizon and batch.

    seen(task)  →  the task as an optimizer meets it, or the task itself where nothing varies

What is drawn is data of the compiled loop, so nothing compiles anew from seed to seed. The
reference of a score is trained on the same draws.

- `vary_scale`, `vary_leaves`: the trained parameters are w = p / s, and the loss is that of s·w. It
  is the same function of p, so the loss at the start is the same; its gradient in w is s times that
  in p. s is log-uniform in 10^-d..10^d, for all leaves together and for each leaf by itself. An
  optimizer that follows the sign of the gradient moves p by s times its step; one that measures its
  step against the norm of w does not notice. Source: Metz et al. 2022, arXiv:2211.09760, G.1.
- `vary_steps`: training ends after a number of steps, uniform between (1 - share)·steps and steps,
  with the schedule of a task that has so many.
- `vary_batch`: the first `batch` / 2^h rows of every batch are repeated to fill it, h uniform in
  0..vary_batch, so that a mean over the batch is that of the smaller one. It costs as much as the
  whole batch.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, PRNGKeyArray, PyTree

from proxy_tasks.kit.parts import PARTS
from proxy_tasks.task import DenseTask, Params, PredictionTask, Task

SCALE = "scale"
"""Where the scales of a seed lie, beside the parts of the data: a tree like the parameters."""

# What is folded into a seed's key; 3 is the optimizer's own noise.
OF_THE_SCALES, OF_THE_STEPS, OF_THE_BATCH = 4, 5, 6


def seen(task: Task) -> Task:
    """Return a task as an optimizer meets it; the task itself where its functions do not vary."""
    if not (task.vary_scale or task.vary_leaves or task.vary_batch):
        return task
    if isinstance(task, DenseTask):
        return SeenDenseTask(task)
    return SeenPredictionTask(task) if isinstance(task, PredictionTask) else SeenTask(task)


def drawn_steps(task: Task, key: PRNGKeyArray) -> Int32[Array, ""] | None:
    """Draw how many steps a seed trains; None where all seeds train all of them."""
    if not task.vary_steps:
        return None
    least = max(1, math.ceil((1 - task.vary_steps) * task.steps))
    return jax.random.randint(jax.random.fold_in(key, OF_THE_STEPS), (), least, task.steps + 1)


class SeenTask(Task, base=True):
    """A task behind the scales and the batch of a seed."""

    task: Any

    def __init__(self, task: Task):
        # Frozen, and no dataclass of its own: it answers with the task's fields.
        vars(self).update(vars(task), task=task, kind=task.kind, offers=task.offers)

    def init(self, key: PRNGKeyArray) -> Params:
        return self.task.init(key)

    def begin(
        self, key: PRNGKeyArray, data: dict[str, Any]
    ) -> tuple[Params, PyTree[Array], dict[str, Any]]:
        return self.varied(key, *self.task.begin(key, data))

    def varied(
        self, key: PRNGKeyArray, params: Params, draws: PyTree[Array], data: dict[str, Any]
    ) -> tuple[Params, PyTree[Array], dict[str, Any]]:
        """Return what the task begins with as a seed's key has it."""
        if self.task.vary_batch:
            draws = smaller_batches(self.task, jax.random.fold_in(key, OF_THE_BATCH), draws)
        if not (self.task.vary_scale or self.task.vary_leaves):
            return params, draws, data
        scale = scales(self.task, jax.random.fold_in(key, OF_THE_SCALES), params)
        return jax.tree.map(jnp.divide, params, scale), draws, data | {SCALE: scale}

    def loss(self, params: Params, data: dict[str, Any], draw: PyTree[Array]) -> Float[Array, ""]:
        return self.task.loss(*unscaled(params, data), draw)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        return self.task.evaluate(*unscaled(params, data), part)


class SeenPredictionTask(SeenTask, PredictionTask, base=True):
    """A task that predicts, behind the scales of a seed."""

    def predict(
        self, params: Params, data: dict[str, Any], draw: PyTree[Array]
    ) -> Float[Array, "..."]:
        return self.task.predict(*unscaled(params, data), draw)

    def judge(
        self, predictions: Float[Array, "..."], data: dict[str, Any], draw: PyTree[Array]
    ) -> Float[Array, ""]:
        return self.task.judge(predictions, data, draw)


class SeenDenseTask(SeenPredictionTask, DenseTask, base=True):
    """A task of affine layers, behind the scales of a seed.

    A kernel's gradient is still the product of what goes into the layer and of what comes back to
    its bias, when the inputs are as much larger as the kernel's scale is above the bias's.
    """

    def layers(
        self, params: Params, data: dict[str, Any], draw: PyTree[Array]
    ) -> tuple[Float[Array, "row ..."], dict[str, Float[Array, "row _"]]]:
        predictions, inputs = self.task.layers(*unscaled(params, data), draw)
        if SCALE in data:
            scale = data[SCALE]
            inputs = {k: x * (scale[k]["kernel"] / scale[k]["bias"]) for k, x in inputs.items()}
        return predictions, inputs

    def penalty(self, predictions: Float[Array, "row ..."], targets: Array) -> Float[Array, ""]:
        return self.task.penalty(predictions, targets)

    def sample(self, key: PRNGKeyArray, predictions: Float[Array, "row ..."]) -> Array:
        return self.task.sample(key, predictions)


def unscaled(params: Params, data: dict[str, Any]) -> tuple[Params, dict[str, Any]]:
    """Return the parameters and the data as the task knows them."""
    if SCALE not in data:
        return params, data
    return jax.tree.map(jnp.multiply, params, data[SCALE]), {part: data[part] for part in PARTS}


def scales(task: Task, key: PRNGKeyArray, params: Params) -> PyTree[Float[Array, ""]]:
    """Draw a scale for every leaf, 10^u with u uniform: one u for all, and one for each."""
    leaves, tree = jax.tree.flatten(params)
    draw = jax.random.uniform(key, (1 + len(leaves),), jnp.float32, -1.0, 1.0)
    decades = jnp.float32(task.vary_scale) * draw[0] + jnp.float32(task.vary_leaves) * draw[1:]
    return jax.tree.unflatten(tree, list(jnp.float32(10.0) ** decades))


def smaller_batches(task: Any, key: PRNGKeyArray, draws: PyTree[Array]) -> PyTree[Array]:
    """Repeat the first rows of every batch, of which a seed draws how many there are.

    Raises  ValueError where nothing that is drawn has an axis of `batch` after that of the steps.
    """

    def is_batch(leaf: Array) -> bool:
        return leaf.ndim > 1 and leaf.shape[1] == task.batch

    if not any(map(is_batch, jax.tree.leaves(draws))):
        raise ValueError(f"{task.kind}: vary_batch needs draws of shape [steps, batch, ...].")
    halvings = jax.random.randint(key, (), 0, task.vary_batch + 1)
    rows = jnp.arange(task.batch, dtype=np.int32) % (jnp.int32(task.batch) >> halvings)
    return jax.tree.map(
        lambda leaf: jnp.take(leaf, rows, axis=1) if is_batch(leaf) else leaf, draws
    )
