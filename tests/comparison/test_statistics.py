"""Intervals over seeds and the luck of tuning, against closed forms and cases done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, norm, t, trim_mean

from evolve.comparison.statistics import (
    NO_LUCK,
    RESAMPLES,
    Luck,
    interquartile_interval,
    interquartile_mean,
    interval,
    luck_of_mean,
    luck_on_task,
    pairwise,
    shared_level,
    tuning_variance,
)

# --- seeds ----------------------------------------------------------------------------------------


def test_the_interval_of_ten_seeds_is_scipys_at_hesterbergs_level():
    scores = np.random.default_rng(0).exponential(size=10)
    tail = norm.sf(math.sqrt(10 / 9) * t.isf(0.025, 9))
    theirs = bootstrap(
        (scores,),
        np.mean,
        confidence_level=1 - 2 * tail,
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert interval(scores, 0.95) == pytest.approx(tuple(theirs), rel=1e-12)


@pytest.mark.parametrize(("seeds", "level"), [(5, 0.95), (10, 0.95), (10, 0.9967), (10, 0.9995)])
def test_on_symmetric_scores_the_interval_is_students_even_at_levels_that_many_comparisons_share(
    seeds, level
):
    """To a tenth: the tails of the resamples are thinner or fatter than normal ones."""
    scores = norm.ppf((np.arange(seeds) + 0.5) / seeds)
    half = t.isf((1 - level) / 2, seeds - 1) * scores.std(ddof=1) / math.sqrt(seeds)
    low, high = interval(scores, level)
    assert low == pytest.approx(-half, rel=0.1)
    assert high == pytest.approx(half, rel=0.1)


def test_ten_seeds_hold_the_mean_as_often_as_the_level_says():
    """93 % at least of 300, where a bare bootstrap holds it in 90 %."""
    draws = np.random.default_rng(0).normal(size=(300, 10))
    held = [low <= 0 <= high for low, high in (interval(x, 0.95) for x in draws)]
    assert 0.93 <= np.mean(held) <= 0.98


def test_an_interval_moves_and_grows_with_the_scores():
    """To rounding: it decides which resamples count as equal to the mean, one or two of them."""
    scores = np.random.default_rng(1).exponential(size=8)
    low, high = interval(scores, 0.95)
    assert interval(3 * scores + 2, 0.95) == pytest.approx((3 * low + 2, 3 * high + 2), rel=1e-3)


# --- the luck of tuning ---------------------------------------------------------------------------


def test_the_variance_between_two_tunings_is_what_one_finds_by_hand():
    """Means 2 and 4, variance 2. Differences -3, -1, -2: variance 1, half of it for one tuning, by
    three seeds: 1/6.
    """
    scores = np.array([[1.0, 2.0, 3.0], [4.0, 3.0, 5.0]])
    assert tuning_variance(scores) == pytest.approx(2 - 1 / 6)


def test_what_a_seed_does_to_all_tunings_is_no_luck_of_tuning():
    scores = np.random.default_rng(0).normal(size=(3, 6))
    shifts = 100 * np.random.default_rng(1).normal(size=6)
    assert tuning_variance(scores + shifts) == pytest.approx(tuning_variance(scores))


@pytest.mark.parametrize("tunings", [2, 4])
@pytest.mark.parametrize("luck", [0.0, 0.5])
def test_the_variance_between_tunings_is_estimated_without_bias(tunings, luck):
    """Also where one tuning is noisier than another: it is, for high learning rates."""
    rng, noise = np.random.default_rng(0), np.linspace(0.5, 2.0, tunings)[:, None]
    found = []
    for _ in range(4000):
        truth = luck * rng.normal(size=(tunings, 1))
        scores = truth + rng.normal(size=(1, 5)) + noise * rng.normal(size=(tunings, 5))
        found.append(tuning_variance(scores))
    error = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found) - luck**2) < 3 * error
    assert min(found) < 0


def test_one_tuning_or_one_seed_says_nothing_about_luck():
    for shape in ((1, 5), (5, 1)):
        with pytest.raises(ValueError, match="needs 2 tunings and 2 seeds"):
            tuning_variance(np.zeros(shape))


def test_optimizers_on_one_task_share_their_luck_and_it_is_never_negative():
    assert luck_on_task([0.05, 0.13, 0.09]) == (pytest.approx(0.3), 3)
    assert luck_on_task([0.35, 0.15], tunings=3) == (pytest.approx(0.5), 4)
    assert luck_on_task([-0.3, 0.1]) == (0.0, 2)


def test_the_luck_of_a_mean_is_what_one_finds_by_hand():
    """Two tasks with variances 1 and 3: 2/4 of each, together 2; 2² / (0.5²/2 + 1.5²/4) degrees."""
    lucks = [Luck(1.0, 2), Luck(math.sqrt(3.0), 4)]
    error, degrees = luck_of_mean(lucks)
    assert error == pytest.approx(math.sqrt(2.0))
    assert degrees == pytest.approx(4 / (0.125 + 0.5625))
    assert luck_of_mean(lucks, contestants=1).error == pytest.approx(1.0)


def test_lucks_that_are_alike_add_their_degrees_of_freedom():
    assert luck_of_mean([Luck(0.2, 3)] * 4).degrees == pytest.approx(12)
    assert luck_of_mean([Luck(0.0, 3)] * 4) == NO_LUCK


def test_luck_widens_an_interval_by_squares():
    scores, luck = np.random.default_rng(2).exponential(size=10), Luck(0.3, 6)
    low, high = interval(scores, 0.9)
    wide = interval(scores, 0.9, luck)
    half, mean = 0.3 * t.ppf(0.95, 6), scores.mean()
    assert (mean - wide[0]) ** 2 == pytest.approx((mean - low) ** 2 + half**2)
    assert (wide[1] - mean) ** 2 == pytest.approx((high - mean) ** 2 + half**2)
    assert interval(scores, 0.9, NO_LUCK) == (low, high)


def test_without_noise_of_seeds_the_luck_is_the_whole_interval():
    low, high = interval([0.5] * 4, 0.95, Luck(0.1, 5))
    assert (low, high) == pytest.approx(t.interval(0.95, 5, loc=0.5, scale=0.1))


# --- pairs ----------------------------------------------------------------------------------------


def test_every_pair_is_compared_once_at_the_level_that_all_share():
    rng, luck = np.random.default_rng(3), [Luck(0.02, 3), Luck(0.03, 3)]
    means = {"a": 0.0, "b": 0.0, "c": 2.0}
    scores = {name: rng.normal(mean, 0.1, (10, 2)) for name, mean in means.items()}
    found = pairwise(scores, luck)
    assert [(d.one, d.other) for d in found] == [("a", "b"), ("a", "c"), ("b", "c")]
    assert [d.distinguishable for d in found] == [False, True, True]
    for d in found:
        by_seed = (scores[d.one] - scores[d.other]).mean(axis=1)
        assert d.mean == pytest.approx(by_seed.mean())
        assert (d.low, d.high) == interval(by_seed, shared_level(0.95, 3), luck_of_mean(luck))


def test_whoever_diverges_is_worse_than_all_who_do_not_and_one_seed_proves_nothing():
    sound, broken = np.zeros((5, 2)), np.full((5, 2), -math.inf)
    first, second, third = pairwise({"x": broken, "y": broken + 1, "z": sound}, [NO_LUCK] * 2)
    assert not first.distinguishable
    assert math.isnan(first.mean)
    assert second[2:] == third[2:] == (-math.inf, -math.inf, -math.inf, True)
    [alone] = pairwise({"x": np.ones((1, 2)), "y": np.zeros((1, 2))}, [NO_LUCK] * 2)
    assert alone[2:] == (1.0, -math.inf, math.inf, False)


# --- the middle half ------------------------------------------------------------------------------


def test_the_interquartile_mean_leaves_out_a_quarter_at_each_end():
    scores = np.array([[1.0, 100.0], [3.0, -9.0], [2.0, 4.0], [5.0, 6.0]])
    assert interquartile_mean(scores) == (2 + 3 + 4 + 5) / 4
    assert interquartile_mean(scores) == trim_mean(scores, 0.25, axis=None)


def test_the_interquartile_interval_draws_seeds_within_tasks():
    """A second opinion by loops, to the scatter of percentiles of so many resamples."""
    rng = np.random.default_rng(4)
    scores = rng.normal(size=(6, 3)) + np.array([0.0, 1.0, 5.0])
    drawn = [
        trim_mean([rng.choice(task, 6) for task in scores.T], 0.25, axis=None) for _ in range(1000)
    ]
    low, high = interquartile_interval(scores)
    assert (low, high) == pytest.approx(tuple(np.percentile(drawn, (2.5, 97.5))), abs=0.1)
    assert low < interquartile_mean(scores) < high
    assert interquartile_interval(scores) == (low, high)
    assert interquartile_interval(np.ones((3, 2))) == (1.0, 1.0)
