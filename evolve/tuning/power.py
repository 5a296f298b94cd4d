"""Power: what a training on a task is worth to a search.

    power = spread / noise / sqrt(seconds)

- noise: standard deviation over seeds of the paired score between tuned AdamW and AdamW with its
  learning rate, or its decays, a few percent off; the root of the mean of both variances. A score
  is a difference of log losses in one seed, so this is what one seed adds to two programs that are
  as good as each other.
- spread: how far apart tuned optimizers of different families end. Each stands at the mean of its
  scores over the seeds in which it ended; the spread is the distance between the quartiles of where
  they stand, divided by 1.349, which is the standard deviation for a normal law, and which one
  optimizer that fails does not move far.
- seconds: of one training of tuned AdamW with its evaluation, median over seeds, compiled already.

With n seconds to spend, a difference of `spread` stands power·sqrt(n) standard errors above noise:
of two tasks the one with twice the power needs a quarter of the time. Optimizers that nobody has
tuned on a task are left out, and named. The spread of fewer than four says little.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from evolve.environment import fingerprint
from evolve.scoring.optimizers import Optimizer
from evolve.scoring.references import Values, reference, tuned, tuned_values
from evolve.scoring.suite import REFERENCE
from evolve.scoring.trial import Trials
from evolve.search.mutation import Space, mutate
from evolve.tuning.watching import Watching, unwatched
from primitives import Program
from primitives.canonical.graph import graph
from primitives.statements import LEARNING_RATE
from proxy_tasks import Task
from proxy_tasks.task import LEAST_LOSS

FAMILIES = (
    "adamw", "nadamw", "lion", "heavy_ball", "lamb", "muon", "soap", "schedule_free_adamw",
    "ademamix", "sign_sgd",
)  # fmt: skip
"""Known optimizers, one a family, whose ends say how far apart optimizers can end."""

NEARLY = 1.05  # how much larger a learning rate, or 1 - a decay, is in a program nearly the same
QUARTILES = 1.349  # their distance in standard deviations, for a normal law
FEWEST_SEEDS = 4


@dataclass(frozen=True)
class Power:
    """What one task is worth, in the words of this module."""

    noise: float
    mutant_noise: float | None  # the same between AdamW and its mutants, median over them
    spread: float | None  # None where fewer than two optimizers ended
    seconds: float
    blow_ups: float  # share of the tuned trainings that were not finite, or lost to the start

    @property
    def power(self) -> float | None:
        """Spread over noise over the root of the seconds; None without a spread or noise."""
        if self.spread is None or not self.noise > 0:
            return None
        return self.spread / self.noise / math.sqrt(self.seconds)

    def facts(self) -> dict[str, float | None]:
        """Return plain data, three digits of each number."""
        names = ("noise", "mutant_noise", "spread", "seconds", "blow_ups", "power")
        return {name: _short(getattr(self, name)) for name in names}


def measure(
    task: Task,
    seeds: int,
    mutants: int,
    values: Values | None = None,
    watching: Watching = unwatched,
) -> dict[str, Any]:
    """Measure a task on its validation part. Returns the content of a power file.

    values: tuned ones; None for what the files of here say.
    Raises `ConfigError` where nobody has tuned AdamW there, and where it does not end.
    """
    values = tuned_values(task) if values is None else values
    adamw = reference(REFERENCE, task, values)
    compared = {name: o for name in FAMILIES if (o := tuned(name, task, values)) is not None}
    near, bred = nearly(adamw), children(adamw, mutants)
    trials, names = Trials(task), [f"power:{k}" for k in range(seeds)]

    ends: dict[str, Float[np.ndarray, " seed"]] = {}
    asked = [*compared.items(), *_numbered("near", near), *_numbered("mutant", bred)]
    starts = _starts(trials, names)
    with watching(f"{task.kind}: measuring its power", len(asked)) as done:
        for number, (name, optimizer) in enumerate(asked):
            ends[name] = np.array([_log_loss(trials, optimizer, seed) for seed in names])
            done(number + 1)
    seconds = float(np.median([_seconds(trials, adamw, seed) for seed in names]))

    scores = {name: ends[REFERENCE] - end for name, end in ends.items()}
    found = power_of_scores(
        near=[scores[name] for name, _ in _numbered("near", near)],
        mutants=[scores[name] for name, _ in _numbered("mutant", bred)],
        tuned=[scores[name] for name in compared],
        worse=[~(ends[name] < starts) for name in compared],  # also where it is nan
        seconds=seconds,
    )
    return {
        "fingerprint": task.fingerprint,
        "machine": fingerprint(),
        "task": task.configuration,
        "parameters": trials.layout.size,
        "seeds": seeds,
        **found.facts(),
        "optimizers": {name: _short(position(scores[name])) for name in compared},
        "not tuned": [name for name in FAMILIES if name not in compared],
    }


def power_of_scores(
    near: Sequence[Float[np.ndarray, " seed"]],
    mutants: Sequence[Float[np.ndarray, " seed"]],
    tuned: Sequence[Float[np.ndarray, " seed"]],
    worse: Sequence[Float[np.ndarray, " seed"]],
    seconds: float,
) -> Power:
    """Compute the power from paired scores, nan where a training was not finite."""
    deviations = [d for scores in near if (d := deviation(scores)) is not None]
    bred = [d for scores in mutants if (d := deviation(scores)) is not None]
    stand = [at for scores in tuned if (at := position(scores)) is not None]
    low, high = np.percentile(stand, [25, 75]) if len(stand) > 1 else (math.nan, math.nan)
    return Power(
        noise=math.sqrt(np.mean(np.square(deviations))) if deviations else math.nan,
        mutant_noise=float(np.median(bred)) if bred else None,
        spread=float(high - low) / QUARTILES if len(stand) > 1 else None,
        seconds=seconds,
        blow_ups=float(np.mean(worse)),
    )


def deviation(scores: Float[np.ndarray, " seed"]) -> float | None:
    """Return the standard deviation over seeds; None where a training was not finite."""
    return float(np.std(scores, ddof=1)) if np.isfinite(scores).all() else None


def position(scores: Float[np.ndarray, " seed"]) -> float | None:
    """Return the mean over the seeds that ended; None where fewer than half of them did."""
    ended = scores[np.isfinite(scores)]
    return float(np.mean(ended)) if 2 * len(ended) >= len(scores) else None


def nearly(optimizer: Optimizer) -> list[Optimizer]:
    """Return the optimizer with its learning rate a few percent off, and with its decays so."""
    rate = {LEARNING_RATE: optimizer.learning_rate * NEARLY}
    decays = {
        h.name: 1 - (1 - h.value) * NEARLY
        for h in optimizer.hyperparameters
        if h.scale == "log1m" and 0 < h.value < 1
    }
    return [optimizer.with_values(optimizer.values | new) for new in (rate, decays) if new]


def children(optimizer: Optimizer, count: int) -> list[Program]:
    """Breed mutants of a program that compute something else; always the same ones."""
    if not isinstance(optimizer, Program):
        return []
    rng, found, seen = np.random.default_rng(0), [], {graph(optimizer)}
    for _ in range(20 * count):
        child = mutate(optimizer, Space(), rng).program
        if len(found) < count and graph(child) not in seen:
            seen.add(graph(child))
            found.append(child)
    return found


def _numbered(what: str, optimizers: Sequence[Optimizer]) -> list[tuple[str, Optimizer]]:
    return [(f"{what} {number}", optimizer) for number, optimizer in enumerate(optimizers)]


def _log_loss(trials: Trials, optimizer: Optimizer, seed: str) -> float:
    loss = trials.loss(optimizer, seed)
    return math.nan if math.isnan(loss) else math.log(max(loss, LEAST_LOSS))


def _starts(trials: Trials, seeds: Sequence[str]) -> Float[np.ndarray, " seed"]:
    """Return the log losses before the first step."""
    begins = [trials.begin(seed) for seed in seeds]
    losses = [trials.evaluate(b.w, b.data) for b in begins]
    return np.log(np.maximum(losses, LEAST_LOSS))


def _seconds(trials: Trials, optimizer: Optimizer, seed: str) -> float:
    began = time.perf_counter()
    trials.loss(optimizer, seed)
    return time.perf_counter() - began


def _short(x: float | None) -> float | None:
    return None if x is None or not math.isfinite(x) else float(f"{x:.3g}")
