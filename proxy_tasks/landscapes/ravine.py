"""A ravine that winds: narrow, with a floor that turns again and again."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from proxy_tasks.landscapes.landscape import Landscape


@dataclass(frozen=True)
class Ravine(Landscape):
    """Minimise ½ Σ slope·t² + (y - sin(bends·t))² over pairs (t, y) of coordinates.

    Theory  On the floor, y = sin(bends·t), the way down is a curve: a step of length s along its
            tangent leaves it by s²/2 times its curvature, bends² at a turn. So steps are short, or
            they climb the walls; momentum that carries straight on pays at every turn.
    """

    measures: ClassVar[str] = (
        "Whether an optimizer turns with the floor of a narrow valley, where momentum points the "
        "wrong way again and again."
    )
    cannot: ClassVar[str] = "Nothing about noise, layers or generalisation."
    source: ClassVar[str] = "Generated (no data set)"

    small: ClassVar[dict[str, Any]] = {"dim": 6, "steps": 150, "bends": 1.0, "slope": 0.5}

    bends: float = 4.0  # radians of the floor's wave for each unit of t
    slope: float = 0.01  # curvature along the floor, where that of the walls is 1

    def residuals(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        t, y = x[::2], x[1::2]
        walls = y - jnp.sin(self.bends * t[: y.size])
        return jnp.concatenate([self.slope**0.5 * t, walls])
