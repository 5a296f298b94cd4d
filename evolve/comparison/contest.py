"""The last word: finalists and tuned baselines on seeds the search never saw, on the test part.

Differences are paired by seed: every score is relative to the tuned reference in the same seed.
The interval holds the luck of the seeds and that of tuning the reference, and the contestant where
it was tuned too; a program is said to beat the reference only if the interval that also allows for
the number of finalists lies above 0. `compare.py` tunes everybody itself and measures that luck.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from evolve.comparison.statistics import (
    ASSUMED,
    LEVEL,
    NO_LUCK,
    Luck,
    interval,
    luck_of_mean,
    shared_level,
)
from evolve.scoring.job import OK, Job, Outcome
from evolve.scoring.optimizers import Optimizer
from evolve.scoring.references import effort_of
from evolve.scoring.suite import Suite
from evolve.workers.executor import Executor
from evolve.workers.gather import gather
from primitives import Program
from primitives.canonical.cost import Cost, cost
from primitives.canonical.liveness import prune
from proxy_tasks import Task

# How a contestant came to its hyperparameters, where it was not by trials that were counted.
TUNED, UNTUNED, AS_IT_STANDS, AS_FOUND = "tuned", "untuned", "as it stands", "as found"


@dataclass(frozen=True)
class Contestant:
    """An optimizer and its name in the table.

    known: the name of a known one, which is scored with the hyperparameters tuned on each task;
    empty for a program that is scored with those that it states. tuning: how these were chosen.
    found_on: fingerprints of the tasks on which a run has found it, with its values there.
    """

    name: str
    optimizer: Optimizer
    known: str = ""
    finalist: bool = False
    tuning: str = AS_IT_STANDS
    found_on: tuple[str, ...] = ()

    def tuning_on(self, task: Task, suite: Suite) -> str:
        """Say how the hyperparameters with which it is scored on a task were chosen."""
        if not self.known:
            return AS_FOUND if task.fingerprint in self.found_on else self.tuning
        if suite.tuned(self.known, task) is None:
            return UNTUNED
        return effort_of(self.known, task, suite, suite.values_on(task)) or TUNED


@dataclass(frozen=True)
class OnTask:
    """What came out on one task of a suite.

    `scores` are per seed, `score` is their mean. tuning: how the hyperparameters were chosen.
    """

    task: str
    tuning: str
    score: float
    scores: list[float]


@dataclass(frozen=True)
class Verdict:
    """One line of the table.

    `scores` are per seed, means over tasks; higher is better, 0 is the reference. `tasks` are the
    same on each task; empty in what older software wrote.
    """

    name: str
    status: str
    scores: list[float]
    score: float
    low: float
    high: float
    statements: int  # 0 for one that is no program
    state: str  # kept per leaf, see `Cost`
    operations: float
    finalist: bool
    beats_reference: bool
    tasks: list[OnTask] = field(default_factory=list[OnTask])

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> Verdict:
        """Make the line that `facts` was called on. Raises `TypeError` where it is none."""
        said = dict(facts)
        if "beats_adamw" in said:  # as older runs wrote it
            said["beats_reference"] = said.pop("beats_adamw")
        for name in ("score", "low", "high"):
            said[name] = _number(said[name])
        said["tasks"] = [
            OnTask(**(task | {"score": _number(task["score"])})) for task in said.get("tasks", [])
        ]
        return cls(**said)

    def facts(self) -> dict[str, Any]:
        """Return plain data for JSON, which has no infinity."""
        tasks = [finite(asdict(task)) for task in self.tasks]
        return finite(asdict(self)) | {"tasks": tasks}


def _number(said: Any) -> float:
    return -math.inf if said is None else float(said)


def finite(facts: dict[str, Any]) -> dict[str, Any]:
    """Write None for what is no finite number."""
    return {
        k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in facts.items()
    }


def confirm_seeds(count: int) -> tuple[str, ...]:
    """List seeds that no search ever uses, the same for every run, so that runs can be compared."""
    return tuple(f"confirm:{k}" for k in range(count))


def confirm(
    executor: Executor,
    suite: Suite,
    contestants: Sequence[Contestant],
    seeds: int,
    stop: Callable[[], bool] = lambda: False,
    schedule: str = "",
    done: Callable[[int], object] = lambda count: None,
) -> list[Verdict]:
    """Score everybody on a suite and say who beats the reference.

    done: is told how many have been scored. Raises `Interrupted` when asked to stop.
    """
    jobs = [_job(contestant, seeds, schedule) for contestant in contestants]
    outcomes = gather(executor, jobs, stop, done)
    finalists = sum(contestant.finalist for contestant in contestants)
    return [
        judge(c, suite, outcome, finalists)
        for c, outcome in zip(contestants, outcomes, strict=True)
    ]


def _job(contestant: Contestant, seeds: int, schedule: str) -> Job:
    optimizer, known = contestant.optimizer, contestant.known
    text = str(prune(optimizer)) if isinstance(optimizer, Program) and not known else ""
    return Job(text, confirm_seeds(seeds), part="test", known=known, schedule=schedule)


def judge(contestant: Contestant, suite: Suite, outcome: Outcome, finalists: int) -> Verdict:
    """Write the line of one contestant."""
    optimizer = contestant.optimizer
    price = cost(optimizer) if isinstance(optimizer, Program) else Cost(0, 0, "", 0.0)

    scores = [float(np.mean(row)) for row in outcome.scores]
    if outcome.status == OK:
        luck = luck_of(contestant, suite)
        score = float(np.mean(scores))
        low, high = interval(scores, LEVEL, luck)
        strict_low, _ = interval(scores, shared_level(LEVEL, finalists), luck)
    else:
        score = low = high = strict_low = -math.inf

    tasks: list[OnTask] = []
    for number, (label, task) in enumerate(zip(suite.labels, suite, strict=True)):
        row = [by_task[number] for by_task in outcome.scores if number < len(by_task)]
        on_task = float(np.mean(row)) if outcome.status == OK else -math.inf
        tasks.append(OnTask(label, contestant.tuning_on(task, suite), on_task, row))

    return Verdict(
        name=contestant.name,
        status=outcome.status,
        scores=scores,
        score=score,
        low=low,
        high=high,
        statements=price.statements,
        state=price.state,
        operations=price.operations,
        finalist=contestant.finalist,
        beats_reference=strict_low > 0,
        tasks=tasks,
    )


def luck_of(contestant: Contestant, suite: Suite) -> Luck:
    """Return what the luck of tuning adds to a score.

    That of the reference, and of the contestant where it was tuned as well; what a run has found is
    judged with the values that it was found with, and is what it is.
    """
    if contestant.known == suite.reference:
        return NO_LUCK
    return luck_of_mean([ASSUMED] * len(suite), contestants=2 if contestant.known else 1)
