"""What a lower loss is worth: how many steps of another optimizer it replaces.

A difference of log losses has no unit that a reader feels. So both optimizers are trained with full
schedules of several lengths, and the question becomes how long one must train to reach where the
other ends. The same curves over learning rates say how exactly a rate must be known.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Equivalent(NamedTuple):
    """How many times the steps of ours the reference needs for the same loss: above 1 is better.

    censored: the curves end before they meet; the true factor is further from 1.
    """

    factor: float
    censored: bool


class Width(NamedTuple):
    """The highest over the lowest learning rate that is nearly as good as the best.

    censored: the sweep ends before the loss rises, on one side at least; the true ratio is larger.
    """

    ratio: float
    censored: bool


def equivalent_steps(
    horizons: Float[np.ndarray, " horizon"],
    ours: Float[np.ndarray, " horizon"],
    reference: Float[np.ndarray, " horizon"],
) -> Equivalent:
    """Return the steps of the reference that one step of ours is worth.

    horizons: shares of the full number of steps, ascending, the last is 1. ours, reference: mean
    log losses at the end of a full schedule of that length; nan or inf where training diverged.
    Where ours ends lower, the factor is 1 / h of the length at which ours has reached the
    reference's final loss; where ours ends higher, it is h of the length at which the reference has
    reached ours. Swapped, the two give 1 / factor. Whoever diverges at full length is worth 0
    steps: the factor is 0, inf, or nan for both.
    """
    if np.any(np.diff(horizons) <= 0.0) or horizons[0] <= 0.0 or horizons[-1] != 1.0:
        raise ValueError(f"horizons are {horizons}, and must ascend from above 0 to 1")
    ours, reference = (np.where(np.isnan(x), np.inf, x) for x in (ours, reference))
    end, their_end = float(ours[-1]), float(reference[-1])
    if math.inf in (end, their_end):
        worth = {(True, True): math.nan, (True, False): 0.0, (False, True): math.inf}
        return Equivalent(worth[end == math.inf, their_end == math.inf], False)
    if end == their_end:
        return Equivalent(1.0, False)
    if end < their_end:
        at, censored = _reached(horizons, ours, their_end)
        return Equivalent(1.0 / at, censored)
    at, censored = _reached(horizons, reference, end)
    return Equivalent(at, censored)


def width_of_rates(
    factors: Float[np.ndarray, " rate"],
    log_losses: Float[np.ndarray, " rate"],
    within: float = 0.05,
) -> Width:
    """Return how wide the valley of learning rates around the best one is.

    factors: learning rates, ascending, in any unit. log_losses: at each; nan or inf where training
    diverged. within: how much more loss than the best is near enough, 0.05 for 5 %. The ends of the
    valley are interpolated, log loss against log rate; next to a divergence it ends at the last
    rate that trained. nan where none did.
    """
    if np.any(np.diff(factors) <= 0.0) or factors[0] <= 0.0:
        raise ValueError(f"learning rates are {factors}, and must ascend from above 0")
    losses = np.where(np.isnan(log_losses), np.inf, log_losses)
    best = int(np.argmin(losses))
    if losses[best] == np.inf:
        return Width(math.nan, False)
    limit = float(losses[best]) + math.log1p(within)

    # From the best rate outwards: a second valley is another one.
    x = np.log(factors)
    low, low_open = _leaves(x[best::-1], losses[best::-1], limit)
    high, high_open = _leaves(x[best:], losses[best:], limit)
    return Width(math.exp(high - low), low_open or high_open)


def _reached(
    horizons: Float[np.ndarray, " horizon"], losses: Float[np.ndarray, " horizon"], target: float
) -> tuple[float, bool]:
    """Return the shortest horizon that reaches a loss, and whether it was reached before the first.

    A longer training that ends higher takes nothing back: the curve is a running minimum.
    """
    curve = np.minimum.accumulate(losses)
    after = int(np.argmax(curve <= target))  # one does: the last is the final loss, or lower
    if after == 0:
        return float(horizons[0]), bool(curve[0] < target)
    two = slice(after - 1, after + 1)
    if not np.all(np.isfinite(curve[two])):
        return float(horizons[after]), False
    return math.exp(_crossing(np.log(horizons[two]), curve[two], target)), False


def _leaves(
    x: Float[np.ndarray, " rate"], losses: Float[np.ndarray, " rate"], limit: float
) -> tuple[float, bool]:
    """Return where losses that begin below a limit leave it, or the last place and True."""
    above = losses > limit
    if not np.any(above):
        return float(x[-1]), True
    out = int(np.argmax(above))
    if not np.all(np.isfinite(losses[out - 1 : out + 1])):
        return float(x[out - 1]), False
    return _crossing(x[out - 1 : out + 1], losses[out - 1 : out + 1], limit), False


def _crossing(
    x: Float[np.ndarray, " two"], losses: Float[np.ndarray, " two"], level: float
) -> float:
    """Return where the line through two points has a height."""
    share = (level - float(losses[0])) / float(losses[1] - losses[0])
    return float(x[0] + share * (x[1] - x[0]))
