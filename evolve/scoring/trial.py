"""One trial: train a task with an optimizer, from its first to its last step.

There are three ways. The machine's loop is compiled once a task and runs all
programs that it can hold. Of the others, those that are trained once or twice
run call by call (`stepwise.py`), with nothing compiled for them; those that are
trained again and again, such as known optimizers while they are tuned, and what
is no program, have a loop compiled for them alone.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from baselines.handwritten import Handwritten
from evolve.environment import available_memory
from evolve.scoring.loops import (
    STORED,
    Begin,
    Draws,
    Loop,
    handwritten_loop,
    machine_loop,
    optax_loop,
    program_loop,
    train,
)
from evolve.scoring.optax_optimizer import OptaxOptimizer
from evolve.scoring.optimizers import Optimizer
from evolve.scoring.stepwise import Stepwise
from evolve.scoring.traced import Compile, at_every_start
from primitives import Hyperparameter, Program
from primitives.canonical.graph import graph
from primitives.machine import step as machine
from primitives.machine.layout import Layout
from primitives.statements import LEARNING_RATE
from primitives.views import Views
from proxy_tasks import Task
from proxy_tasks.augmentation import drawn_steps, seen
from proxy_tasks.schedules import parse_schedule

Tuned = TypeVar("Tuned", Program, OptaxOptimizer)
KEPT = 8  # compiled loops of single optimizers that are kept
MOST_DEALT = 2**30  # bytes, of data as single seeds see them, that are kept
SHARE_DEALT = 0.125  # of the memory that these may take
TAIL = 0.1  # of the steps, over which the evaluations of a final loss are spread
SHARE = 0.5  # of the memory of a device that the machine's banks may take

log = logging.getLogger(__name__)


def seed_key(seed: str) -> PRNGKeyArray:
    """Return a random key made from a name such as "7:search:0", and from nothing else."""
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big")
    return jax.random.key(number)


def memory_of(device: Any, sharers: int) -> float:
    """Return the bytes for one of some workers that share a machine.

    That is what the device says that it has, else a share of the machine's.
    """
    limit = (device.memory_stats() or {}).get("bytes_limit")
    return limit or available_memory() / sharers


class Runner:
    """A compiled loop, with the memory that one training leaves to the next.

    Not for two trainings at once.
    """

    def __init__(
        self, task: Task, loop: Loop, together: bool = False, compile: Compile = at_every_start
    ):
        """Compile nothing yet: that is done at the first training.

        together: train several optimizers at once; arguments and results have a leading axis.
        """
        self.task = task
        start, run = loop.init, functools.partial(train, task, loop)
        if together:
            start, run = jax.vmap(start, (0, None)), jax.vmap(run, (0, 0, None, None, None))
        self.start = start
        self.memory: Any = None
        # The memory is donated: to allocate a bank for a large task takes longer than to compute
        # with it.
        self.compiled = compile("train", run, donated=(1,))

    def segments(
        self, args: Any, begin: Begin, schedule: Float[Array, " steps"], steps: Sequence[int]
    ) -> Iterator[tuple[jax.Array, jax.Array]]:
        """Train, and stop after each of some numbers of steps.

        Yields where the model is evaluated then, dtype[size], and whether all is finite; both with
        a leading axis where several are trained together.
        """
        memory, self.memory = self.memory, None
        if memory is None:
            shapes = jax.eval_shape(self.start, args, begin)
            memory = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        try:
            for span in zip((0, *steps), steps, strict=False):
                final, finite, memory = self.compiled(
                    args, memory, begin, schedule, np.array(span, np.int32)
                )
                yield final, finite
        finally:
            self.memory = memory

    def __call__(
        self, args: Any, begin: Begin, schedule: Float[Array, " steps"]
    ) -> tuple[jax.Array, jax.Array]:
        """Train to the end of the seed; what `segments` yields there."""
        (end,) = self.segments(args, begin, schedule, [last_step(self.task, begin)])
        return end


class Trials:
    """All trials of one task: its data on the device, and the compiled loops.

    Not for two threads at once.
    """

    def __init__(self, task: Task, memory: float = math.inf, compile: Compile = at_every_start):
        """Put the data on the device. memory: bytes that are there for this task."""
        self.task, self.seen = task, seen(task)
        params = jax.eval_shape(task.init, jax.random.key(0))
        self.layout = Layout.of(params)
        self.data = jax.device_put(task.data())
        self._evaluate_on = functools.cache(
            lambda part: compile(f"evaluate on {part}", functools.partial(self._evaluate, part))
        )
        self._start = compile("begin", self._begin)
        size = 1 + sum(leaf.nbytes for leaf in jax.tree.leaves(self.data))
        kept = max(KEPT, int(min(MOST_DEALT, SHARE_DEALT * memory) / size))  # seeds
        self.begin = functools.lru_cache(kept)(lambda seed: self._start(seed_key(seed), self.data))
        self.rates = functools.cache(self._learning_rates)
        self.schedule = self.rates("", task.steps)
        self._runners = functools.lru_cache(KEPT)(self._runner)
        self._takes_traced = functools.cache(lambda optimizer: optimizer.takes_traced(params))
        self._stepwise: dict[tuple, Stepwise] = {}
        bank = machine.VECTORS * self.layout.size * self.schedule.dtype.itemsize
        self.banks = SHARE * memory / bank  # that fit
        if self.banks < 1:
            log.warning(
                "%s is too large for the machine: its registers take %.1f GiB, and %.1f GiB are "
                "there for them. "
                "All programs run without it.", task.kind, bank / 2**30, SHARE * memory / 2**30,
            )  # fmt: skip
        self.machine = Runner(self.seen, machine_loop(self.layout), compile=compile)
        self.together = functools.cache(
            lambda count: Runner(self.seen, machine_loop(self.layout), together=True)
        )
        self._say_once = functools.cache(log.info)

    def loss(
        self,
        optimizer: Optimizer,
        seed: str,
        part: str = "validation",
        schedule: str = "",
        once: bool = False,
        share: float = 1.0,
    ) -> float:
        """Return the final loss on a part of the data; nan where training did not stay finite."""
        (loss,) = self.losses(optimizer, seed, [self.task.steps], part, schedule, once, share)
        return loss

    def losses(
        self,
        optimizer: Optimizer,
        seed: str,
        steps: Sequence[int],
        part: str = "validation",
        schedule: str = "",
        once: bool = False,
        share: float = 1.0,
    ) -> Iterator[float]:
        """Yield the loss on a part of the data after each of some numbers of steps.

        Where training did not stay finite it is nan, and nothing comes after it. Whoever stops
        asking stops the training.

        schedule: of the learning rate, in the words of `proxy_tasks.schedules`; empty for the
        task's own. once: the optimizer is not worth a compilation. share: of the steps, at which
        the schedule ends, for a shorter training; `run_progress` is that of the whole one. Where a
        seed takes fewer steps than the task, the numbers of steps become as many fewer, so that a
        share stays a share.
        """
        begin = self.begin(seed)
        run, args = self.runner(optimizer, once)
        end = max(1, round(share * last_step(self.task, begin)))
        stops = [max(1, round(number * end / self.task.steps)) for number in steps]
        last = tail(self.task, end) if end in stops else []
        looked: list[float] = []  # in the tail
        through = sorted({*stops, *last})
        points = run.segments(args, begin, self.rates(schedule, end), through)
        for stop, (final, finite) in zip(through, points, strict=True):
            loss = self._loss(final, finite, begin, part)
            looked += [loss] * (stop in last)
            if math.isnan(loss):
                yield loss
                return
            for _ in range(stops.count(stop)):
                yield loss if stop < end else math.fsum(looked) / len(looked)

    def losses_together(
        self, programs: Sequence[Program], seed: str, part: str = "validation", schedule: str = ""
    ) -> list[float]:
        """Return the final losses of programs that are trained at the same time.

        For accelerators that are wide: the machine under `jax.vmap`, as many programs at once as
        the memory has banks for. It executes all opcodes at every instruction and keeps each
        program's own. The losses are those of `loss` up to rounding. It has not been timed on an
        accelerator.

        Raises `DoesNotFit`.
        """
        begin = self.begin(seed)
        end = last_step(self.task, begin)
        rates, last = self.rates(schedule, end), tail(self.task, end)
        codes = [machine.load(graph(program)) for program in programs]
        losses: list[float] = []
        width = max(1, int(min(self.banks, len(codes))))
        for at in range(0, len(codes), width):
            some = jax.tree.map(lambda *arrays: np.stack(arrays), *codes[at : at + width])
            together = self.together(min(width, len(codes) - at))
            looked = [
                [self._loss(*point, begin, part) for point in zip(*points, strict=True)]
                for points in together.segments(some, begin, rates, last)
            ]
            losses += [math.fsum(of_one) / len(of_one) for of_one in zip(*looked, strict=True)]
        return losses

    def _loss(
        self, final: Float[Array, " size"], finite: Bool[Array, ""], begin: Begin, part: str
    ) -> float:
        """Return the loss at the end of a training; nan where one of the two is not finite."""
        loss = self.evaluate(final, begin.data, part) if finite else math.nan
        return loss if math.isfinite(loss) else math.nan

    def runner(self, optimizer: Optimizer, once: bool = False) -> tuple[Runner | Stepwise, Any]:
        """Return the fastest way to run an optimizer, and its arguments there."""
        if isinstance(optimizer, Program):
            if self.banks >= 1:
                try:
                    return self.machine, machine.load(graph(optimizer))
                except machine.DoesNotFit as why:
                    self._say_once(f"{self.task.kind}: not for the machine, because {why}")
            if once:
                return self.stepwise(optimizer), optimizer
        return self.compiled(optimizer)

    def stepwise(self, program: Program) -> Stepwise:
        """Return what trains a program call by call; it serves all that see the leaves alike."""
        views = Views(program, self.layout.shapes)
        alike = (len(views.parts), views.plain, views.kernels, *views.group)
        if alike not in self._stepwise:
            self._stepwise[alike] = Stepwise(self.seen, self.layout, views)
        return self._stepwise[alike]

    def compiled(self, optimizer: Optimizer) -> tuple[Runner, Any]:
        """Return a loop compiled for this optimizer alone, and its arguments there.

        The arguments are hyperparameters, so one loop serves all their values.
        """
        values = optimizer.values | {LEARNING_RATE: optimizer.learning_rate}
        if isinstance(optimizer, Handwritten):  # its other values shape its inner loops
            return self._runners(optimizer), values
        if isinstance(optimizer, OptaxOptimizer):
            free = set(optimizer.values)
            if not self._takes_traced(_blank(optimizer, free)):
                free &= {LEARNING_RATE}
            return self._runners(_blank(optimizer, free)), {n: values[n] for n in sorted(free)}
        return self._runners(_blank(optimizer, set(optimizer.values))), values

    def _runner(self, optimizer: Optimizer) -> Runner:
        if isinstance(optimizer, Program):
            loop = program_loop(self.seen, self.layout, optimizer)
        elif isinstance(optimizer, Handwritten):
            loop = handwritten_loop(self.seen, self.layout, optimizer)
        else:
            loop = optax_loop(self.seen, self.layout, optimizer)
        return Runner(self.seen, loop)

    def evaluate(self, w: Float[Array, " size"], data: Any, part: str = "validation") -> float:
        """Return the loss at some parameters on a part of the data."""
        return float(self._evaluate_on(part)(w, data))

    def _evaluate(self, part: str, w: Float[Array, " size"], data: Any) -> Float[Array, ""]:
        return self.seen.evaluate(self.layout.unflatten(w), data, part)

    def _begin(self, key: PRNGKeyArray, data: Any) -> Begin:
        """Draw all that a seed decides.

        That is the first parameters, what is random in training, and which rows of the data are for
        training; and how many steps it takes, where the task lets that vary.
        """
        params, draws, data = self.seen.begin(key, data)
        w = self.layout.flatten(params)
        if self.task.storage in STORED:
            w = STORED[self.task.storage](w)
        noise = jax.random.fold_in(key, 3)
        return Begin(w, Draws(draws, noise), data, drawn_steps(self.task, key))

    def _learning_rates(self, schedule: str, steps: int) -> Float[Array, " steps"]:
        """Compute a schedule that ends after some steps, and is 0 from there to the task's last."""
        task = self.task if steps == self.task.steps else replace(self.task, steps=steps)
        rates = parse_schedule(schedule)(steps) if schedule else task.learning_rates()
        return jnp.asarray(np.pad(rates, (0, self.task.steps - steps)))


def last_step(task: Task, begin: Begin) -> int:
    """Return after how many steps a seed's training ends."""
    return task.steps if begin.steps is None else int(begin.steps)


def tail(task: Task, end: int) -> list[int]:
    """Return after which steps a final loss is looked at, up to the last."""
    apart = TAIL * end / task.evaluations
    return sorted({max(1, end - round(number * apart)) for number in range(task.evaluations)})


def _blank(optimizer: Tuned, names: set[str]) -> Tuned:
    """Return the optimizer without what makes no difference to a compiled loop.

    That is what people read, and the values of those hyperparameters that the loop takes as
    arguments.
    """
    hyperparameters = tuple(
        Hyperparameter(h.name, 1.0 if h.name in names else h.value)
        for h in optimizer.hyperparameters
    )
    return replace(optimizer, hyperparameters=hyperparameters, doc="", name="")
