"""Training programs that the machine cannot hold: one call after the other.

It is the meaning of a program on flat values (`primitives.machine.calls`), each call compiled once
for all programs. The gradient, and what else a program may ask of the task, are calls too. Nothing
is compiled for one program, so a score takes no compilation and depends on no other program.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32

from evolve.scoring.loops import STORED, Batch, Begin, offer, share_done
from primitives import Program
from primitives.kinds import TENSOR
from primitives.machine.calls import ASKED, Flat
from primitives.machine.layout import Layout
from primitives.registry import PRIMITIVES, oracles
from primitives.views import Views
from proxy_tasks import Task

# A call that is handed to another thread costs twice as much as one that is computed at once. jax
# reads this when it starts.
jax.config.update("jax_cpu_enable_async_dispatch", False)

# Steps from one look at whether the loss is still finite to the next: a look waits for the device.
PATIENCE = 32

Parts = tuple[Float[Array, " _"], ...]
"""A value for the whole model: dtype[size of the part] for each part of a program."""


class Clock(NamedTuple):
    """Where a training stands."""

    step: jax.Array  # int32[]: steps done
    finite: jax.Array  # bool[]: whether the loss was, in all of them


class Stepwise:
    """Trains the programs that see the leaves of a task in one way, whatever they compute."""

    def __init__(self, task: Task, layout: Layout, views: Views):
        self.task, self.layout, self.views = task, layout, views
        leaves = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in layout.shapes]
        self.flats = [Flat([x.shape for x in part]) for part in jax.eval_shape(views.split, leaves)]
        self.split = jax.jit(lambda w: self._split(layout.unflatten(w)))
        self.gradient, self.point = jax.jit(self._gradient), jax.jit(self._point)
        self.store = jax.jit(STORED[task.storage]) if task.storage in STORED else None
        self.ask = functools.cache(lambda name: jax.jit(functools.partial(self._ask, name)))

    def segments(
        self, program: Program, begin: Begin, schedule: Float[Array, " steps"], steps: Sequence[int]
    ) -> Iterator[tuple[jax.Array, jax.Array]]:
        """Train, and stop after each of some numbers of steps.

        Yields where the model is evaluated then, dtype[size], and whether all is finite.
        """
        w = self.split(begin.w)
        bodies = [
            _Body(*given, self.ask, self.store)
            for given in zip(program.parts, self.flats, w, strict=True)
        ]
        clock = Clock(jnp.int32(0), jnp.bool(True))
        peak = jnp.asarray(program.learning_rate, begin.w.dtype)
        drawn = sorted(program.needs - {"loss", "run_progress", *oracles()})
        done = 0
        for end in steps:
            for number in range(done, end):
                if number % PATIENCE == 0 and not clock.finite:
                    break
                asked = (w, begin, clock.step)
                after, common, g = self.gradient(w, begin, clock, schedule, peak)
                apart = {"w": w, "g": g} | {name: self.ask(name)(asked) for name in drawn}
                for part, body in enumerate(bodies):
                    body.step(
                        common
                        | {ASKED: asked}
                        | {name: value[part] for name, value in apart.items()}
                    )
                w, clock = tuple(body.w for body in bodies), after
            done = end
            yield self.point(tuple(body.evaluation for body in bodies), clock)

    def _gradient(
        self,
        w: Parts,
        begin: Begin,
        clock: Clock,
        schedule: Float[Array, " steps"],
        peak: Float[Array, ""],
    ) -> tuple[Clock, dict[str, Float[Array, ""]], Parts]:
        """Compute one step's forward and backward pass.

        Returns the time after it, the inputs of a program that are numbers, and the gradient.
        """
        batch = self._batch(begin, clock.step)
        loss, gradient = jax.value_and_grad(self.task.loss)(self._tree(w), batch.data, batch.draw)
        after = Clock(clock.step + 1, clock.finite & jnp.isfinite(loss))
        common = {
            "lr": schedule[clock.step] * peak,
            "t": after.step.astype(schedule.dtype),
            "loss": loss,
            "run_progress": share_done(clock.step, schedule, begin.steps),
        }
        return after, common, self._split(gradient)

    def _ask(self, name: str, asked: tuple[Parts, Begin, jax.Array], *x: jax.Array) -> Any:
        """Return what the task offers under a name.

        That is noise for all parts, or an oracle's answer to x, whose program has one part alone.
        """
        w, begin, step = asked
        found = offer(self.task, self.layout, name, self._tree(w), self._batch(begin, step))
        return self._split(found(self._tree(x)))[0] if x else self._split(found)

    def _batch(self, begin: Begin, step: Int32[Array, ""]) -> Batch:
        draw = jax.tree.map(
            lambda d: jax.lax.dynamic_index_in_dim(d, step, 0, keepdims=False), begin.draws.task
        )
        return Batch(
            jnp.array(jnp.nan),
            draw,
            begin.data,
            jax.random.fold_in(begin.draws.key, step),
            jnp.array(jnp.nan),
        )

    def _point(self, w: Parts, clock: Clock) -> tuple[Float[Array, " size"], Bool[Array, ""]]:
        flat = self.layout.flatten(self._tree(w))
        return flat, clock.finite & jnp.all(jnp.isfinite(flat))

    def _split(self, tree: Any) -> Parts:
        seen = self.views.split(jax.tree.leaves(tree))
        return tuple(
            flat.join(TENSOR, leaves) for flat, leaves in zip(self.flats, seen, strict=True)
        )

    def _tree(self, parts: Parts) -> Any:
        seen = [flat.split(TENSOR, value) for flat, value in zip(self.flats, parts, strict=True)]
        return jax.tree.unflatten(self.layout.tree, self.views.join(seen, jnp))


class _Body:
    """One part of a program in training."""

    def __init__(self, part: Program, flat: Flat, w: jax.Array, ask: Any, store: Any):
        self.part, self.calls = part, flat.calls(part, ask)
        # By name: what lives from step to step, and what a step still needs.
        self.values = flat.start(part, w)
        self.from_gradient = [s.name for s in part.states if s.start == "g"]
        self.store = store  # of the parameters, where they are not stored as they are computed
        self.subtract = flat.call(PRIMITIVES["subtract"], TENSOR, TENSOR, TENSOR)
        self.w = self.evaluation = w

    def step(self, given: dict[str, Any]) -> None:
        """Make all calls of a step, after which w is w - update. given: the inputs by name."""
        if not self.w.size:  # no leaf is of this part, and a reduction over none has no value
            return

        values = self.values
        values.update(given)
        for name in self.from_gradient:
            values[name] = values["g"]
        self.from_gradient = []

        for function, arguments, target, last in self.calls:
            values[target] = function(*[values[a] for a in arguments])
            for name in last:
                del values[name]

        self.w = self.subtract(self.w, values[self.part.output])
        if self.store is not None:
            self.w = self.store(self.w)
        self.evaluation = values[self.part.evaluate_at] if self.part.evaluate_at else self.w
