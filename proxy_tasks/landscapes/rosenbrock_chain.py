"""Rosenbrock's curved valley in any number of dimensions."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from proxy_tasks.landscapes.landscape import Landscape


@dataclass(frozen=True)
class RosenbrockChain(Landscape):
    """Minimise Σ steepness·(yᵢ₊₁ - yᵢ²)² + (1 - yᵢ)², where y = 1 + x / 2 in the seed's own axes.

    The optimum is y = 1 where theory has it, and w = c, a draw, where the optimizer sees it. The
    last coordinate has its (1 - y)² too, unlike in `scipy.optimize.rosen`.

    Theory  The valley's floor is curved and its walls `steepness` times as steep as it slopes, so
            gradient descent zigzags; momentum follows the floor. From the usual start some
            thousand steps of a good rate are needed in two dimensions, more with each other one.
    """

    measures: ClassVar[str] = (
        "Whether an optimizer follows the floor of a long curved valley in coupled coordinates."
    )
    cannot: ClassVar[str] = "Nothing about noise, layers or generalisation."
    source: ClassVar[str] = "Generated; Rosenbrock 1960, doi:10.1093/comjnl/3.3.175 (no data set)"

    small: ClassVar[dict[str, Any]] = {"dim": 6, "steps": 150, "steepness": 5.0}

    steepness: float = 100.0

    def residuals(self, x: Float[Array, " dim"]) -> Float[Array, " residual"]:
        y = 1 + 0.5 * x
        walls = (2 * self.steepness) ** 0.5 * (y[1:] - y[:-1] ** 2)
        return jnp.concatenate([walls, 2**0.5 * (1 - y)])
