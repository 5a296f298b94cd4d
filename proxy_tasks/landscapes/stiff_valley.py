"""A valley whose walls grow steep where it leads."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from proxy_tasks.landscapes.landscape import Landscape


@dataclass(frozen=True)
class StiffValley(Landscape):
    """Minimise ½ Σ slope·t² + k(t)·y² over pairs (t, y), where k rises from 1 far away to
    `stiffness` at t = 0.

    k(t) = stiffness ^ (1 / (1 + t²)), so the logarithm of the walls' curvature grows on the way.

    Theory  A constant rate is stable where η k < 2. So what is right at the start is `stiffness`
            times too large at the end, and what is right at the end crawls along the floor: some
            stiffness / slope steps. Networks sharpen so too while they train, until gradient
            descent is at the edge of stability (Cohen et al. 2021, arXiv:2103.00065).
    """

    measures: ClassVar[str] = (
        "Whether an optimizer's steps suit curvature that grows by orders of magnitude on the way."
    )
    cannot: ClassVar[str] = "Nothing about noise, layers or generalisation."
    source: ClassVar[str] = "Generated; after Cohen et al. 2021, arXiv:2103.00065 (no data set)"

    small: ClassVar[dict[str, Any]] = {"dim": 6, "steps": 150, "stiffness": 4.0, "slope": 0.5}

    stiffness: float = 100.0
    slope: float = 0.05  # curvature along the floor

    def impossible(self) -> str | None:
        return f"stiffness must be at least 1, not {self.stiffness}" if self.stiffness < 1 else None

    def residuals(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        t, y = x[::2], x[1::2]
        half_log = 0.5 * jnp.log(jnp.float32(self.stiffness)).astype(x.dtype)
        walls = jnp.exp(half_log / (1 + t[: y.size] ** 2)) * y
        return jnp.concatenate([self.slope**0.5 * t, walls])
