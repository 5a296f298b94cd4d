"""A plateau around a hole: gradients that fade with the distance."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
from jaxtyping import Array, Float

from proxy_tasks.landscapes.landscape import Landscape


@dataclass(frozen=True)
class Plateau(Landscape):
    """Minimise ½ Σ z² / (1 + z²), where z = distance · x: flat far away, a bowl close by.

    Theory  At z ≫ 1 the slope is z⁻³, so gradient descent crosses the plateau in some z⁴ / 4η
            steps, at a rate η < 2 that the bowl allows. What normalises its steps
            crosses in z / η. (Geman and McClure 1987 have the formula, for robust fits.)
    """

    measures: ClassVar[str] = (
        "Whether an optimizer keeps going where gradients fade, and slows down where they return."
    )
    cannot: ClassVar[str] = "Nothing about noise, conditioning, layers or generalisation."
    source: ClassVar[str] = "Generated (no data set)"

    small: ClassVar[dict[str, Any]] = {"dim": 6, "steps": 150, "distance": 1.0}

    dim: int = 128
    distance: float = 4.0
    steps: int = 300

    def residuals(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        z = self.distance * x
        return z * jax.lax.rsqrt(1 + z**2)
