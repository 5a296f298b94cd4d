"""How sure a number is: intervals over seeds and the luck of tuning.

All intervals that are stated anywhere come from here. A score is known from a few seeds, and it
belongs to hyperparameters that a tuning chose from noisy trainings: another tuning would have
chosen others. An interval over seeds alone leaves the second kind of luck out, and then the same
optimizer under two names is often called different.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

LEVEL = 0.95  # of the intervals that people see
RESAMPLES = 9999
RESOLVED = 0.005  # the smallest tail that is read off the resamples: 50 of them lie in it


class Luck(NamedTuple):
    """What the luck of tuning adds to a number.

    error: its standard deviation, in the unit of the number; degrees: of freedom by which that is
    known.
    """

    error: float
    degrees: float


NO_LUCK = Luck(0.0, math.inf)
ASSUMED = Luck(0.014, math.inf)
"""Of one tuning on one task, where nobody has measured it: AdamW tuned twice with 96 trainings
differed from itself by 0.02 a task, which is a difference of two.
"""


class Difference(NamedTuple):
    """Two optimizers side by side: the mean score of `one` less that of `other`.

    low, high: an interval at the level that all pairs share. distinguishable: it does not hold 0.
    """

    one: str
    other: str
    mean: float
    low: float
    high: float
    distinguishable: bool


def interval(
    scores: Sequence[float] | Float[np.ndarray, " seed"], level: float, luck: Luck = NO_LUCK
) -> tuple[float, float]:
    """Return an interval of the mean that allows for seeds and for the luck of tuning.

    scores: one for each seed, two at least where they differ; all finite. level: the share of such
    intervals that hold the mean, 0.95 for instance. The resampling is by fixed random numbers, so
    the same scores give the same interval.

    Source  Zou & Donner 2008, Statistics in Medicine 27:1693: distances from the mean to the limits
            are squared and added (MOVER), which keeps the asymmetry of the bootstrap.
    """
    low, high = _bootstrap(np.asarray(scores, float), level)
    if luck.error == 0.0:
        return low, high
    from scipy.stats import t

    mean = float(np.mean(scores))
    half = float(t.isf((1 - level) / 2, luck.degrees)) * luck.error
    return mean - math.hypot(mean - low, half), mean + math.hypot(high - mean, half)


def _bootstrap(scores: Float[np.ndarray, " seed"], level: float) -> tuple[float, float]:
    """Return the bootstrap interval (bias-corrected and accelerated), widened for few seeds.

    Resamples of n seeds scatter like n - 1 seeds would with a known deviation: a bare interval of
    10 seeds holds the mean in 90 % where it says 95 %. The level is raised as Hesterberg 2015
    (arXiv:1411.5279) does, so that symmetric data give Student's interval. A tail thinner than
    `RESOLVED` cannot be read off the resamples: there the distances to the mean are stretched by
    the ratio of normal quantiles.
    """
    if np.ptp(scores) == 0.0:
        return float(scores[0]), float(scores[0])
    from scipy.stats import bootstrap, norm, t

    n = len(scores)
    reach = math.sqrt(n / (n - 1)) * float(t.isf((1 - level) / 2, n - 1))
    tail = max(float(norm.sf(reach)), RESOLVED)
    stretch = reach / float(norm.isf(tail))

    rng = np.random.default_rng(0)
    found: Any = bootstrap(
        (scores,), np.mean, confidence_level=1 - 2 * tail, n_resamples=RESAMPLES, rng=rng
    ).confidence_interval
    mean = float(np.mean(scores))
    below, above = max(0.0, mean - float(found.low)), max(0.0, float(found.high) - mean)
    return mean - stretch * below, mean + stretch * above


def shared_level(level: float, comparisons: int) -> float:
    """Return the level at which each of several comparisons is made (Bonferroni).

    With it, all of their intervals together hold their means as often as `level` says.
    """
    return 1 - (1 - level) / max(1, comparisons)


def tuning_variance(scores: Float[np.ndarray, "tuning seed"]) -> float:
    """Estimate without bias how far independent tunings of one optimizer on one task scatter.

    The result is the variance of what the tunings truly reach, in squared units of the scores: the
    variance of their means, less what few seeds add to it. Tunings share their seeds, so what a
    seed does to all of them is no part of either. It is below 0 where the seeds explain more than
    all scatter; keep the sign until several are pooled.
    """
    tunings, seeds = scores.shape
    if tunings < 2 or seeds < 2:
        raise ValueError(f"the luck of tuning needs 2 tunings and 2 seeds, not {scores.shape}")
    means = scores.mean(axis=1)
    rest = scores - means[:, None] - scores.mean(axis=0) + scores.mean()
    noise = float(np.sum(rest**2)) / ((tunings - 1) * (seeds - 1))  # of one seed, in differences
    return float(np.var(means, ddof=1)) - noise / seeds


def luck_on_task(variances: Sequence[float], tunings: int = 2) -> Luck:
    """Pool what several optimizers say about the luck of one tuning on a task.

    variances: `tuning_variance` of each. Optimizers are taken to scatter alike on one task, because
    two tunings say little about any one of them.
    """
    pooled = max(0.0, float(np.mean(variances)))
    return Luck(math.sqrt(pooled), len(variances) * (tunings - 1))


def luck_of_mean(lucks: Sequence[Luck], contestants: int = 2) -> Luck:
    """Return what tuning adds to a mean over tasks, by default of the difference of two optimizers.

    lucks: of one tuning, for each task. contestants: how many tuned optimizers the number is made
    of; 1 for a score relative to something that was not tuned.

    Source  Satterthwaite 1946, Biometrics Bulletin 2:110, for the degrees of freedom.
    """
    parts = [contestants * (luck.error / len(lucks)) ** 2 for luck in lucks]
    if not any(parts):
        return NO_LUCK
    known = sum(p**2 / luck.degrees for p, luck in zip(parts, lucks, strict=True))
    return Luck(math.sqrt(sum(parts)), sum(parts) ** 2 / known if known else math.inf)


def pairwise(
    scores: Mapping[str, Float[np.ndarray, "seed task"]],
    lucks: Sequence[Luck],
    level: float = LEVEL,
) -> list[Difference]:
    """Compare every two optimizers, at a level that all pairs share.

    scores: higher is better; the same seeds and tasks for all. lucks: of one tuning, for each task.
    Whoever has a score that is no number is worse than everybody whose scores are all finite; two
    of those, or a single seed, cannot be told apart.
    """
    pairs = list(itertools.combinations(scores, 2))
    level, luck = shared_level(level, len(pairs)), luck_of_mean(lucks)
    return [_difference(a, b, scores[a], scores[b], level, luck) for a, b in pairs]


def _difference(
    one: str,
    other: str,
    ours: Float[np.ndarray, "seed task"],
    theirs: Float[np.ndarray, "seed task"],
    level: float,
    luck: Luck,
) -> Difference:
    sound = bool(np.all(np.isfinite(ours))), bool(np.all(np.isfinite(theirs)))
    if sound == (False, False):
        return Difference(one, other, math.nan, -math.inf, math.inf, False)
    if not all(sound):
        worst = math.inf if sound[0] else -math.inf
        return Difference(one, other, worst, worst, worst, True)

    by_seed = np.mean(ours - theirs, axis=1)
    low, high = interval(by_seed, level, luck) if len(by_seed) > 1 else (-math.inf, math.inf)
    return Difference(one, other, float(np.mean(by_seed)), low, high, not low <= 0.0 <= high)


def interquartile_mean(scores: Float[np.ndarray, "seed task"]) -> float:
    """Return the mean of the middle half of all scores, which no single task or seed can move far.

    Source  Agarwal et al. 2021, arXiv:2108.13264, as their library rliable computes it.
    """
    from scipy.stats import trim_mean

    return float(trim_mean(np.ravel(scores), 0.25))


def interquartile_interval(
    scores: Float[np.ndarray, "seed task"], level: float = LEVEL
) -> tuple[float, float]:
    """Return the bootstrap interval of the interquartile mean: percentiles, as rliable has them.

    Seeds are drawn anew within each task, so every resample holds every task as often. The luck of
    tuning is not in it.
    """
    from scipy.stats import bootstrap, trim_mean

    if not np.any(np.ptp(scores, axis=0)):
        return interquartile_mean(scores), interquartile_mean(scores)

    def statistic(*tasks: Float[np.ndarray, "*batch seed"], axis: int) -> Any:
        return trim_mean(np.concatenate(tasks, axis=axis), 0.25, axis=axis)

    found: Any = bootstrap(
        tuple(scores.T),
        statistic,
        confidence_level=level,
        n_resamples=RESAMPLES,
        batch=500,  # of the resamples at once: memory
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)
