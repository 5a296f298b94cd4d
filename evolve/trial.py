"""One trial: train a task with an optimizer, from its first to its last step.

The training loop is compiled once per task, with the machine inside; a program
is an argument of it. What the machine cannot hold runs through the same loop
with a step of its own: matrix programs and those that ask the task for more
than a gradient, compiled from their meaning; handwritten optimizers; and, for
comparison, what a user would write by hand.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from baselines.handwritten import Handwritten, Layer, Objective
from primitives import Program, ProgramError, machine, meaning
from primitives.graph import graph
from primitives.layout import Layout
from primitives.views import Views
from proxy_tasks import Task, oracles
from proxy_tasks.schedules import parse_schedule
from proxy_tasks.task import DenseTask

Optimizer = Program | Handwritten
KEPT = 8  # compiled loops of single optimizers that are kept


def seed_key(seed: str) -> jax.Array:
    """A random key from a name such as "7:search:0"; it depends on nothing else."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    return jax.random.key(number)


class Draws(NamedTuple):
    """All that is random in training."""

    task: Any  # of the task; leaves have a leading axis `steps`
    key: jax.Array  # of the optimizer's own noise


@dataclass(frozen=True)
class Batch:
    """What an optimizer may ask about the batch of its step."""

    loss: jax.Array  # dtype[], at w
    value: Callable[[jax.Array], jax.Array]  # the loss as a function of all parameters, dtype[size]
    draw: Any  # of the task, for its oracles
    data: Any
    key: jax.Array


Step = Callable[[Any, Any, jax.Array, jax.Array, Batch], Any]


