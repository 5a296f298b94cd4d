"""The last word: finalists and tuned baselines on seeds the search never saw, on the test part.

Differences are paired by seed: every score is relative to tuned AdamW in the
same seed. The interval is a bootstrap over seeds; a program is said to beat
tuned AdamW only if the interval that allows for the number of finalists
(Bonferroni) lies above 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evolve.scoring.job import DIVERGED, OK, Job, Outcome
from evolve.scoring.suite import Suite, tuned
from evolve.scoring.trial import Optimizer
from evolve.workers.executor import Executor
from primitives import Program
from primitives.canonical.cost import Cost, cost
from primitives.canonical.liveness import prune

LEVEL = 0.95


@dataclass(frozen=True)
class Contestant:
    """An optimizer and its name in the table; `known` has its hyperparameters tuned on each
    task.
    """

    name: str
    optimizer: Optimizer
    known: str = ""
    finalist: bool = False


@dataclass(frozen=True)
class Verdict:
    """One line of the table.

    `scores` are per seed, means over tasks; higher is better, 0 is tuned AdamW.
    """

    name: str
    status: str
    scores: list[float]
    score: float
    low: float
    high: float
    statements: int  # 0 for one written by hand
    state: str  # kept per leaf, see `Cost`
    operations: float
    finalist: bool
    beats_adamw: bool

    def facts(self) -> dict[str, Any]:
        """For JSON, which has no infinity."""
        return {
            k: None if isinstance(v, float) and not math.isfinite(v) else v
            for k, v in asdict(self).items()
        }


def known_label(name: str, suite: Suite) -> str:
    """What a known optimizer is called in a table: whether its hyperparameters are tuned on every
    task.
    """
    is_tuned = all(tuned(name, task) for task in suite.tasks)
    return f"{name} ({'tuned' if is_tuned else 'as written'})"


def confirm_seeds(count: int) -> tuple[str, ...]:
    """Seeds that no search ever uses, the same for every run, so that runs can be compared."""
    return tuple(f"confirm:{k}" for k in range(count))


def confirm(
    executor: Executor,
    contestants: Sequence[Contestant],
    seeds: int,
    stop: Callable[[], bool] = lambda: False,
    schedule: str = "",
) -> list[Verdict]:
    """Score everybody and say who beats whom. Stops early with an empty list when asked to."""
    for number, c in enumerate(contestants):
        text = str(prune(c.optimizer)) if isinstance(c.optimizer, Program) and not c.known else ""
        job = Job(text, confirm_seeds(seeds), part="test", known=c.known, schedule=schedule)
        executor.submit(number, job)
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < len(contestants):
        if stop():
            return []
        outcomes.update(executor.arrivals(0.05))
    finalists = sum(c.finalist for c in contestants)
    return [judge(c, outcomes[n], finalists) for n, c in enumerate(contestants)]


def judge(contestant: Contestant, outcome: Outcome, finalists: int) -> Verdict:
    """The line of one contestant."""
    price = (
        cost(contestant.optimizer)
        if isinstance(contestant.optimizer, Program)
        else Cost(0, 0, "", 0.0)
    )
    scores = [float(np.mean(row)) for row in outcome.scores]
    if outcome.status != OK:
        score, low, high, strict_low = (-math.inf,) * 4
    else:
        score = float(np.mean(scores))
        low, high = interval(scores, LEVEL)
        strict_low, _ = interval(scores, 1 - (1 - LEVEL) / max(1, finalists))
    return Verdict(
        contestant.name, outcome.status, scores, score, low, high,
        price.statements, price.state, price.operations, contestant.finalist, strict_low > 0,
    )  # fmt: skip


def interval(scores: Sequence[float], level: float) -> tuple[float, float]:
    """Bootstrap interval of the mean over seeds (bias-corrected and accelerated); fixed random
    numbers.
    """
    if np.ptp(scores) == 0.0:
        return float(scores[0]), float(scores[0])
    from scipy.stats import bootstrap

    found = bootstrap(
        (np.asarray(scores),),
        np.mean,
        confidence_level=level,
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def shown_score(verdict: Verdict) -> str:
    return (
        DIVERGED
        if verdict.status == DIVERGED
        else verdict.status
        if verdict.status != OK
        else f"{verdict.score:+.4f}"
    )


def shown_interval(verdict: Verdict) -> str:
    return "" if verdict.status != OK else f"{verdict.low:+.4f} to {verdict.high:+.4f}"
