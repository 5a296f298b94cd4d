"""How often an optimizer is near the fastest: performance profiles, and mean speed-ups.

A profile says for every factor tau on what share of the tasks an optimizer needs at most tau times
what the fastest one needs. It depends on who else takes part: a profile is stated with its field.

Source  Dolan & More 2002, Mathematical Programming 91:201; the score is that of AlgoPerf (Dahl et
        al. 2023, arXiv:2306.07179).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

R_MAX = 4.0  # AlgoPerf's: what is four times slower than the fastest counts as not arriving


def ratios(
    times: Float[np.ndarray, "contestant task"],
) -> Float[np.ndarray, "contestant task"]:
    """Divide each time to the target by the shortest on that task.

    times: in steps or seconds, above 0; inf where the target was never reached. Where nobody
    arrives, all have inf: such a task counts against everybody.
    """
    best = np.min(times, axis=0)
    arrives = np.isfinite(times)
    return np.divide(times, best, out=np.full(times.shape, np.inf), where=arrives)


def performance_profile(
    ratios: Float[np.ndarray, " task"],
) -> tuple[Float[np.ndarray, " corner"], Float[np.ndarray, " corner"]]:
    """Return the corners of one optimizer's profile: tau, and the share of tasks from there on.

    ratios: its row of `ratios`. The profile is a step function that is constant from each corner to
    the next; the first corner lies at 1.
    """
    reached = ratios[np.isfinite(ratios)]
    tau = np.unique(np.append(reached, 1.0))
    count = np.searchsorted(np.sort(reached), tau, side="right")
    return tau, count / len(ratios)


def profile_score(ratios: Float[np.ndarray, " task"], r_max: float = R_MAX) -> float:
    """Return the mean height of a profile from 1 to `r_max`: 1 for the fastest on every task.

    This is 1 / (r_max - 1) times the integral of the profile, without a grid: a task with ratio r
    adds its share from r on.
    """
    return float(np.mean(np.maximum(r_max - ratios, 0.0))) / (r_max - 1.0)


def geometric_mean(
    factors: Sequence[float] | Float[np.ndarray, " task"], bound: float = R_MAX
) -> float:
    """Return the geometric mean of speed-ups over tasks: above 1 is faster.

    factors: of one optimizer over another, one for each task. Where only one of the two arrives,
    the factor is inf or 0; where neither does, nan. A mean needs numbers: every factor is held
    between 1 / `bound` and `bound`, so that nobody gains more by another's failure than by being
    `bound` times faster, and nan counts as 1.
    """
    if bound <= 1.0:
        raise ValueError(f"the bound of speed-ups is {bound}, and must be above 1")
    known = np.nan_to_num(np.asarray(factors, float), nan=1.0, posinf=bound)
    return float(np.exp(np.mean(np.log(np.clip(known, 1.0 / bound, bound)))))
