"""What linear models have in common: correlated inputs, penalties, labels drawn anew."""

import functools
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.kit.laws import deal_law, normal_rows, orthogonal, scaled
from proxy_tasks.kit.networks import affine, affine_init
from proxy_tasks.kit.parts import batch_above, shuffled_batches, take_rows
from proxy_tasks.task import DenseTask, Params, setting

SEED = 1805  # Legendre's least squares
TRAIN_ROWS = 4096
FLOOR = 1e-5


@functools.cache
def rows_of_inputs(dim: int) -> dict[str, Any]:
    """Return the parts, each {"axes": orthogonal f32[dim, dim], "z": f32[row, dim] of N(0, 1)}."""
    axes = orthogonal(dim, SEED)
    return {part: {"axes": axes, "z": z} for part, z in normal_rows(SEED, TRAIN_ROWS, dim).items()}


@dataclass(frozen=True)
class LinearModel(DenseTask, base=True):
    """Fit a linear function of correlated inputs to a linear teacher's answers.

    Inputs are x = A (s * z) with z from N(0, I), standard deviations s from 1 to 1/√condition, and
    orthogonal axes A, which are the seed's own. The teacher's margin is mean(z)·√dim, so every axis
    counts alike, and the best weights are the larger, the flatter the axis.

    Targets are drawn anew whenever a row is met, from its margin and one uniform number a row and
    step. The evaluation takes their expectation instead, on 2,048 rows, which leaves little noise.

    L1 and L2 penalties, l1·Σ|w| + ½ l2·Σw² over the weights without the bias, belong to what is
    minimised, and so to the evaluation; products with the Gauss-Newton matrix are without them.

    Shape   dim + 1 parameters; draws hold the rows of batches, in shuffled epochs over 4,096, and
            the uniform numbers.
    """

    source: ClassVar[str] = "Generated (no data set)"
    small: ClassVar[dict[str, Any]] = {"dim": 4, "condition": 4.0, "batch": 16, "steps": 150}

    dim: int = 32
    condition: float = 100.0  # largest variance of an axis over smallest
    batch: int = 128
    l1: float = setting(0.0, from_zero=True)
    l2: float = setting(0.0, from_zero=True)
    init_scale: float = 1.0
    steps: int = 500

    @abstractmethod
    def targets(
        self, margins: Float[Array, " row"], luck: Float[Array, " row"]
    ) -> Float[Array, " row"]:
        """Draw a target for every margin, with numbers from U(0, 1)."""

    @abstractmethod
    def risk(
        self, predictions: Float[Array, " row"], margins: Float[Array, " row"]
    ) -> Float[Array, ""]:
        """Compute the expected loss of predictions, above 0."""

    def impossible(self) -> str | None:
        if self.condition < 1:
            return f"condition must be at least 1, not {self.condition}"
        return batch_above(self.batch, TRAIN_ROWS)

    def data(self) -> dict[str, Any]:
        return rows_of_inputs(self.dim)

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_law(key, data, ("axes",))

    def init(self, key: PRNGKeyArray) -> Params:
        return scaled({"linear": affine_init(key, (self.dim, 1))}, self.init_scale)

    def draws(self, key: PRNGKeyArray) -> dict[str, Array]:
        order, luck = jax.random.split(key)
        return {
            "row": shuffled_batches(order, self.steps, self.batch, TRAIN_ROWS),
            "luck": jax.random.uniform(luck, (self.steps, self.batch), jnp.float32),
        }

    def inputs(
        self, axes: Float[Array, "dim dim"], z: Float[Array, "row dim"]
    ) -> Float[Array, "row dim"]:
        """Scale and turn rows of independent numbers."""
        s = np.geomspace(1.0, self.condition**-0.5, self.dim)
        return (z * jnp.asarray(s, z.dtype)[None]) @ axes

    def margins(self, z: Float[Array, "row dim"]) -> Float[Array, " row"]:
        """Compute the teacher's margins, of mean 0 and variance 1."""
        return jnp.mean(z, axis=1) * self.dim**0.5

    def layers(
        self, params: Params, data: dict[str, Any], draw: dict[str, Array]
    ) -> tuple[Float[Array, " batch"], dict[str, Float[Array, "batch _"]]]:
        train = data["train"]
        x = self.inputs(train["axes"], take_rows(train["z"], draw["row"]))
        return affine(params["linear"], x)[:, 0], {"linear": x}

    def judge(
        self, predictions: Float[Array, " batch"], data: dict[str, Any], draw: dict[str, Array]
    ) -> Float[Array, ""]:
        margins = self.margins(take_rows(data["train"]["z"], draw["row"]))
        return self.penalty(predictions, self.targets(margins, draw["luck"]))

    def loss(self, params: Params, data: dict[str, Any], draw: dict[str, Array]) -> Array:
        return super().loss(params, data, draw) + self.regularisation(params)

    def regularisation(self, params: Params) -> Float[Array, ""]:
        """Compute the penalties of the weights."""
        kernel = params["linear"]["kernel"]
        return self.l1 * jnp.sum(jnp.abs(kernel)) + 0.5 * self.l2 * jnp.sum(kernel**2)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        z = jnp.asarray(data[part]["z"])
        x = self.inputs(data["train"]["axes"], z)
        predictions = affine(params["linear"], x)[:, 0]
        return self.risk(predictions, self.margins(z)) + self.regularisation(params) + FLOOR
