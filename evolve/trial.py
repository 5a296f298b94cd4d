"""One trial: train a task with a program, from its first to its last step.

The training loop is compiled once per task, with the machine inside; a program
is an argument of it. What does not fit the machine, and what a user would write
by hand for comparison, runs through the same loop with a step of its own.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from primitives import Program, machine, meaning
from primitives.graph import graph
from primitives.layout import Layout
from proxy_tasks import Task

Step = Callable[[Any, jax.Array, jax.Array, jax.Array], Any]


def seed_key(seed: str) -> jax.Array:
    """A random key from a name such as "7:search:0"; it depends on nothing else."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    return jax.random.key(number)


class Trials:
    """All trials of one task: its data on the device, and the compiled loops."""

    def __init__(self, task: Task):
        self.task = task
        self.layout = Layout.of(jax.eval_shape(task.init, jax.random.key(0)))
        self.data = jax.device_put(task.data())
        self.schedule = jnp.asarray(task.schedule())
        self.run_machine = jax.jit(self._train_machine)
        self.evaluate = jax.jit(self._evaluate, static_argnames="part")
        self._begin = jax.jit(self._start)
        self.starts = functools.cache(lambda seed: self._begin(seed_key(seed), self.data))

    def loss(self, program: Program, seed: str, part: str = "validation") -> float:
        """Final loss on a part of the data; nan where training did not stay finite."""
        w, draws, data = self.starts(seed)
        try:
            code = machine.load(graph(program))
        except machine.DoesNotFit:
            final, finite = self.compiled(program)(w, draws, data, self.schedule)
        else:
            final, finite = self.run_machine(code, w, draws, data, self.schedule)
        if not bool(finite):
            return float("nan")
        loss = float(self.evaluate(final, data, part=part))
        return loss if np.isfinite(loss) else float("nan")

    def compiled(self, program: Program) -> Callable:
        """A loop compiled for this program alone: the meaning, traced."""

        def train(w, draws, data, schedule):
            params = self.layout.unflatten(w)
            states = meaning.init(program, params)

            def step(carried, gradient, shape, t):
                params, states = carried
                return meaning.step(program, params, self.layout.unflatten(gradient), states, shape, t)

            return self.train(step, (params, states), lambda c: self.layout.flatten(c[0]), draws, data, schedule)

        return jax.jit(train)

    def by_hand(self, optimizer: Any) -> Callable:
        """The same loop with an optax optimizer, as a user would write it, for comparison."""
        import optax

        def train(w, draws, data, schedule):
            params = self.layout.unflatten(w)

            def step(carried, gradient, shape, t):
                params, state = carried
                updates, state = optimizer.update(gradient, state, params)
                return optax.apply_updates(params, updates), state

            return self.train(step, (params, optimizer.init(params)), None, draws, data, schedule)

        return jax.jit(train)

    def train(self, step: Step, carried: Any, flat: Callable | None, draws: Any, data: Any, schedule: Any):
        """The training loop. It stops early once the loss is not finite: the trial has diverged.

        `flat` gives the parameters as one vector; None where `carried` starts with the parameter tree.
        """
        task, layout = self.task, self.layout

        def loss(w, draw):
            return task.loss(w if flat is None else layout.unflatten(w), data, draw)

        def go_on(state):
            i, finite, _ = state
            return (i < task.steps) & finite

        def advance(state):
            i, _, carried = state
            draw = jax.tree.map(lambda d: jax.lax.dynamic_index_in_dim(d, i, 0, keepdims=False), draws)
            value, gradient = jax.value_and_grad(loss)(carried[0] if flat is None else flat(carried), draw)
            after = step(carried, gradient, schedule[i], (i + 1).astype(schedule.dtype))
            return i + 1, jnp.isfinite(value), after

        _, finite, carried = jax.lax.while_loop(go_on, advance, (jnp.int32(0), jnp.bool(True), carried))
        final = layout.flatten(carried[0]) if flat is None else flat(carried)
        return final, finite & jnp.all(jnp.isfinite(final))

    def _train_machine(self, code, w, draws, data, schedule):
        def step(bank, gradient, shape, t):
            return machine.step(code, self.layout, bank, gradient, shape, t)

        return self.train(step, machine.start(code, self.layout, w), lambda bank: bank.w, draws, data, schedule)

    def _evaluate(self, w, data, part: str):
        return self.task.evaluate(self.layout.unflatten(w), data, part)

    def _start(self, key: jax.Array, data: Any) -> tuple[jax.Array, Any, Any]:
        """All that a seed decides: first parameters, what is random in training, who sees which rows."""
        init, draws, deal = jax.random.split(key, 3)
        return self.layout.flatten(self.task.init(init)), self.task.draws(draws), self.task.deal(deal, data)
