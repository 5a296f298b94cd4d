"""One optimizer on one task: all that a comparison trains there.

It comes with the values of several independent tunings. The better one is chosen on seeds of its
own; all of them are trained on the seeds of the table, so that the luck of tuning is known. The
chosen values are trained to the end of shorter schedules, for equivalent steps, and at other
learning rates, for how much it matters to have the right one.

A loss is written as its logarithm, and a training that diverged as None: whoever reads it counts
that as the loss before the first step, which is what somebody has who does not train at all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from evolve.config.errors import ConfigError
from evolve.scoring.optimizers import Optimizer
from evolve.scoring.scorer import log_ratio
from evolve.scoring.trial import Trials
from evolve.tuning.processes import Heard, Named, TaskFacts
from primitives import Program
from primitives.statements import LEARNING_RATE

CHOOSE = 16  # seeds on which the better tuning is chosen, validation part
HORIZONS = (0.25, 2**-1.5, 0.5, 2**-0.5)  # shares of the steps, beside all of them
RATES = tuple(2.0 ** (0.5 * number) for number in range(-6, 7))  # times the chosen learning rate
RATE_SEEDS = 4  # validation part
TIMED = 3  # trainings, of which the quickest counts: whatever else runs makes one longer

LogLoss = float | None


@dataclass(frozen=True)
class Cell:
    """The work on one optimizer and task, as plain data."""

    title: str
    task: TaskFacts
    optimizer: Named
    tunings: tuple[tuple[tuple[str, float], ...], ...]  # the values of each; none where as it is
    seeds: int  # of the table
    scramble: int = 0  # draws all seeds; another number is an independent comparison

    @property
    def size(self) -> int:
        """Return how many trainings it takes."""
        of_tunings = len(self.tunings) * (self.seeds + CHOOSE * (len(self.tunings) > 1))
        return of_tunings + len(HORIZONS) * self.seeds + len(RATES) * RATE_SEEDS

    def do(self, heard: Heard) -> dict[str, Any]:
        """Train all of it. Raises `ConfigError` for a loss that has no logarithm."""
        return _Measured(self.task.compiled(), self, heard).facts()


class _Measured:
    """Trains, and counts trainings."""

    def __init__(self, trials: Trials, cell: Cell, heard: Heard):
        self.trials, self.cell, self.heard = trials, cell, heard
        self.base = cell.optimizer.optimizer()
        self.count = 0

    def facts(self) -> dict[str, Any]:
        """Return plain data of all trainings."""
        tunings = [dict(values) for values in self.cell.tunings]
        optimizers = [self.base.with_values(values) for values in tunings]
        table = self.seeds("compare", self.cell.seeds)
        choosing = self.seeds("choose", CHOOSE)
        starts = self.starts(table, "test")
        chosen, on_choice = 0, list[list[LogLoss]]()
        if len(tunings) > 1:
            at_start = self.starts(choosing, "validation")
            on_choice = [self.losses(o, choosing, "validation") for o in optimizers]
            means = [_mean(row, at_start) for row in on_choice]
            chosen = int(np.argmin(means))
        best = optimizers[chosen]
        losses = [self.losses(optimizer, table, "test") for optimizer in optimizers]
        took = list[float]()
        for _ in range(TIMED):  # everything is compiled by now
            began = time.perf_counter()
            self.trials.loss(best, table[0], "test")
            took.append(time.perf_counter() - began)
        return {
            "chosen": chosen,
            "tunings": tunings,
            "choosing": on_choice,
            "losses": losses,
            "starts": starts,
            "horizons": self.horizons(best, table),
            "rates": self.rates(best),
            "seconds": round(min(took), 6),
            "steps": self.trials.task.steps,
            "parameters": self.trials.layout.size,
            "state": state_size(best, self.trials),
        }

    def seeds(self, what: str, count: int) -> list[str]:
        """Name seeds: the same for everybody, and others than those of a search or a tuning."""
        return [f"{what}:{self.cell.scramble}:{number}" for number in range(count)]

    def horizons(self, optimizer: Optimizer, seeds: Sequence[str]) -> list[list[LogLoss]]:
        """Train to the end of shorter schedules; empty where a program asks how far the run is."""
        if isinstance(optimizer, Program) and "run_progress" in optimizer.needs:
            return []
        return [self.losses(optimizer, seeds, "test", share) for share in HORIZONS]

    def rates(self, optimizer: Optimizer) -> list[list[LogLoss]]:
        """Train at other learning rates; empty for an optimizer that has none."""
        if LEARNING_RATE not in optimizer.values:
            return []
        seeds = self.seeds("rate", RATE_SEEDS)
        rate = optimizer.values[LEARNING_RATE]
        return [
            self.losses(
                optimizer.with_values(optimizer.values | {LEARNING_RATE: rate * factor}),
                seeds,
                "validation",
            )
            for factor in RATES
        ]

    def losses(
        self, optimizer: Optimizer, seeds: Sequence[str], part: str, share: float = 1.0
    ) -> list[LogLoss]:
        """Return the log losses at the end; None where a training diverged."""
        row = []
        for seed in seeds:
            row.append(self.log_loss(self.trials.loss(optimizer, seed, part, share=share)))
            self.count += 1
            self.heard(self.count)
        return row

    def starts(self, seeds: Sequence[str], part: str) -> list[float]:
        """Return the log losses before the first step."""
        found = []
        for seed in seeds:
            begin = self.trials.begin(seed)
            found.append(self.log_loss(self.trials.evaluate(begin.w, begin.data, part)) or 0.0)
        return found

    def log_loss(self, loss: float) -> LogLoss:
        """Return the logarithm to seven digits; None for what is not finite."""
        if not math.isfinite(loss):
            return None
        try:
            return float(f"{-log_ratio(1.0, loss, self.trials.task.kind):.7g}")
        except ValueError as why:
            raise ConfigError(f"{self.cell.title}: {why}") from None


def _mean(row: Sequence[LogLoss], starts: Sequence[float]) -> float:
    return math.fsum(counted(row, starts)) / len(row)


def counted(row: Sequence[LogLoss], starts: Sequence[float]) -> list[float]:
    """Return log losses as they count: of a training that diverged, that before the first step."""
    return [start if x is None else x for x, start in zip(row, starts, strict=True)]


def state_size(optimizer: Optimizer, trials: Trials) -> float:
    """Return how many numbers an optimizer keeps, for each parameter of the task."""
    runner, args = trials.compiled(optimizer)
    carried = jax.eval_shape(runner.start, args, trials.begin("compare"))
    size = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(carried))
    return round(size / trials.layout.size - 1, 3)
