"""The last word: finalists and tuned baselines on seeds the search never saw, on the test part.

Differences are paired by seed: every score is relative to the tuned reference in the same seed.
The interval is a bootstrap over seeds; a program is said to beat the reference only if the interval
that allows for the number of finalists lies above 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evolve.comparison.statistics import LEVEL, interval, shared_level
from evolve.scoring.job import OK, Job, Outcome
from evolve.scoring.optimizers import Optimizer
from evolve.scoring.suite import Suite
from evolve.workers.executor import Executor
from evolve.workers.gather import gather
from primitives import Program
from primitives.canonical.cost import Cost, cost
from primitives.canonical.liveness import prune


@dataclass(frozen=True)
class Contestant:
    """An optimizer and its name in the table.

    known: the name of a known one, which is scored with the hyperparameters tuned on each task;
    empty for a program that is scored as it stands.
    """

    name: str
    optimizer: Optimizer
    known: str = ""
    finalist: bool = False


@dataclass(frozen=True)
class Verdict:
    """One line of the table.

    `scores` are per seed, means over tasks; higher is better, 0 is the reference.
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

    @classmethod
    def from_facts(cls, facts: dict[str, Any]) -> Verdict:
        """Make the line that `facts` was called on. Raises `TypeError` where it is none."""
        said = dict(facts)
        if "beats_adamw" in said:  # as older runs wrote it
            said["beats_reference"] = said.pop("beats_adamw")
        for name in ("score", "low", "high"):
            said[name] = -math.inf if said[name] is None else float(said[name])
        return cls(**said)

    def facts(self) -> dict[str, Any]:
        """Return plain data for JSON, which has no infinity."""
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in asdict(self).items()
        }


def known_label(name: str, suite: Suite) -> str:
    """Name a known optimizer for a table: whether its hyperparameters are tuned on every task."""
    is_tuned = all(suite.tuned(name, task) for task in suite)
    return f"{name} ({'tuned' if is_tuned else 'as written'})"


def confirm_seeds(count: int) -> tuple[str, ...]:
    """List seeds that no search ever uses, the same for every run, so that runs can be compared."""
    return tuple(f"confirm:{k}" for k in range(count))


def confirm(
    executor: Executor,
    contestants: Sequence[Contestant],
    seeds: int,
    stop: Callable[[], bool] = lambda: False,
    schedule: str = "",
) -> list[Verdict]:
    """Score everybody and say who beats the reference.

    Raises `Interrupted` when asked to stop.
    """
    jobs = [_job(contestant, seeds, schedule) for contestant in contestants]
    outcomes = gather(executor, jobs, stop)
    finalists = sum(contestant.finalist for contestant in contestants)
    return [judge(c, outcome, finalists) for c, outcome in zip(contestants, outcomes, strict=True)]


def _job(contestant: Contestant, seeds: int, schedule: str) -> Job:
    optimizer, known = contestant.optimizer, contestant.known
    text = str(prune(optimizer)) if isinstance(optimizer, Program) and not known else ""
    return Job(text, confirm_seeds(seeds), part="test", known=known, schedule=schedule)


def judge(contestant: Contestant, outcome: Outcome, finalists: int) -> Verdict:
    """Write the line of one contestant."""
    optimizer = contestant.optimizer
    price = cost(optimizer) if isinstance(optimizer, Program) else Cost(0, 0, "", 0.0)

    scores = [float(np.mean(row)) for row in outcome.scores]
    if outcome.status == OK:
        score = float(np.mean(scores))
        low, high = interval(scores, LEVEL)
        strict_low, _ = interval(scores, shared_level(LEVEL, finalists))
    else:
        score = low = high = strict_low = -math.inf

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
    )
