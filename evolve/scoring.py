"""Scores: log(reference loss / loss) at the end of the full schedule, in the same seeds.

The reference is AdamW tuned on the task, so 0 is tuned AdamW and 0.1 is 10 % less
loss. A program's score is the mean over tasks and seeds; a program that diverges
has the worst score, -inf. Time is spent where it matters: a program far below the
population stops early in its first training (`early`), or after one seed
(`hurdle`), and one good enough for the hall of fame is scored again on seeds that
nothing was selected on.
"""

from __future__ import annotations

import functools
import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import jax

from evolve.environment import fingerprint
from evolve.suite import REFERENCE, Suite, known, reference, tuned
from evolve.trial import Optimizer, Trials, memory_of
from primitives import parse

FLOOR = 1e-30  # losses below it count as it: a score stays finite
WORST = -math.inf

OK, EARLY, HURDLE, DIVERGED = "ok", "early", "hurdle", "diverged"


class ReferenceDiverged(RuntimeError):
    """Nothing can be scored on this seed; no program is at fault."""


@dataclass(frozen=True)
class Job:
    """What a worker is asked: score this program. It decides nothing that is not in here."""

    program: str
    seeds: tuple[str, ...]
    at: float = 0.0  # a share of the steps of the first seed, after which ...
    early: tuple[float, ...] = ()  # ... training on a task stops below this score against the reference there
    hurdle: float = WORST  # stop after one seed below this score
    select: tuple[str, ...] = ()  # seeds for the hall of fame ...
    bar: float = math.inf  # ... spent on a score above this
    part: str = "validation"
    known: str = ""  # name of a known optimizer: score it with the values tuned on each task
    schedule: str = ""  # of the learning rate, instead of each task's own


@dataclass(frozen=True)
class Outcome:
    """What came out. `scores` and `selected` are [seed][task], in the order of the job; `early` is [task]."""

    status: str
    scores: tuple[tuple[float, ...], ...] = ()
    selected: tuple[tuple[float, ...], ...] = ()
    seconds: float = field(default=0.0, compare=False)
    detail: str = field(default="", compare=False)
    early: tuple[float, ...] = ()  # in the first seed, on the tasks that were reached

    @property
    def search_score(self) -> float:
        return mean(self.scores) if self.status in (OK, HURDLE) else WORST

    @property
    def fitness(self) -> float:
        """Mean over all seeds that were spent: the more seeds, the less luck."""
        return mean(self.scores + self.selected) if self.status in (OK, HURDLE) else WORST

    @property
    def select_score(self) -> float | None:
        """Mean over the seeds that played no part in finding the program."""
        return mean(self.selected) if self.selected else None


def mean(scores: tuple[tuple[float, ...], ...]) -> float:
    """Mean over seeds and tasks, as an exactly rounded sum: the order of addition does not matter."""
    flat = [s for row in scores for s in row]
    if any(math.isinf(s) for s in flat):
        return WORST
    return math.fsum(flat) / len(flat) if flat else WORST


class _Stopped(Exception):
    """The rest of a job is not worth its time."""

    def __init__(self, status: str):
        self.status = status


class Scorer:
    """Scores programs on a suite. Holds the compiled loops; a worker has one."""

    def __init__(self, suite: Suite, workers: int = 1, device: Any = None):
        """workers: how many there are on this machine; device: the one that jax uses here, if not the first."""
        self.suite = suite
        memory = memory_of(device or jax.local_devices()[0], workers)
        self.trials = [Trials(task, memory / len(suite.tasks)) for task in suite.tasks]
        self.reference_loss = functools.cache(self._reference_loss)

    def check(self) -> None:
        """Score a program that is known to be good, the reference. Raises `RuntimeError` where it fails."""
        canary = self.score(Job(str(reference(self.suite.tasks[0])), ("canary",), known=REFERENCE))
        if canary.status != OK:
            raise RuntimeError(f"the reference comes out as {canary.status} on this machine")

    def try_to_score(self, job: Job) -> Outcome:
        """The outcome of a job, with its seconds, whatever the program does. Raises `ReferenceDiverged` alone."""
        begun = time.monotonic()
        try:
            outcome = self.score(job)
        except ReferenceDiverged:
            raise
        except Exception as fault:  # a worker must outlive its candidates
            outcome = Outcome("error", detail=f"{type(fault).__name__}: {fault}"[:500])
        return replace(outcome, seconds=time.monotonic() - begun)

    def score(self, job: Job) -> Outcome:
        """The outcome of a job; a program that diverges is an outcome, not an error."""
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
        """The optimizer for each task: one for all, unless it is a known one with tuned values."""
        if job.known:
            return [tuned(job.known, task) or known(job.known) for task in self.suite.tasks]
        return [parse(job.program)] * len(self.suite.tasks)

    def row(
        self, optimizers: list[Optimizer], seed: str, job: Job, early: list[float] | None = None
    ) -> tuple[float, ...]:
        """Scores on all tasks in one seed. Raises `_Stopped`.

        early: a list for the scores at the first hurdle, where there is one.
        """
        row = []
        once = not job.known  # known optimizers come back for every seed of a table, and are worth a compilation
        for number, (trials, optimizer) in enumerate(zip(self.trials, optimizers, strict=True)):
            steps = trials.task.steps
            stops = (steps,) if early is None else tuple(sorted({max(1, round(job.at * steps)), steps}))
            losses = trials.losses(optimizer, seed, stops, job.part, job.schedule, once)
            for stop, loss in zip(stops, losses, strict=False):
                if math.isnan(loss):
                    raise _Stopped(DIVERGED)
                score = math.log(self.reference_loss(number, seed, job.part, stops)[stop] / max(loss, FLOOR))
                if early is None or stop == steps:
                    row.append(score)
                else:
                    early.append(score)
                    if score < job.early[number]:
                        raise _Stopped(EARLY)
        return tuple(row)

    def fingerprint(self) -> dict[str, Any]:
        """What the bits of a score depend on, beside the program and the tasks."""
        too_large = [trials.task.kind for trials in self.trials if trials.banks < 1]
        return fingerprint() | ({"too large for the machine": too_large} if too_large else {})

    def _reference_loss(self, number: int, seed: str, part: str, stops: tuple[int, ...]) -> dict[int, float]:
        losses = list(self.trials[number].losses(reference(self.suite.tasks[number]), seed, stops, part))
        if math.isnan(losses[-1]):
            kind = self.suite.tasks[number].kind
            raise ReferenceDiverged(
                f"the reference diverges on {kind} in seed {seed!r}; tune it again: evolve reference"
            )
        return {stop: max(loss, FLOOR) for stop, loss in zip(stops, losses, strict=True)}
