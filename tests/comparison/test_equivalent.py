"""Equivalent steps and the width of learning rates, against power laws and cases done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evolve.comparison.equivalent import equivalent_steps, width_of_rates

H = np.array([0.125, 0.25, 0.5, 1.0])
INF, NAN = math.inf, math.nan


@pytest.mark.parametrize("speed", [1.0, 1.3, 2.0, 7.9])
def test_an_optimizer_that_is_faster_by_a_factor_is_worth_that_many_steps(speed):
    """Losses that fall as a power of steps are straight lines here: the factor is exact."""
    slow, fast = -0.4 * np.log(H), -0.4 * np.log(speed * H)
    assert equivalent_steps(H, fast, slow) == (pytest.approx(speed), False)
    assert equivalent_steps(H, slow, fast) == (pytest.approx(1 / speed), False)


def test_beyond_the_shortest_horizon_only_a_bound_is_known():
    slow, fast = -np.log(H), -np.log(20 * H)
    assert equivalent_steps(H, fast, slow) == (8.0, True)
    assert equivalent_steps(H, slow, fast) == (0.125, True)
    assert equivalent_steps(H, -np.log(8 * H), slow) == (8.0, False)


def test_a_longer_training_that_ends_higher_takes_nothing_back():
    ours, reference = np.array([3.0, 1.0, 2.0, 0.5]), np.array([4.0, 3.0, 2.5, 2.0])
    assert equivalent_steps(H, ours, reference) == (pytest.approx(1 / 0.125 / 2**0.5), False)


def test_divergence_counts_as_an_infinite_loss():
    good = np.array([3.0, 2.0, 1.0, 0.0])
    bad = np.array([3.0, 2.0, 1.0, NAN])
    assert equivalent_steps(H, bad, good) == (0.0, False)
    assert equivalent_steps(H, good, bad) == (INF, False)
    assert math.isnan(equivalent_steps(H, bad, np.full(4, INF)).factor)
    # Between a divergence and a loss nothing is known: the longer training has reached it.
    late = np.array([NAN, INF, -1.0, -2.0])
    assert equivalent_steps(H, late, good) == (2.0, False)


def test_a_loss_of_zero_is_the_end_of_the_scale():
    good, perfect = np.array([3.0, 2.0, 1.0, 0.0]), np.array([3.0, 2.0, -INF, -INF])
    assert equivalent_steps(H, perfect, good) == (2.0, False)
    assert equivalent_steps(H, good, perfect) == (0.5, False)
    assert equivalent_steps(H, perfect, perfect) == (1.0, False)


def test_horizons_ascend_to_one():
    for wrong in ([0.5, 0.25, 1.0], [0.0, 1.0], [0.25, 0.5]):
        with pytest.raises(ValueError, match="must ascend from above 0 to 1"):
            equivalent_steps(np.array(wrong), np.zeros(len(wrong)), np.zeros(len(wrong)))


def test_the_width_of_a_valley_is_interpolated_at_both_ends():
    """The loss rises by a tenth with each doubling: half a doubling, about, is 5 %."""
    rates, losses = 2.0 ** np.arange(-3, 4), math.log(1.1) * np.abs(np.arange(-3, 4.0))
    doublings = 2 * math.log(1.05) / math.log(1.1)
    assert width_of_rates(rates, losses) == (pytest.approx(2**doublings), False)
    assert width_of_rates(100 * rates, losses + 7, within=0.1).ratio == pytest.approx(4.0)


def test_a_sweep_that_ends_in_the_valley_says_so():
    rates = np.array([1.0, 2.0, 4.0])
    assert width_of_rates(rates, np.array([0.0, 1.0, 2.0])) == (
        pytest.approx(2 ** math.log(1.05)),
        True,
    )
    assert width_of_rates(rates, np.zeros(3)) == (pytest.approx(4.0), True)
    assert width_of_rates(rates[:1], np.zeros(1)) == (1.0, True)


def test_a_valley_ends_where_training_diverges_and_a_second_one_is_not_added():
    rates = 2.0 ** np.arange(6)
    losses = np.array([NAN, 0.0, 0.0, INF, 0.0, 0.0])
    assert width_of_rates(rates, losses) == (pytest.approx(2.0), False)
    assert math.isnan(width_of_rates(rates, np.full(6, NAN)).ratio)
    assert width_of_rates(rates, np.array([1, 0, -INF, 1, 1, 1])) == (pytest.approx(1.0), False)
