"""A training that somebody watches: what it records on the way, and when it ends early.

The loops that a search runs are used as they are and stopped before and after the steps to record,
so whoever does not watch pays nothing, and the bits are the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from evolve.scoring.job import DIVERGED, OK
from evolve.scoring.loops import Begin
from evolve.scoring.optimizers import Optimizer
from evolve.scoring.trial import Trials, last_step

PATIENCE = "patience"  # how a training ended that did not become better for long


@dataclass(frozen=True, eq=False)
class Training:
    """What was recorded of one training, a number for each record.

    A record at step s is of the point before step s + 1, where the model is evaluated (of most
    optimizers the parameters themselves), on the batch of that step.
    """

    kind: str  # of the task
    optimizer: str
    step: Int[np.ndarray, " record"]  # steps done before the record
    loss: Float[np.ndarray, " record"]  # of the batch
    validation: Float[np.ndarray, " record"]  # loss on the validation part
    gradient_norm: Float[np.ndarray, " record"]  # of the batch, all leaves together
    # By leaf, such as "head.bias": the norm of the change that a step makes over that of the leaf.
    update_ratio: dict[str, Float[np.ndarray, " record"]]
    ended: str  # "ok", "diverged" or "patience"
    steps: int  # that were done
    final: float  # validation loss after them; nan where not all was finite

    @property
    def best(self) -> int:
        """The step of the record with the least validation loss."""
        return int(self.step[np.nanargmin(self.validation)])

    def __repr__(self) -> str:
        return (
            f"{self.optimizer} on {self.kind}: {self.ended} after {self.steps} steps, validation "
            f"loss {self.final:.4g}, {len(self.step)} records"
        )


def watched(
    trials: Trials,
    optimizer: Optimizer,
    seed: str,
    every: int,
    patience: int | None = None,
    schedule: str = "",
) -> Training:
    """Train, record every so many steps, and stop where the validation loss stays too long.

    patience: records in a row that are no better than the best before them; None to go on.
    """
    begin = trials.begin(seed)
    end = last_step(trials.task, begin)
    at = list(range(0, end, every))
    # Before and after the step of each record. A stop at 0 is the start, from which the next part
    # begins again.
    stops = [stop for step in at for stop in (step, step + 1)] + [end]
    run, args = trials.runner(optimizer)
    points = run.segments(args, begin, trials.rates(schedule, end), stops)
    record = jax.jit(lambda before, after, begin, step: _record(trials, before, after, begin, step))

    rows: list[Any] = []
    ended, steps, final = OK, end, math.nan
    for step in at:
        (before, _), (after, finite) = next(points), next(points)
        row = jax.device_get(record(before, after, begin, step))
        rows.append(row)
        if not (finite and np.isfinite(row["loss"])):
            ended, steps = DIVERGED, step + 1
            break
        if patience is not None and _stays([row["validation"] for row in rows], patience):
            ended, steps, final = PATIENCE, step + 1, _loss(trials, after, begin)
            break
    else:
        last, finite = next(points)
        final = _loss(trials, last, begin) if finite else math.nan
        ended = OK if math.isfinite(final) else DIVERGED

    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    own = {name: columns.pop(name) for name in ("loss", "validation", "gradient_norm")}
    taken = np.array(at[: len(rows)])
    return Training(
        trials.task.kind, optimizer.name, taken, **own, update_ratio=columns,
        ended=ended, steps=steps, final=final,
    )  # fmt: skip


def _record(
    trials: Trials,
    before: Float[Array, " size"],
    after: Float[Array, " size"],
    begin: Begin,
    step: Int[Array, ""],
) -> dict[str, Float[Array, ""]]:
    """Compute one record; leaves under their names."""
    task, params = trials.seen, trials.layout.unflatten(before)
    draw = jax.tree.map(lambda d: d[step], begin.draws.task)
    loss, gradient = jax.value_and_grad(task.loss)(params, begin.data, draw)
    sizes = [jnp.linalg.norm(leaf.ravel()) for leaf in jax.tree.leaves(gradient)]
    found = {
        "loss": loss,
        "validation": task.evaluate(params, begin.data, "validation"),
        "gradient_norm": jnp.linalg.norm(jnp.stack(sizes)),
    }
    changed = trials.layout.unflatten(after - before)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    for (path, leaf), change in zip(leaves, jax.tree.leaves(changed), strict=True):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        found[name] = jnp.linalg.norm(change.ravel()) / jnp.linalg.norm(leaf.ravel())
    return found


def _loss(trials: Trials, point: Float[Array, " size"], begin: Begin) -> float:
    return trials.evaluate(point, begin.data)


def _stays(losses: Sequence[float], patience: int) -> bool:
    """Tell whether the last records are all no better than the best before them."""
    return len(losses) > patience and not min(losses[-patience:]) < min(losses[:-patience])
