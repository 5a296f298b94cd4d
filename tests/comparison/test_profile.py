"""Performance profiles and mean speed-ups, against cases done by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evolve.comparison.profile import geometric_mean, performance_profile, profile_score, ratios

NEVER = math.inf
# times: [contestant, task]; nobody arrives on the last task
TIMES = np.array(
    [
        [100.0, 300.0, 50.0, NEVER],
        [200.0, 100.0, NEVER, NEVER],
        [100.0, 450.0, 75.0, NEVER],
    ]
)


def test_ratios_are_to_the_fastest_on_each_task_and_nobody_gains_where_nobody_arrives():
    expected = [[1, 3, 1, NEVER], [2, 1, NEVER, NEVER], [1, 4.5, 1.5, NEVER]]
    np.testing.assert_array_equal(ratios(TIMES), expected)


def test_a_profile_has_a_corner_for_each_ratio_and_begins_at_one():
    first, second, third = (performance_profile(row) for row in ratios(TIMES))
    np.testing.assert_array_equal(first, [[1, 3], [0.5, 0.75]])
    np.testing.assert_array_equal(second, [[1, 2], [0.25, 0.5]])
    np.testing.assert_array_equal(third, [[1, 1.5, 4.5], [0.25, 0.5, 0.75]])
    np.testing.assert_array_equal(performance_profile(np.array([2.0, 2.0])), [[1, 2], [0, 1]])
    np.testing.assert_array_equal(performance_profile(np.array([NEVER])), [[1], [0]])


def test_the_score_is_the_mean_height_of_the_profile_from_one_to_four():
    """First: 0.5 over 2, 0.75 over 1. Second: 0.25 over 1, 0.5 over 2. Third: what lies beyond 4
    counts as not reached; 0.25 over 0.5, 0.5 over 2.5.
    """
    found = [profile_score(row) for row in ratios(TIMES)]
    assert found == pytest.approx([1.75 / 3, 1.25 / 3, 1.375 / 3])
    assert profile_score(np.ones(5)) == 1.0
    assert profile_score(np.full(5, NEVER)) == 0.0


def test_the_score_is_the_area_under_the_corners():
    rng = np.random.default_rng(0)
    row = np.maximum(1.0, np.exp(rng.normal(0.5, 1.0, 20)))
    tau, rho = performance_profile(row)
    inside = tau < 4
    widths = np.diff(np.append(tau[inside], 4.0))
    assert profile_score(row) == pytest.approx(np.sum(widths * rho[inside]) / 3)


def test_the_geometric_mean_undoes_itself_when_the_two_are_swapped():
    factors = np.array([2.0, 0.5, 1.5, 3.0])
    assert geometric_mean(factors) == pytest.approx((2 * 0.5 * 1.5 * 3) ** 0.25)
    assert geometric_mean(1 / factors) == pytest.approx(1 / geometric_mean(factors))


def test_nobody_gains_more_than_the_bound_by_anothers_failure():
    assert geometric_mean([math.inf, 0.0]) == pytest.approx(1.0)
    assert geometric_mean([math.inf, 16.0]) == pytest.approx(4.0)
    assert geometric_mean([0.0], bound=10.0) == pytest.approx(0.1)
    assert geometric_mean([math.nan, 4.0]) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="must be above 1"):
        geometric_mean([1.0], bound=1.0)
