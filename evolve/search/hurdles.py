"""Hurdles: the scores below which nothing more is spent on a candidate.

They stand at a percentile of the population, so that they rise with it. The first one is within the
first training, after a share of its steps; the second one is at the end of the first seed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from evolve.config.schema import ScoringSettings
from evolve.scoring.job import WORST
from evolve.search.candidate import Member

# From this rank correlation on, early scores may stop a training: over at least ENOUGH members.
FORESIGHT = 0.5
ENOUGH = 16


@dataclass(frozen=True)
class Hurdles:
    """Where the hurdles stand for a population, by the settings of a run."""

    settings: ScoringSettings
    tasks: int  # how many there are

    def early(self, population: Collection[Member]) -> tuple[float, ...]:
        """Return the scores below which a first training is stopped early, task by task.

        Where early scores say little about those at the end, only a loss beyond the bound stops a
        training. Empty where the settings want no early hurdle.
        """
        if not self.settings.early:
            return ()
        bound = -math.log(self.settings.bound)
        return tuple(
            max(bound, self.percentile(m.early[task] for m in population if len(m.early) > task))
            if foresight(population, task) >= FORESIGHT
            else bound
            for task in range(self.tasks)
        )

    def first_seed(self, population: Iterable[Member]) -> float:
        """Return the score in the first seed below which no further seed is spent."""
        return self.percentile(m.first for m in population if m.first < math.inf)

    def percentile(self, scores: Iterable[float]) -> float:
        """Return the score at the percentile of the settings; the worst one for no scores."""
        ranked = sorted(scores)
        if not ranked:
            return WORST
        return ranked[int(len(ranked) * self.settings.hurdle_percentile / 100.0)]


def foresight(population: Iterable[Member], task: int) -> float:
    """Return the rank correlation of early scores on a task with those at its end.

    It is taken over the population, and 0 where few members have both.
    """
    from scipy.stats import spearmanr  # takes half a second

    pairs = [(m.early[task], m.scores[task]) for m in population if m.scores and m.early]
    if len(pairs) < ENOUGH or any(len({pair[k] for pair in pairs}) == 1 for k in range(2)):
        return 0.0
    early, end = zip(*pairs, strict=True)
    found: Any = spearmanr(early, end)
    return float(found.statistic)