class Trials:
    """All trials of one task: its data on the device, and the compiled loops."""

    def __init__(self, task: Task):
        self.task = task
        params = jax.eval_shape(task.init, jax.random.key(0))
        self.layout = Layout.of(params)
        self.data = jax.device_put(task.data())
        self.schedule = jnp.asarray(task.learning_rates())
        self.run_machine = jax.jit(self._train_machine)
        self.evaluate = jax.jit(self._evaluate, static_argnames="part")
        self._begin = jax.jit(self._start)
        self.starts = functools.cache(lambda seed: self._begin(seed_key(seed), self.data))
        self._rates = functools.cache(lambda text: jnp.asarray(parse_schedule(text)(task.steps)))
        self._loops = functools.lru_cache(KEPT)(self._loop)

    def loss(self, optimizer: Optimizer, seed: str, part: str = "validation", schedule: str = "") -> float:
        """Final loss on a part of the data; nan where training did not stay finite.

        schedule: of the learning rate, in the words of `proxy_tasks.schedules`; empty for the task's own.
        """
        w, draws, data = self.starts(seed)
        run = self.runner(optimizer)
        final, finite = run(w, draws, data, self._rates(schedule) if schedule else self.schedule)
        if not bool(finite):
            return float("nan")
        loss = float(self.evaluate(final, data, part=part))
        return loss if np.isfinite(loss) else float("nan")

    def runner(self, optimizer: Optimizer) -> Callable:
        """The fastest loop that can run an optimizer."""
        if isinstance(optimizer, Program):
            try:
                return functools.partial(self.run_machine, machine.load(graph(optimizer)))
            except machine.DoesNotFit:
                pass
        return self.compiled(optimizer)

    def compiled(self, optimizer: Optimizer) -> Callable:
        """A loop compiled for this optimizer alone; its hyperparameters are arguments, so one serves all values."""
        values = optimizer.values | {"learning_rate": optimizer.learning_rate}
        if isinstance(optimizer, Handwritten):  # its other values shape its inner loops
            return functools.partial(self._loops(optimizer), values)
        blank = tuple(replace(h, value=1.0, low=None, high=None, scale="linear") for h in optimizer.hyperparameters)
        return functools.partial(self._loops(replace(optimizer, hyperparameters=blank, doc="", name="")), values)

    def _loop(self, optimizer: Optimizer) -> Callable:
        return jax.jit(
            functools.partial(self._train_program if isinstance(optimizer, Program) else self._train_by_hand, optimizer)
        )

    def _train_program(self, program: Program, values, w, draws, data, schedule):
        """The meaning, traced."""
        params = self.layout.unflatten(w)

        def step(carried, gradient, shape, t, batch):
            params, states = carried
            feed = self.feed(program, params, batch)
            return meaning.step(
                program, params, self.layout.unflatten(gradient), states, shape, t, feed=feed, values=values
            )

        def flat(carried):
            return self.layout.flatten(carried[0])

        def point(carried):
            return self.layout.flatten(meaning.evaluation(program, *carried))

        return self.train(step, (params, meaning.init(program, params)), flat, draws, data, schedule, point)

    def _train_by_hand(self, optimizer: Handwritten, values, w, draws, data, schedule):
        at = self.layout.unflatten(np.arange(self.layout.size))

        def objective(batch_value, data, draw, key) -> Objective:
            def gnvp(w, v):
                product = oracles.gnvp(self.task, self.layout.unflatten(w), data, draw)
                return self.layout.flatten(product(self.layout.unflatten(v)))

            def layers(w):
                assert isinstance(self.task, DenseTask)
                found = oracles.layers(self.task, self.layout.unflatten(w), data, draw, jax.random.fold_in(key, 2))
                return tuple(
                    Layer(np.vstack([at[name]["kernel"], at[name]["bias"]]), *seen) for name, seen in found.items()
                )

            return Objective(
                batch_value,
                gnvp if "gnvp" in self.task.offers else None,
                layers if isinstance(self.task, DenseTask) else None,
                self.task.kind,
            )

        def step(carried, gradient, shape, t, batch):
            w, state = carried
            lr = shape * values["learning_rate"]
            return optimizer.step(w, state, objective(batch.value, batch.data, batch.draw, batch.key), lr)

        first = jax.tree.map(lambda d: d[0], draws.task)
        begin = objective(lambda x: self.task.loss(self.layout.unflatten(x), data, first), data, first, draws.key)
        return self.train(step, (w, optimizer.init(w, begin)), lambda c: c[0], draws, data, schedule)

    def feed(self, program: Program, params: Any, batch: Batch) -> dict[str, Any]:
        """What a program asks of the task, by name."""
        layout, offers = self.layout, {}
        if "loss" in program.needs:
            offers["loss"] = batch.loss
        if "noise" in program.needs:
            offers["noise"] = layout.unflatten(jax.random.normal(jax.random.fold_in(batch.key, 0), (layout.size,)))
        if "rademacher" in program.needs:
            signs = jax.random.rademacher(jax.random.fold_in(batch.key, 1), (layout.size,), jnp.float32)
            offers["rademacher"] = layout.unflatten(signs)
        if "hvp" in program.needs:
            offers["hvp"] = oracles.hvp(self.task, params, batch.data, batch.draw)
        if "gnvp" in program.needs:
            offers["gnvp"] = oracles.gnvp(self.task, params, batch.data, batch.draw)
        return offers

    def by_hand(self, optimizer: Any) -> Callable:
        """The same loop with an optax optimizer, as a user would write it, for comparison."""
        import optax

        def train(w, draws, data, schedule):
            params = self.layout.unflatten(w)

            def step(carried, gradient, shape, t, batch):
                params, state = carried
                updates, state = optimizer.update(gradient, state, params)
                return optax.apply_updates(params, updates), state

            return self.train(step, (params, optimizer.init(params)), None, draws, data, schedule)

        return jax.jit(train)

    def train(
        self,
        step: Step,
        carried: Any,
        flat: Callable | None,
        draws: Draws,
        data: Any,
        schedule: Any,
        point: Callable | None = None,
    ):
        """The training loop. It stops early once the loss is not finite: the trial has diverged.

        `flat` gives the parameters as one vector; None where `carried` starts with the parameter tree.
        `point` gives those at which the model is evaluated, where they are others.
        """
        task, layout = self.task, self.layout

        def go_on(state):
            i, finite, _ = state
            return (i < task.steps) & finite

        def advance(state):
            i, _, carried = state
            draw = jax.tree.map(lambda d: jax.lax.dynamic_index_in_dim(d, i, 0, keepdims=False), draws.task)

            def loss(w):
                return task.loss(w if flat is None else layout.unflatten(w), data, draw)

            value, gradient = jax.value_and_grad(loss)(carried[0] if flat is None else flat(carried))
            batch = Batch(value, loss, draw, data, jax.random.fold_in(draws.key, i))
            after = step(carried, gradient, schedule[i], (i + 1).astype(schedule.dtype), batch)
            return i + 1, jnp.isfinite(value), after

        _, finite, carried = jax.lax.while_loop(go_on, advance, (jnp.int32(0), jnp.bool(True), carried))
        if point is None:
            point = flat or (lambda c: layout.flatten(c[0]))
        final = point(carried)
        return final, finite & jnp.all(jnp.isfinite(final))

    def _train_machine(self, code, w, draws, data, schedule):
        def step(bank, gradient, shape, t, batch):
            return machine.step(code, self.layout, bank, gradient, shape, t, batch.loss)

        begin = machine.start(code, self.layout, w)
        return self.train(
            step, begin, lambda bank: bank.w, draws, data, schedule, lambda bank: machine.point(code, bank)
        )

    def _evaluate(self, w, data, part: str):
        return self.task.evaluate(self.layout.unflatten(w), data, part)

    def _start(self, key: jax.Array, data: Any) -> tuple[jax.Array, Draws, Any]:
        """All that a seed decides: first parameters, what is random in training, who sees which rows."""
        init, draws, deal = jax.random.split(key, 3)
        noise = jax.random.fold_in(key, 3)
        w = self.layout.flatten(self.task.init(init))
        return w, Draws(self.task.draws(draws), noise), self.task.deal(deal, data)


def check_fit(optimizer: Optimizer, task: Task) -> None:
    """Raise `ProgramError` where an optimizer cannot run on a task: said before anything runs."""
    shapes = jax.eval_shape(task.init, jax.random.key(0))
    if isinstance(optimizer, Handwritten):
        flat = jax.ShapeDtypeStruct((Layout.of(shapes).size,), jnp.float32)
        gnvp = (lambda w, v: v) if "gnvp" in task.offers else None
        layers = (lambda w: ()) if isinstance(task, DenseTask) else None
        jax.eval_shape(lambda w: optimizer.init(w, Objective(jnp.sum, gnvp, layers, task.kind)), flat)
        return
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
