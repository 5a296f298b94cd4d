"""What a worker is asked, and what it answers.

Knows neither jax nor tasks: who hands jobs out needs no more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

WORST = -math.inf

# How a training ended: as planned; stopped on the way, or after the first seed, because the program
# does too badly; or with numbers that are not finite.
OK, EARLY, HURDLE, DIVERGED = "ok", "early", "hurdle", "diverged"

# Why a program could not be trained: an exception, a worker lost on it, its time or memory used up.
ERROR, CRASH, TIMEOUT, OOM = "error", "crash", "timeout", "oom"

MACHINE = (CRASH, TIMEOUT, OOM)
"""Statuses that depend on a clock or a machine, and not on config and seed alone."""

STATUSES = (OK, EARLY, HURDLE, DIVERGED, ERROR, *MACHINE)
"""All that an outcome can have."""


class ReferenceDiverged(RuntimeError):
    """Nothing can be scored on this seed; no program is at fault."""


@dataclass(frozen=True)
class Job:
    """What a worker is asked: score this program. It decides nothing that is not in here.

    at, early: after a share `at` of the steps of the first seed, training on a task stops if the
    score there, against the reference there, is below the task's entry of `early`.
    hurdle: a program that scores below it in the first seed is trained in no other.
    select, bar: a program that scores above `bar` is scored in the seeds `select` too.
    part: of the data, "validation" or "test".
    known: the name of a known optimizer, scored with the values tuned on each task, in place of
    the program.
    schedule: of the learning rate; empty for each task's own.
    """

    program: str
    seeds: tuple[str, ...]
    at: float = 0.0
    early: tuple[float, ...] = ()
    hurdle: float = WORST
    select: tuple[str, ...] = ()
    bar: float = math.inf
    part: str = "validation"
    known: str = ""
    schedule: str = ""


@dataclass(frozen=True)
class Outcome:
    """What came out of a job.

    Unit    a score is log(loss of the reference / loss): 0 is the reference, higher is better.
    """

    status: str
    scores: tuple[tuple[float, ...], ...] = ()  # [seed][task], in the order of the job
    selected: tuple[tuple[float, ...], ...] = ()  # [seed][task], in the seeds `select`
    seconds: float = field(default=0.0, compare=False)
    detail: str = field(default="", compare=False)  # what went wrong, in words
    early: tuple[float, ...] = ()  # [task], of those that were reached in the first seed

    @property
    def search_score(self) -> float:
        """Mean over the seeds that decide the search; the worst score for what did not end."""
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
    """Return the mean over seeds and tasks; the worst score where one is infinite or none is there.

    The sum is rounded once, so the order of the scores does not matter.
    """
    flat = [s for row in scores for s in row]
    if any(math.isinf(s) for s in flat):
        return WORST
    return math.fsum(flat) / len(flat) if flat else WORST
