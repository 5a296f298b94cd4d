"""A physics-informed network for Poisson's equation: a partial differential equation."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.kit.laws import deal_law
from proxy_tasks.physics.network import PhysicsTask, modes, second, signs_of_modes
from proxy_tasks.task import Params

GRID = 24  # points a side of the evaluation
FLOOR = 1e-7


@dataclass(frozen=True)
class Poisson(PhysicsTask):
    """Solve u_xx + u_yy = f on the unit square with u = 0 at its edge, by a network of (x, y).

    The solution is made up first, u = Σ a_jk sin(jπx) sin(kπy), with amplitudes whose signs are the
    seed's own; f follows from it. The network's u is 16 x (1 - x) y (1 - y) N(x, y), 0 at the edge.

    Theory  As for the oscillator, the Hessian has derivatives of order four, and is conditioned far
            worse than a fit to u: second-order methods and SOAP gain 2 to 10 times (Wang et al.
            2025, arXiv:2502.00604).

    Shape   batches of points, uniform in the square, drawn anew in every step.
    Unit    mean squared error of u over the mean square of u, + 1e-7; 1 for u = 0.
    """

    coordinates: ClassVar[int] = 2
    measures: ClassVar[str] = (
        "Whether an optimizer solves an ill-conditioned least squares of second derivatives in two "
        "coordinates."
    )
    cannot: ClassVar[str] = "Nothing about data, classes or large networks."
    source: ClassVar[str] = (
        "Generated; the method is Raissi, Perdikaris, Karniadakis 2019, "
        "doi:10.1016/j.jcp.2018.10.045 (no data set)"
    )

    small: ClassVar[dict[str, Any]] = {"width": 4, "depth": 1, "batch": 16, "steps": 150}

    def data(self) -> dict[str, Any]:
        return signs_of_modes()

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_law(key, data, ("sign",))

    def draws(self, key: PRNGKeyArray) -> Float[Array, "steps batch 2"]:
        return jax.random.uniform(key, (self.steps, self.batch, 2), jnp.float32)

    def solution(
        self, signs: Float[Array, " sign"], points: Float[Array, "point 2"]
    ) -> tuple[Float[Array, " point"], Float[Array, " point"]]:
        """Compute the true u, and the sum of its second derivatives."""
        j, k = jnp.pi * jnp.asarray([[1, 1, 2, 2], [1, 2, 1, 2]], points.dtype)
        x, y = points[:, :1], points[:, 1:]
        waves = jnp.sin(x * j[None]) * jnp.sin(y * k[None]) * modes(signs)[None]
        return jnp.sum(waves, axis=1), -jnp.sum(waves * (j**2 + k**2)[None], axis=1)

    def u(self, params: Params, points: Float[Array, "point 2"]) -> Float[Array, " point"]:
        """Compute the network's u."""
        return 16 * jnp.prod(points * (1 - points), axis=1) * self.network(params, points)

    def predict(
        self, params: Params, data: dict[str, Any], draw: Float[Array, "batch 2"]
    ) -> Float[Array, " batch"]:
        u = functools.partial(self.u, params)
        return second(u, draw, 0) + second(u, draw, 1)

    def judge(
        self,
        predictions: Float[Array, " batch"],
        data: dict[str, Any],
        draw: Float[Array, "batch 2"],
    ) -> Float[Array, ""]:
        _, bend = self.solution(data["train"]["sign"], draw)
        # in units of the bend of the first mode
        return jnp.mean((predictions - bend) ** 2) / (4 * np.pi**4)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        side = (np.arange(GRID, dtype=np.float32) + np.float32(0.5)) / np.float32(GRID)
        points = jnp.asarray(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2))
        truth, _ = self.solution(data["train"]["sign"], points)
        return jnp.mean((self.u(params, points) - truth) ** 2) / jnp.mean(truth**2) + FLOOR
