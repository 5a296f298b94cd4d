"""A quadratic bowl of a given condition in rotated axes, with or without noise."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from proxy_tasks.landscapes.landscape import Landscape


@dataclass(frozen=True)
class Quadratic(Landscape):
    """Minimise ½ Σ hᵢxᵢ² with curvatures h from 1 to 1/condition, of a spectrum of one's choice.

    Theory  Gradient descent at a constant rate η multiplies xᵢ by 1 - ηhᵢ a step, so it needs some
            `condition` steps; heavy ball and conjugate gradients some √condition (Polyak 1964). A
            method that rescales coordinates gains nothing where axes are rotated, and everything
            where they are aligned. With noise, each rate ends at a loss of its own.
    """

    measures: ClassVar[str] = (
        "How far an optimizer comes along the flat directions of a bowl with unseen axes, "
        "at a rate that the steep ones allow; by condition, spectrum and noise."
    )
    cannot: ClassVar[str] = (
        "Nothing about curvature that changes, layers or generalisation; test is the same bowl as "
        "validation."
    )

    condition: float = 1e5  # largest h over smallest h
    spectrum: Literal["log_spaced", "power", "two_levels"] = "log_spaced"

    def impossible(self) -> str | None:
        return f"condition must be at least 1, not {self.condition}" if self.condition < 1 else None

    def curvatures(self) -> Float[np.ndarray, " dim"]:
        """Compute h, the largest first.

        log_spaced: equal ratios. power: hᵢ = i^-a, as in the spectra of networks. two_levels: one
        half at each end, with nothing between.
        """
        if self.spectrum == "power":
            exponent = np.log(self.condition) / np.log(max(self.dim, 2))
            h = np.arange(1, self.dim + 1) ** -exponent
        elif self.spectrum == "two_levels":
            h = np.where(np.arange(self.dim) < (self.dim + 1) // 2, 1.0, 1.0 / self.condition)
        else:
            h = np.geomspace(1.0, 1.0 / self.condition, self.dim)
        return h

    def residuals(self, x: Float[Array, " dim"]) -> Float[Array, " dim"]:
        return jnp.asarray(np.sqrt(self.curvatures()), x.dtype) * x
