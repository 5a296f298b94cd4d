"""Ranges of hyperparameters, and the points that are tried in them.

A range has a scale: `linear`, `log`, or `log1m` for what is close to 1, as decays are, where the
distance from 1 is what counts. A position in [0, 1] says where in a range a value lies: 0.5 is half
way on its scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from evolve.scoring.optimizers import Optimizer
from primitives import Hyperparameter

FINALISTS = 12  # of the points that were tried, the best so many are scored again ...
FINAL_SEEDS = 8  # ... in so many fresh seeds
EDGE = 0.04  # an optimum this close to the end of a range (as a share of it) is at its edge


def tunable(optimizer: Optimizer) -> list[Hyperparameter]:
    """Return the hyperparameters for which an optimizer declares a range."""
    return [h for h in optimizer.hyperparameters if h.low is not None]


def ends(h: Hyperparameter) -> tuple[float, float]:
    """Return the lowest and the highest value of a range."""
    assert h.low is not None
    assert h.high is not None
    return h.low, h.high


def points(
    ranges: Sequence[Hyperparameter], count: int, scramble: Sequence[int] = ()
) -> list[dict[str, float]]:
    """Return points of the ranges, as values by name: a scrambled Sobol sequence, always the same.

    Values have four digits; nobody needs more. scramble: numbers; others give other points.
    """
    from scipy.stats import qmc  # most commands draw no points, and it takes half a second

    rng = np.random.default_rng([20230213, *scramble])
    drawn = qmc.Sobol(len(ranges), scramble=True, rng=rng).random(2 ** math.ceil(math.log2(count)))
    return [
        {h.name: _rounded(h, value_at(h, p)) for h, p in zip(ranges, point, strict=True)}
        for point in drawn[:count]
    ]


def value_at(h: Hyperparameter, position: float) -> float:
    """Return the value at a position in [0, 1] of a range."""
    low, high = (_on_scale(h, end) for end in ends(h))
    at = low + position * (high - low)
    if h.scale == "log":
        return math.exp(at)
    return 1 - math.exp(at) if h.scale == "log1m" else at


def position_of(h: Hyperparameter, value: float) -> float:
    """Return the position of a value in a range; outside of [0, 1] where it lies outside."""
    low, high = (_on_scale(h, end) for end in ends(h))
    return (_on_scale(h, value) - low) / (high - low)


def is_inside(position: float) -> bool:
    """Tell whether a position is not at an edge of its range."""
    return EDGE < position < 1 - EDGE


def around(h: Hyperparameter, value: float, share: float) -> Hyperparameter:
    """Return a share of a range, around a value; it may reach beyond where the range ends.

    A decay stays within [0, 1).
    """
    at = position_of(h, value)
    low, high = value_at(h, at - share / 2), value_at(h, at + share / 2)
    if h.scale == "log1m":
        return replace(h, low=max(0.0, low), high=high)
    return replace(h, low=low, high=high)


def _rounded(h: Hyperparameter, value: float) -> float:
    """Round to four digits; of a decay, to four of its distance from 1."""
    digits = 4 if h.scale != "log1m" else 4 + max(0, math.ceil(-math.log10(1 - value)) - 1)
    return float(f"{value:.{digits}g}")


def _on_scale(h: Hyperparameter, value: float) -> float:
    """Return a value in the units of the scale, in which a range is walked evenly."""
    if h.scale == "log":
        return math.log(value)
    return math.log(1 - value) if h.scale == "log1m" else value
