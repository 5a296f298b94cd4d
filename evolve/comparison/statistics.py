"""How sure a mean is: intervals over seeds. All that are stated anywhere come from here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEVEL = 0.95  # of the intervals that people see
RESAMPLES = 9999


def interval(scores: Sequence[float], level: float) -> tuple[float, float]:
    """Return a bootstrap interval of the mean (bias-corrected and accelerated).

    scores: one for each seed, two at least where they differ; all finite. level: the share of such
    intervals that hold the mean, 0.95 for instance. The resampling is by fixed random numbers, so
    the same scores give the same interval.
    """
    if np.ptp(scores) == 0.0:
        return float(scores[0]), float(scores[0])
    from scipy.stats import bootstrap

    found = bootstrap(
        (np.asarray(scores),),
        np.mean,
        confidence_level=level,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def shared_level(level: float, comparisons: int) -> float:
    """Return the level at which each of several comparisons is made (Bonferroni).

    With it, all of their intervals together hold their means as often as `level` says.
    """
    return 1 - (1 - level) / max(1, comparisons)
