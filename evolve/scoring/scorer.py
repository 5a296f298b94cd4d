"""Scores: log(reference loss / loss) at the end of the full schedule, in the same seeds.

The reference is a known optimizer tuned on the task, AdamW unless a run says otherwise: 0 is as
good as it, and 0.1 is 10 % less loss. A program's score is the mean over tasks and seeds; a program
that diverges has the worst score, -inf.

Time is spent where it matters: a program far below the population stops early in its first training
(`early`), or after one seed (`hurdle`), and one good enough for the hall of fame is scored again on
seeds that nothing was selected on.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax

from evolve.environment import fingerprint
from evolve.scoring.job import (
    DIVERGED,
    EARLY,
    ERROR,
    HURDLE,
    OK,
    OOM,
    Job,
    Outcome,
    ReferenceDiverged,
    mean,
)
from evolve.scoring.optimizers import Optimizer, known
from evolve.scoring.suite import Suite
from evolve.scoring.traced import at_every_start, compiler
from evolve.scoring.trial import Trials, memory_of
from primitives import parse
from primitives.errors import printable
from proxy_tasks.task import LEAST_LOSS

CANARY = 10  # steps after which a machine is known to compute


def log_ratio(reference: float, loss: float, kind: str) -> float:
    """Return the score of a loss on a task of some kind: how far it is below the reference's.

    Raises `ValueError` for a loss below 0.
    """
    if loss < 0:
        raise ValueError(f"the loss on {kind} is {loss:.3g}, and a score is a logarithm of it")
    return math.log(reference / max(loss, LEAST_LOSS))


def _out_of_memory(fault: Exception) -> bool:
    """Tell whether memory was short, also where XLA says so in a text only."""
    said = _words(fault)
    return isinstance(fault, MemoryError) or any(
        word in said for word in ("RESOURCE_EXHAUSTED", "MemoryError")
    )


def _words(fault: Exception) -> str:
    """Return what an exception says, whatever its own methods do."""
    name = type(fault).__name__
    try:
        return printable(f"{name}: {fault}", 500)
    except Exception:
        return name


class _Stopped(Exception):
    """The rest of a job is not worth its time."""

    def __init__(self, status: str):
        self.status = status


class Scorer:
    """Scores programs on a suite. Holds the compiled loops; a worker has one."""

    def __init__(self, suite: Suite, workers: int = 1, device: Any = None, all_ours: bool = False):
        """Put the data of all tasks on the device; nothing is compiled yet.

        workers: how many there are on this machine. device: the one that jax uses here, if not the
        first. all_ours: this process is a worker of ours, into which nobody has imported anything;
        it uses what other workers have traced (`evolve.scoring.traced`).
        """
        self.suite = suite
        memory = memory_of(device or jax.local_devices()[0], workers)
        self.trials = [
            Trials(
                task,
                memory / len(suite.tasks),
                compiler(task) if all_ours else at_every_start,
            )
            for task in suite.tasks
        ]
        self.reference_loss = functools.cache(self._reference_loss)

    def check(self, order: Sequence[int] | None = None) -> None:
        """Train a program that is known to be good, the reference, for a few steps on each task.

        order: of the tasks, by number; workers that begin with different ones find the others in
        the cache. Raises `ReferenceDiverged`.
        """
        for number in range(len(self.trials)) if order is None else order:
            steps = min(CANARY, self.trials[number].task.steps)
            self.reference_loss(number, "canary", "validation", (steps,))

    def try_to_score(self, job: Job) -> Outcome:
        """Return the outcome of a job, with its seconds, whatever the program does.

        Raises `ReferenceDiverged` alone.
        """
        begun = time.monotonic()
        try:
            outcome = self.score(job)
        except ReferenceDiverged:
            raise
        except Exception as fault:  # a worker must outlive its candidates
            outcome = Outcome(OOM if _out_of_memory(fault) else ERROR, detail=_words(fault))
        return replace(outcome, seconds=time.monotonic() - begun)

    def score(self, job: Job) -> Outcome:
        """Return the outcome of a job; a program that diverges is an outcome, not an error."""
        optimizers = self.optimizers(job)
        scores: list[tuple[float, ...]] = []
        selected: list[tuple[float, ...]] = []
        early: list[float] = []
        try:
            for number, seed in enumerate(job.seeds):
                row = self.row(optimizers, seed, job, early if job.at and number == 0 else None)
                scores.append(row)
                if number == 0 and mean((row,)) < job.hurdle:
                    raise _Stopped(HURDLE)
            if job.select and mean(tuple(scores)) > job.bar:
                for seed in job.select:  # a program that diverges on some seeds is not one to keep
                    selected.append(self.row(optimizers, seed, job))
            status = OK
        except _Stopped as why:
            status = why.status
        return Outcome(status, tuple(scores), tuple(selected), early=tuple(early))

    def optimizers(self, job: Job) -> list[Optimizer]:
        """Return the optimizer for each task: one for all, unless it is tuned on each.

        Raises `ValueError` for a program with values for another number of tasks.
        """
        if job.known:
            name, tasks = job.known, self.suite.tasks
            return [self.suite.tuned(name, task) or known(name) for task in tasks]
        program, count = parse(job.program), len(self.suite.tasks)
        if not program.uses:
            return [program] * count
        if program.uses != count:
            raise ValueError(f"a program tuned for {program.uses} tasks was given {count}")
        return [program.in_use(number) for number in range(count)]

    def row(
        self, optimizers: list[Optimizer], seed: str, job: Job, early: list[float] | None = None
    ) -> tuple[float, ...]:
        """Return the scores on all tasks in one seed. Raises `_Stopped`.

        early: a list that takes the scores at the first hurdle, where there is one.
        """
        row = []
        # Known optimizers come back for every seed of a table, and are worth a compilation.
        once = not job.known
        for number, (trials, optimizer) in enumerate(zip(self.trials, optimizers, strict=True)):
            steps = trials.task.steps
            stops: tuple[int, ...] = (steps,)
            if early is not None:
                stops = tuple(sorted({max(1, round(job.at * steps)), steps}))

            losses = trials.losses(optimizer, seed, stops, job.part, job.schedule, once)
            for stop, loss in zip(stops, losses, strict=False):
                if math.isnan(loss):
                    raise _Stopped(DIVERGED)
                reference = self.reference_loss(number, seed, job.part, stops)[stop]
                score = log_ratio(reference, loss, trials.task.kind)
                if early is None or stop == steps:
                    row.append(score)
                else:
                    early.append(score)
                    if score < job.early[number]:
                        raise _Stopped(EARLY)
        return tuple(row)

    def fingerprint(self) -> dict[str, Any]:
        """Return what the bits of a score depend on, beside the program and the tasks."""
        too_large = [trials.task.kind for trials in self.trials if trials.banks < 1]
        return fingerprint() | ({"too large for the machine": too_large} if too_large else {})

    def _reference_loss(
        self, number: int, seed: str, part: str, stops: tuple[int, ...]
    ) -> dict[int, float]:
        """Train the reference; its loss after each of some numbers of steps."""
        reference = self.suite.reference_on(self.suite.tasks[number])
        losses = list(self.trials[number].losses(reference, seed, stops, part))
        if math.isnan(losses[-1]):
            kind = self.suite.tasks[number].kind
            raise ReferenceDiverged(
                f"the reference diverges on {kind} in seed {seed!r}; tune it again: evolve "
                f"reference"
            )
        if min(losses) <= LEAST_LOSS:
            raise ReferenceDiverged(
                f"the loss of the reference on {self.trials[number].task.kind} comes down to "
                f"{min(losses):.3g} in seed {seed!r}, and a score is a logarithm of it: add to the "
                f"task what keeps it above {LEAST_LOSS:g}"
            )
        return dict(zip(stops, losses, strict=True))
