"""Whether an optimizer can run on a task at all: said before anything runs."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from baselines.handwritten import Handwritten, Objective
from evolve.scoring.optax_optimizer import OptaxOptimizer
from evolve.scoring.optimizers import Optimizer
from primitives import Program, ProgramError
from primitives.machine.layout import Layout
from primitives.views import Views
from proxy_tasks import Task
from proxy_tasks.task import DenseTask


def check_fit(optimizer: Optimizer, task: Task) -> None:
    """Raise `ProgramError`, a sentence, where an optimizer cannot run on a task."""
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    if isinstance(optimizer, Handwritten):
        _check_handwritten(optimizer, task, shapes)
    elif isinstance(optimizer, OptaxOptimizer):
        _check_optax(optimizer, task, shapes)
    else:
        _check_program(optimizer, task, shapes)


def _check_handwritten(optimizer: Handwritten, task: Task, shapes: Any) -> None:
    flat = jax.ShapeDtypeStruct((Layout.of(shapes).size,), jnp.float32)
    gnvp = (lambda w, v: v) if "gnvp" in task.offers else None
    layers = (lambda w: ()) if isinstance(task, DenseTask) else None
    jax.eval_shape(lambda w: optimizer.init(w, Objective(jnp.sum, gnvp, layers, task.kind)), flat)


def _check_optax(optimizer: OptaxOptimizer, task: Task, shapes: Any) -> None:
    if optimizer.takes_traced(shapes):
        return
    try:
        optimizer.try_step(shapes, traced=False)
    except ProgramError:
        raise
    except Exception as fault:  # of the user's own code
        raise ProgramError(
            f"{optimizer.name} cannot take a step on {task.kind}: {type(fault).__name__}: {fault}"
        ) from fault


def _check_program(optimizer: Program, task: Task, shapes: Any) -> None:
    for name in sorted(optimizer.needs - task.offers):
        able = ", ".join(sorted(task.offers)) or "nothing"
        raise ProgramError(
            f"{optimizer.name} asks for {name!r}, and the task {task.kind} does not offer it",
            file=optimizer.file,
            line=optimizer.lines.get("step", 0),
            text=f"def step({', '.join(optimizer.inputs)}):",
            hint=f"{task.kind} offers {able}: use another program, or a suite without this task.",
        )
    leaves = jax.tree_util.tree_leaves_with_path(shapes)
    names = [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in leaves]
    Views(optimizer, [leaf.shape for _, leaf in leaves], names)
