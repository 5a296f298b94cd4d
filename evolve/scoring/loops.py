"""Training loops: what an optimizer carries from step to step, for each way to run one.

The machine has one loop for all programs that fit, with the program as an
argument. What it cannot hold runs through the same loop with a step of its own:
matrix programs and those that ask the task for more than a gradient, compiled
from their meaning; optimizers written by hand; and those written with Optax.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int32, PRNGKeyArray

from baselines.handwritten import Handwritten, Layer, Objective
from evolve.scoring.optax_optimizer import OptaxOptimizer
from primitives import Program, meaning
from primitives.machine import step as machine
from primitives.machine.layout import Layout
from primitives.statements import LEARNING_RATE
from proxy_tasks import Task, oracles
from proxy_tasks.task import DenseTask


class Draws(NamedTuple):
    """All that is random in training."""

    task: Any  # of the task; leaves have a leading axis `steps`
    key: PRNGKeyArray  # of the optimizer's own noise


class Batch(NamedTuple):
    """What an optimizer may ask about the batch of its step."""

    loss: Float[Array, ""]  # at w
    draw: Any  # of the task, for its oracles
    data: Any
    key: PRNGKeyArray
    run_progress: Float[Array, ""]  # the share of the steps that is done before this one


class Begin(NamedTuple):
    """Where a training begins."""

    w: Float[Array, " size"]
    draws: Draws
    data: Any
    steps: Int32[Array, ""] | None = None  # at which it ends; None where all seeds take all


@dataclass(frozen=True, eq=False)
class Loop:
    """An optimizer's part of a training loop. What it carries is a tree of arrays.

    `args` distinguishes optimizers that share one compiled loop: the code of a program, or
    hyperparameters.
    """

    init: Callable[[Any, Begin], Any]  # (args, begin) -> carried
    params: Callable[[Any], Any]  # carried -> the parameter tree
    # (args, carried, gradient, shape, t, batch) -> carried; shape is the schedule's value
    step: Callable[[Any, Any, Any, jax.Array, jax.Array, Batch], Any]
    # (args, carried) -> dtype[size]: where the model is evaluated
    point: Callable[[Any, Any], jax.Array]
    # (function, carried) -> carried, with the function applied to every array of parameters
    change: Callable[[Callable[[jax.Array], jax.Array], Any], Any]
    # (args, begin, memory, fresh) -> carried: see `begin`; None where any way to do so will do
    again: Callable[[Any, Begin, Any, jax.Array], Any] | None = None

    def begin(self, args: Any, begin: Begin, memory: Any, fresh: jax.Array) -> Any:
        """Begin in memory that was carried before, or go on with what it holds where not fresh."""
        if self.again is not None:
            return self.again(args, begin, memory, fresh)
        return jax.lax.cond(fresh, lambda m: self.init(args, begin), lambda m: m, memory)


def train(
    task: Task,
    loop: Loop,
    args: Any,
    memory: Any,
    begin: Begin,
    schedule: Float[Array, " steps"],
    span: Int32[Array, 2],
) -> tuple[Float[Array, " size"], Bool[Array, ""], Any]:
    """Train from step span[0] to span[1]; from the beginning where span[0] is 0.

    It stops early once the loss is not finite: the trial has diverged. Returns the point at which
    the model is evaluated, whether all is finite, and what is carried on.
    """

    def go_on(state):
        i, finite, _ = state
        return (i < span[1]) & finite

    def advance(state):
        i, _, carried = state
        draw = jax.tree.map(
            lambda d: jax.lax.dynamic_index_in_dim(d, i, 0, keepdims=False), begin.draws.task
        )
        # By the leaves, not by one flat vector: the gradient of its slices would be a sum of padded
        # copies.
        value, gradient = jax.value_and_grad(lambda params: task.loss(params, begin.data, draw))(
            loop.params(carried)
        )
        batch = Batch(
            value,
            draw,
            begin.data,
            jax.random.fold_in(begin.draws.key, i),
            share_done(i, schedule, begin.steps),
        )
        after = loop.step(
            args, carried, gradient, schedule[i], (i + 1).astype(schedule.dtype), batch
        )
        if task.storage in STORED:
            after = loop.change(STORED[task.storage], after)
        return i + 1, jnp.isfinite(value), after

    carried = loop.begin(args, begin, memory, span[0] == 0)
    _, finite, carried = jax.lax.while_loop(go_on, advance, (span[0], jnp.bool(True), carried))
    final = loop.point(args, carried)
    return final, finite & jnp.all(jnp.isfinite(final)), carried


def as_bfloat16(x: jax.Array) -> jax.Array:
    """Round to 8 bits of exponent and 7 of mantissa, to even: what bfloat16 can hold."""
    return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)


STORED = {"bfloat16": as_bfloat16}
"""What parameters are rounded to after every update, by the storage of a task; float32 not at all.

