"""A physics-informed network for a driven oscillator: an ordinary differential equation."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.kit.laws import deal_law
from proxy_tasks.physics.network import AMPLITUDES, PhysicsTask, modes, second, signs_of_modes
from proxy_tasks.task import Params

POINTS = 256  # of the evaluation
FLOOR = 1e-7


@dataclass(frozen=True)
class Oscillator(PhysicsTask):
    """Solve u″ + stiffness·u = f on [0, 1] with u = 0 at both ends, by a network of t.

    The solution is made up first, u = Σ a_k sin(kπt), k = 1..4, with amplitudes whose signs are the
    seed's own; f follows from it. The network's u is t (1 - t) N(t), which is 0 at the ends.

    Theory  The residual's Hessian has second derivatives squared, so high modes are stiffer than
            low ones by k⁴, and its condition is far above that of a fit to u itself (Wang et al.
            2021, arXiv:2001.04536; Rathore et al. 2024, arXiv:2402.01868).

    Shape   batches of points from U(0, 1), drawn anew in every step.
    Unit    mean squared error of u over the mean square of u, + 1e-7; 1 for u = 0.
    """

    coordinates: ClassVar[int] = 1
    measures: ClassVar[str] = (
        "Whether an optimizer solves an ill-conditioned least squares of second derivatives."
    )
    cannot: ClassVar[str] = "Nothing about data, classes or large networks."
    source: ClassVar[str] = (
        "Generated; the method is Raissi, Perdikaris, Karniadakis 2019, "
        "doi:10.1016/j.jcp.2018.10.045 (no data set)"
    )

    small: ClassVar[dict[str, Any]] = {"width": 16, "depth": 1, "batch": 16, "steps": 150}

    # Next to (kπ)² mode k is a resonance, of which the residual says nothing.
    stiffness: float = 1.0

    def data(self) -> dict[str, Any]:
        return signs_of_modes()

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_law(key, data, ("sign",))

    def draws(self, key: PRNGKeyArray) -> Float[Array, "steps batch"]:
        return jax.random.uniform(key, (self.steps, self.batch), jnp.float32)

    def solution(
        self, signs: Float[Array, " sign"], t: Float[Array, " point"]
    ) -> tuple[Float[Array, " point"], Float[Array, " point"]]:
        """Compute the true u, and its second derivative."""
        k = jnp.pi * jnp.arange(1, len(AMPLITUDES) + 1, dtype=t.dtype)
        waves = jnp.sin(t[:, None] * k[None]) * modes(signs)[None]
        return jnp.sum(waves, axis=1), -jnp.sum(waves * (k**2)[None], axis=1)

    def u(self, params: Params, t: Float[Array, "point 1"]) -> Float[Array, " point"]:
        """Compute the network's u."""
        return t[:, 0] * (1 - t[:, 0]) * self.network(params, t)

    def predict(
        self, params: Params, data: dict[str, Any], draw: Float[Array, " batch"]
    ) -> Float[Array, " batch"]:
        u, t = functools.partial(self.u, params), draw[:, None]
        return second(u, t, 0) + self.stiffness * u(t)

    def judge(
        self,
        predictions: Float[Array, " batch"],
        data: dict[str, Any],
        draw: Float[Array, " batch"],
    ) -> Float[Array, ""]:
        u, bend = self.solution(data["train"]["sign"], draw)
        # in units of the bend of the first mode
        return jnp.mean((predictions - bend - self.stiffness * u) ** 2) / np.pi**4

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        t = jnp.linspace(0, 1, POINTS, dtype=jnp.float32)
        truth, _ = self.solution(data["train"]["sign"], t)
        return jnp.mean((self.u(params, t[:, None]) - truth) ** 2) / jnp.mean(truth**2) + FLOOR
