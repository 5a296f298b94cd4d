"""What a worker is asked, and what it answers.

Knows neither jax nor tasks: who hands jobs out needs no more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

WORST = -math.inf

# What training says of a program ...
OK, EARLY, HURDLE, DIVERGED = "ok", "early", "hurdle", "diverged"
# ... and what becomes of one that cannot be trained: an exception, a worker lost on it, out of its
# time or memory.
ERROR, CRASH, TIMEOUT, OOM = "error", "crash", "timeout", "oom"
MACHINE = (CRASH, TIMEOUT, OOM)  # depend on a clock or a machine, not on config and seed alone


class ReferenceDiverged(RuntimeError):
    """Nothing can be scored on this seed; no program is at fault."""


@dataclass(frozen=True)
class Job:
    """What a worker is asked: score this program. It decides nothing that is not in here."""

    program: str
    seeds: tuple[str, ...]
    at: float = 0.0  # a share of the steps of the first seed, after which ...
    early: tuple[
        float, ...
    ] = ()  # ... training on a task stops below this score against the reference there
    hurdle: float = WORST  # stop after one seed below this score
    select: tuple[str, ...] = ()  # seeds for the hall of fame ...
    bar: float = math.inf  # ... spent on a score above this
    part: str = "validation"
    known: str = ""  # name of a known optimizer: score it with the values tuned on each task
    schedule: str = ""  # of the learning rate, instead of each task's own


@dataclass(frozen=True)
class Outcome:
    """What came out.

    `scores` and `selected` are [seed][task], in the order of the job; `early` is [task].
    """

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
    """Mean over seeds and tasks, as an exactly rounded sum: the order of addition does not
    matter.
    """
    flat = [s for row in scores for s in row]
    if any(math.isinf(s) for s in flat):
        return WORST
    return math.fsum(flat) / len(flat) if flat else WORST