The buffers stay float32: it costs one operation a parameter, and shows what storage does to a
training, not what memory it saves. States of optimizers stay as they are.
"""


def machine_loop(layout: Layout) -> Loop:
    """Any program that fits, as data. args: its `Code`."""

    def step(code, bank, gradient, shape, t, batch):
        return machine.step(code, layout, bank, gradient, shape, t, batch.loss)

    return Loop(
        init=lambda code, begin: machine.start(code, layout, begin.w),
        params=lambda bank: layout.unflatten(bank.w),
        step=step,
        point=machine.point,
        change=lambda function, bank: bank._replace(w=function(bank.w)),
        again=lambda code, begin, bank, fresh: machine.restart(code, layout, begin.w, bank, fresh),
    )


def _of_pair(function: Callable[[jax.Array], jax.Array], carried: Any) -> Any:
    """Change the parameters of a loop that carries them with a state."""
    params, state = carried
    return jax.tree.map(function, params), state


def program_loop(task: Task, layout: Layout, program: Program) -> Loop:
    """The meaning of a program, traced. args: its hyperparameters by name."""

    def init(values, begin):
        params = layout.unflatten(begin.w)
        return params, meaning.init(program, params)

    def step(values, carried, gradient, shape, t, batch):
        params, states = carried
        feed = {name: offer(task, layout, name, params, batch) for name in sorted(program.needs)}
        return meaning.step(program, params, gradient, states, shape, t, feed=feed, values=values)

    return Loop(
        init=init,
        params=lambda carried: carried[0],
        step=step,
        point=lambda values, carried: layout.flatten(meaning.evaluation(program, *carried)),
        change=_of_pair,
    )


def share_done(
    step: Int32[Array, ""], schedule: Float[Array, " steps"], end: Int32[Array, ""] | None
) -> Float[Array, ""]:
    """Return which share of the run's steps is done, after some steps.

    end: where the run ends, if not with the schedule. A constant is divided by faster.
    """
    steps = schedule.shape[0] if end is None else end.astype(schedule.dtype)
    return step.astype(schedule.dtype) / steps


def offer(task: Task, layout: Layout, name: str, params: Any, batch: Batch) -> Any:
    """Return what a task offers to programs under a name.

    That is a number, a tree as `params`, or a function of such a tree.
    """
    if name in ("loss", "run_progress"):
        return getattr(batch, name)
    if name == "noise":
        return layout.unflatten(jax.random.normal(jax.random.fold_in(batch.key, 0), (layout.size,)))
    if name == "rademacher":
        signs = jax.random.rademacher(jax.random.fold_in(batch.key, 1), (layout.size,), jnp.float32)
        return layout.unflatten(signs)
    return getattr(oracles, name)(task, params, batch.data, batch.draw)


def handwritten_loop(task: Task, layout: Layout, optimizer: Handwritten) -> Loop:
    """An optimizer that is no program.

    args: its hyperparameters by name, of which the learning rate is traced.
    """
    at = layout.unflatten(np.arange(layout.size))

    def objective(data, draw, key) -> Objective:
        def value(w):
            return task.loss(layout.unflatten(w), data, draw)

        def gnvp(w, v):
            product = oracles.gnvp(task, layout.unflatten(w), data, draw)
            return layout.flatten(product(layout.unflatten(v)))

        def layers(w):
            assert isinstance(task, DenseTask)
            found = oracles.layers(
                task, layout.unflatten(w), data, draw, jax.random.fold_in(key, 2)
            )
            return tuple(
                Layer(np.vstack([at[name]["kernel"], at[name]["bias"]]), *seen)
                for name, seen in found.items()
            )

        return Objective(
            value,
            gnvp if "gnvp" in task.offers else None,
            layers if isinstance(task, DenseTask) else None,
            task.kind,
        )

    def init(values, begin):
        first = jax.tree.map(lambda d: d[0], begin.draws.task)
        return begin.w, optimizer.init(begin.w, objective(begin.data, first, begin.draws.key))

    def step(values, carried, gradient, shape, t, batch):
        w, state = carried
        return optimizer.step(
            w, state, objective(batch.data, batch.draw, batch.key), shape * values["learning_rate"]
        )

    return Loop(
        init=init,
        params=lambda carried: layout.unflatten(carried[0]),
        step=step,
        point=lambda values, c: c[0],
        change=_of_pair,
    )


def optax_loop(task: Task, layout: Layout, optimizer: OptaxOptimizer) -> Loop:
    """An optimizer written with Optax.

    args: those of its hyperparameters that are traced, by name; the others are as it has them.
    """

    def init(values, begin):
        params = layout.unflatten(begin.w)
        return params, optimizer.init(optimizer.values | values, params)

    def step(values, carried, gradient, shape, t, batch):
        params, state = carried
        values = optimizer.values | values
        if LEARNING_RATE in values:
            values |= {LEARNING_RATE: shape * values[LEARNING_RATE]}

        def value_fn(params):
            return task.loss(params, batch.data, batch.draw)

        more = {"value": batch.loss, "grad": gradient, "value_fn": value_fn}
        return optimizer.step(values, params, gradient, state, **more)

    return Loop(
        init=init,
        params=lambda carried: carried[0],
        step=step,
        point=lambda values, carried: layout.flatten(carried[0]),
        change=_of_pair,
    )
