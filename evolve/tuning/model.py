"""A smooth model of what a race has seen: which of many points are worth a training.

A Gaussian process over the positions of points in their ranges (scikit-learn's), fitted to the mean
log losses of all trials so far. A trial with few seeds counts with the noise of few seeds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from evolve.tuning.ranges import position_of
from primitives import Hyperparameter

WORSE_HALF = 0.5  # how bad the worse half is says nothing about where the best one is
LENGTH = 0.3  # of a range, in which the loss changes; where the fit of the lengths begins
FITTED = (
    400  # trials, at most, by which the lengths are fitted; the cost is cubic, and tens of times
)
BOLD = 1.0  # standard deviations of the model by which a point may be better than expected

Losses = Float[np.ndarray, "trial seed"]


class Model:
    """What is expected of points that nobody has tried."""

    def __init__(
        self,
        ranges: Sequence[Hyperparameter],
        values: Sequence[dict[str, float]],
        losses: Sequence[Sequence[float]],
    ):
        """Fit it to trials: their values, and their log losses by seed; inf for divergence."""
        # scikit-learn takes a second to import, which every command would pay.
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern

        self.ranges = ranges
        mean, noise = _means(losses)
        scale = float(np.std(mean)) or 1.0
        at, level = self._at(values), (mean - mean.mean()) / scale
        noise = np.maximum(noise / scale**2, 1e-6)
        lengths: Any = [LENGTH] * len(ranges)
        kernel = ConstantKernel(1.0, (0.1, 10.0)) * Matern(lengths, (0.05, 10.0), nu=2.5)
        few = slice(None, None, math.ceil(len(at) / FITTED))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # where one makes no difference
            fitted = _process(kernel, noise[few], "fmin_l_bfgs_b").fit(at[few], level[few])
        self.process = _process(fitted.kernel_, noise, None).fit(at, level)

    def best(self, values: Sequence[dict[str, float]], count: int) -> list[int]:
        """Return the numbers of the most promising of some points, in their order."""
        found: Any = self.process.predict(self._at(values), return_std=True)
        mean, deviation = found
        order = np.argsort(np.round(mean - BOLD * deviation, 6), kind="stable")
        return sorted(order[:count].tolist())

    def _at(self, values: Sequence[dict[str, float]]) -> Float[np.ndarray, "point range"]:
        return np.array([[position_of(h, v[h.name]) for h in self.ranges] for v in values])


def _process(kernel: Any, noise: Any, fit: Any) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(kernel, alpha=noise, optimizer=fit)


def _means(
    losses: Sequence[Sequence[float]],
) -> tuple[Float[np.ndarray, " trial"], Float[np.ndarray, " trial"]]:
    """Return the mean log loss of each trial, and the variance of that mean.

    What a seed adds for everybody is taken off. The worse half is put at its best.
    """
    table = np.full((len(losses), max(map(len, losses))), np.nan)
    for row, found in zip(table, losses, strict=True):
        row[: len(found)] = found
    diverged = np.isinf(table).any(1)
    table[diverged] = np.nan
    # Seed 0 has everybody; another seed is as much harder as those find it that have both.
    for seed in range(1, table.shape[1]):
        both = ~np.isnan(table[:, seed])
        if both.any():
            table[:, seed] -= np.median(table[both, seed] - table[both, 0])
    seeds = np.maximum((~np.isnan(table)).sum(1), 1)
    mean = np.where(diverged, np.inf, np.nansum(table, 1) / seeds)
    level = np.quantile(mean, WORSE_HALF, method="lower")
    level = level if np.isfinite(level) else mean[np.isfinite(mean)].max()
    several = seeds >= 3
    spread = table[several] - mean[several, None]
    noise = float(np.nanmean(spread**2)) if several.any() else 0.0
    return np.minimum(mean, level), noise / seeds
