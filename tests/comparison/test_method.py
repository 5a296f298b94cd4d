"""The way optimizers are compared, tried on optimizers whose truth is known: nothing is trained.

A comparison tunes each optimizer twice on every task, chooses the better tuning on selection seeds
of its own, scores both on fresh seeds, and states an interval for the difference that holds the
luck of tuning. Here all of that happens with drawn numbers. One optimizer under two names must be
called different in at most 5 % of the comparisons, and a worse one must be found.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from jaxtyping import Float

from evolve.comparison.statistics import (
    LEVEL,
    NO_LUCK,
    Luck,
    interval,
    luck_of_mean,
    luck_on_task,
    tuning_variance,
)

TUNINGS, SELECTION, SEEDS = 2, 5, 10
NOISE = 0.05  # of one training, in log loss
REPEATS, BARE = 400, 60  # comparisons, and how many of them without the luck of tuning

Noise = Callable[[np.random.Generator, tuple[int, ...]], Float[np.ndarray, " *shape"]]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Float[np.ndarray, " *shape"]:
    return rng.normal(size=shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Float[np.ndarray, " *shape"]:
    """Mean 0, variance 1, skewness 2: most trainings are alike, a few end much higher."""
    return rng.exponential(size=shape) - 1.0


def tuned(
    truth: float, luck: float, shared: Float[np.ndarray, " seed"], draw: Noise, rng
) -> tuple[Float[np.ndarray, " seed"], float]:
    """Return the final log losses of the chosen of two tunings, and how far the two scatter.

    luck: the standard deviation of what a tuning truly reaches. shared: what a seed does to all.
    """
    reached = truth + luck * draw(rng, (TUNINGS, 1))
    selection = reached + NOISE * draw(rng, (TUNINGS, SELECTION))
    fresh = reached + shared + NOISE * draw(rng, (TUNINGS, SEEDS))
    return fresh[np.argmin(selection.mean(axis=1))], tuning_variance(fresh)


def compared(
    worse: float, luck: float, tasks: int, draw: Noise, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " seed"], Luck]:
    """Return the differences of two optimizers, means over tasks, and their luck.

    worse: by how much the first ends higher in truth.
    """
    differences, lucks = [], []
    for _ in range(tasks):
        shared = NOISE * draw(rng, (SEEDS,))
        one, scatter = tuned(worse, luck, shared, draw, rng)
        other, scatter_too = tuned(0.0, luck, shared, draw, rng)
        differences.append(one - other)
        lucks.append(luck_on_task([scatter, scatter_too], TUNINGS))
    return np.mean(differences, axis=0), luck_of_mean(lucks)


def apart(scores: Float[np.ndarray, " seed"], luck: Luck) -> bool:
    low, high = interval(scores, LEVEL, luck)
    return not low <= 0.0 <= high


@pytest.mark.parametrize(
    ("ratio", "tasks", "draw"),
    [(0, 6, normal), (1, 8, normal), (1, 8, skewed), (3, 12, skewed)],
)
def test_one_optimizer_under_two_names_is_called_different_in_at_most_five_percent(
    ratio, tasks, draw
):
    """And far more often where the luck of tuning is left out: the check can fail.

    ratio: luck of a tuning over noise of a seed.
    """
    rng = np.random.default_rng(ratio)
    found = [compared(0.0, ratio * NOISE, tasks, draw, rng) for _ in range(REPEATS)]
    with_luck = sum(apart(scores, luck) for scores, luck in found)
    print(f"{draw.__name__}, luck {ratio}: {with_luck} of {REPEATS} called different")
    assert with_luck <= 0.05 * REPEATS

    if ratio:
        bare = sum(apart(scores, NO_LUCK) for scores, _ in found[:BARE])
        print(f"    of {BARE} without the luck of tuning: {bare}")
        assert bare > 0.2 * BARE


def test_an_optimizer_that_is_worse_by_a_tenth_is_found_worse_every_time():
    rng = np.random.default_rng(7)
    for _ in range(100):
        scores, luck = compared(0.1, 0.5 * NOISE, 8, skewed, rng)
        assert interval(scores, LEVEL, luck)[0] > 0
