"""A saddle to leave, with minima in unseen directions around it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.landscapes.landscape import Landscape
from proxy_tasks.task import Params


@dataclass(frozen=True)
class Saddle(Landscape):
    """Minimise ¼ Σ hᵢ(xᵢ² - 1)² from next to x = 0, where every direction leads down.

    The saddle is at w = 0, and the minima at all x = ±1, in axes of the seed's own.

    Theory  Near 0 gradient descent grows xᵢ by 1 + ηhᵢ a step: it leaves the saddle along direction
            i after some log(1 / start) / (ηhᵢ) steps, the flattest `condition` times later than the
            steepest, where ηh < 1 keeps the minima stable. Signs and normalised steps leave at
            once, adaptive ones nearly so (Dauphin et al. 2014, arXiv:1406.2572).
    """

    measures: ClassVar[str] = (
        "Whether an optimizer leaves a saddle fast in the flat directions too, and then settles."
    )
    cannot: ClassVar[str] = (
        "Nothing about layers or generalisation; without noise nothing but the start pushes."
    )
    source: ClassVar[str] = "Generated; Dauphin et al. 2014, arXiv:1406.2572 (no data set)"

    small: ClassVar[dict[str, Any]] = {"dim": 6, "steps": 150, "condition": 4.0, "start": 1e-2}

    condition: float = 1e4  # largest h over smallest h
    start: float = 1e-6  # distance from the saddle a coordinate, times init_scale

    def impossible(self) -> str | None:
        return f"condition must be at least 1, not {self.condition}" if self.condition < 1 else None

    def init(self, key: PRNGKeyArray) -> Params:
        return jax.tree.map(lambda w: self.start * w, super().init(key))

    def coordinates(self, w: Float[Array, " dim"], law: dict[str, Array]) -> Float[Array, " dim"]:
        return law["axes"] @ w if self.axes == "rotated" else w

    def residuals(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        h = np.geomspace(1.0, 1.0 / self.condition, self.dim)
        return jnp.asarray(np.sqrt(h / 2), x.dtype) * (x**2 - 1)
