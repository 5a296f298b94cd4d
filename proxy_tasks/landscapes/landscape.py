"""What the landscapes here have in common: a sum of squares in axes that every seed has anew."""

import abc
import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.kit.laws import deal_law, orthogonal
from proxy_tasks.kit.parts import PARTS, frozen
from proxy_tasks.task import Params, PredictionTask, setting

SEED = 1788  # of the axes and the place of the optimum
FLOOR = 1e-6


@functools.cache
def place(dim: int) -> dict[str, np.ndarray]:
    """Return the axes, an orthogonal f32[dim, dim], and the optimum, f32[dim] from N(0, 1)."""
    optimum = np.random.default_rng(SEED).standard_normal(dim)
    return {"axes": orthogonal(dim, SEED), "optimum": frozen(optimum, np.float32)}


@dataclass(frozen=True)
class Landscape(PredictionTask, base=True):
    """Minimise ½ Σ r(x)², where x = Q (w - c) has axes Q and an optimum c of the seed's own.

    A landscape states its residuals r, functions of x that can all be 0 at once. Sums of squares
    are all that is needed for the classical ones, and have a Gauss-Newton matrix.

    The rows of Q and the numbers of c change places from seed to seed: rotated Q stays a draw from
    the uniform law, and neither 0 nor any other point can be learned from the seeds that were seen.
    With `axes` aligned, Q is the identity: what flatters methods that treat coordinates one by one.

    There is no data, so train, validation and test are one landscape.

    Shape   params f32[dim]; draws f32[steps, residual], or bits that nothing reads without noise.
    Unit    ½ mean r² + 1e-6. The floor keeps the logarithm in bounds: an exact optimum has 1e-6.
    """

    source: ClassVar[str] = "Generated (no data set)"
    small: ClassVar[dict[str, Any]] = {"dim": 6, "steps": 150}

    dim: int = 64
    # standard deviation of what a step adds to every residual: gradients carry N(0, noise² JᵀJ)
    noise: float = setting(0.0, from_zero=True)
    axes: Literal["rotated", "aligned"] = "rotated"
    init_scale: float = 1.0
    steps: int = 500

    @abc.abstractmethod
    def residuals(self, x: Float[Array, " dim"]) -> Float[Array, " residual"]:
        """Compute what is squared and summed at a point."""

    def data(self) -> dict[str, Any]:
        return dict.fromkeys(PARTS, place(self.dim))

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_law(key, data, ("axes", "optimum"))

    def init(self, key: PRNGKeyArray) -> Params:
        w = jax.random.normal(key, (self.dim,), jnp.float32)
        return {"point": {"w": self.init_scale * w}}

    def draws(self, key: PRNGKeyArray) -> Array:
        if not self.noise:
            return jax.random.bits(key, (self.steps,), jnp.uint32)  # that nothing reads
        count = jax.eval_shape(self.residuals, jnp.zeros(self.dim, jnp.float32)).size
        return jax.random.normal(key, (self.steps, count), jnp.float32)

    def coordinates(self, w: Float[Array, " dim"], law: dict[str, Array]) -> Float[Array, " dim"]:
        """Compute x, where the landscape is what its formula says, from the parameters."""
        away = w - law["optimum"]
        return law["axes"] @ away if self.axes == "rotated" else away

    def predict(self, params: Params, data: dict[str, Any], draw: Array) -> Float[Array, " _"]:
        return self.residuals(self.coordinates(params["point"]["w"], data["train"]))

    def judge(
        self, predictions: Float[Array, " _"], data: dict[str, Any], draw: Array
    ) -> Float[Array, ""]:
        # Noise enters before the square, so that the loss tells nothing that the gradient does not:
        # see `noisy_quadratic`.
        r = predictions + self.noise * draw if self.noise else predictions
        return 0.5 * jnp.sum(r**2)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        # The seed's own law stands in the train part, whichever part is asked for.
        r = self.residuals(self.coordinates(params["point"]["w"], data["train"]))
        return 0.5 * jnp.mean(r**2) + FLOOR
