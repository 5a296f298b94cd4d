"""Rosenbrock's curved valley, in many pairs of dimensions at once."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from proxy_tasks.landscapes.landscape import Landscape


@dataclass(frozen=True)
class RosenbrockValleys(Landscape):
    """Minimise Σ (1 - y₁)² + steepness·(y₂ - y₁²)² over pairs of y = 1 + x / 2.

    The optimum is y = 1 where theory has it, and w = c, a draw, where the optimizer sees it. Pairs
    are coupled by the axes alone. The sum over chains yᵢ, yᵢ₊₁, which has the same name, has a
    local minimum that catches some seeds: one seed's log loss had a standard deviation of 2.6.

    Theory  The valley's floor is curved and its walls `steepness` times as steep as it slopes, so
            gradient descent zigzags; momentum follows the floor. At the optimum the condition is
            some 25 · steepness (2,508 for 100).
    """

    measures: ClassVar[str] = (
        "Whether an optimizer follows the floors of long curved valleys in coupled coordinates."
    )
    cannot: ClassVar[str] = "Nothing about noise, layers or generalisation."
    source: ClassVar[str] = "Generated; Rosenbrock 1960, doi:10.1093/comjnl/3.3.175 (no data set)"

    small: ClassVar[dict[str, Any]] = {"dim": 6, "steps": 150, "steepness": 5.0}

    steepness: float = 100.0

    def residuals(self, x: Float[Array, " dim"]) -> Float[Array, " residual"]:
        y = 1 + 0.5 * x
        first, second = y[::2], y[1::2]
        walls = (2 * self.steepness) ** 0.5 * (second - first[: second.size] ** 2)
        return jnp.concatenate([2**0.5 * (1 - first), walls])
