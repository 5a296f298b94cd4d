"""A quadratic bowl with noisy gradients, where theory knows what should happen."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.kit.parts import PARTS, frozen
from proxy_tasks.task import Params, PredictionTask

OPTIMUM_SEED = 2019


@functools.cache
def bowl(dim: int, condition: float) -> dict[str, np.ndarray]:
    """Return the curvatures h, log-spaced from 1 to 1/condition, and the optimum c ~ N(0, 1)."""
    return {
        "curvature": frozen(np.geomspace(1.0, 1.0 / condition, dim), np.float32),
        "optimum": frozen(np.random.default_rng(OPTIMUM_SEED).standard_normal(dim), np.float32),
    }


@dataclass(frozen=True)
class NoisyQuadratic(PredictionTask):
    """Minimise ½ Σ hᵢ(wᵢ - cᵢ)² when each gradient carries N(0, hᵢ) noise.

    The paper has c = 0. Here c is a fixed draw of N(0, 1), as far from 0 as the initial w: with the
    optimum at 0 the program `return w` would reach a loss of exactly 0 in one step, and any weight
    decay would be a shortcut.

    There is no data, so train, validation and test are the same bowl.

    Shape   params f32[dim]; draws f32[steps, dim]; curvatures are the axes, there is no rotation.
    Unit    noiseless loss over its expectation at initialisation; 1 before training.
    Source  Zhang et al. 2019, arXiv:1907.04164.
    """

    kind: ClassVar[str] = "noisy_quadratic"
    measures: ClassVar[str] = (
        "Whether the optimizer averages noise in the steep directions without stalling in the "
        "flat ones."
    )
    cannot: ClassVar[str] = (
        "Nothing about generalisation, rotation or curvature that changes: the axes are the "
        "eigenvectors, which flatters per-coordinate methods, and test is the same bowl as "
        "validation."
    )
    source: ClassVar[str] = "Generated; Zhang et al. 2019, arXiv:1907.04164 (no data set)"

    small: ClassVar[dict[str, Any]] = {"dim": 16, "steps": 150}

    dim: int = 256
    condition: float = 1e3  # largest h over smallest h
    steps: int = 400

    def impossible(self) -> str | None:
        return f"condition must be at least 1, not {self.condition}" if self.condition < 1 else None

    def data(self) -> dict[str, Any]:
        return dict.fromkeys(PARTS, bowl(self.dim, self.condition))

    def init(self, key: PRNGKeyArray) -> Params:
        return {"point": {"w": jax.random.normal(key, (self.dim,), jnp.float32)}}

    def draws(self, key: PRNGKeyArray) -> Float[Array, "steps dim"]:
        return jax.random.normal(key, (self.steps, self.dim), jnp.float32)

    def predict(
        self, params: Params, data: dict[str, Any], draw: Float[Array, " dim"]
    ) -> Float[Array, " dim"]:
        return params["point"]["w"] - data["train"]["optimum"]

    def judge(
        self, predictions: Float[Array, " dim"], data: dict[str, Any], draw: Float[Array, " dim"]
    ) -> Float[Array, ""]:
        h, away = data["train"]["curvature"], predictions
        # The last term makes it ½ Σ (√hᵢ(wᵢ - cᵢ) + drawᵢ)², of which the gradient tells all.
        # Without it the noise of loss and gradient would be one, and a program that reads both
        # could solve for c from dim + 1 batches.
        return (
            0.5 * jnp.sum(h * away**2) + jnp.sum(jnp.sqrt(h) * draw * away) + 0.5 * jnp.sum(draw**2)
        )

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        h, c = data[part]["curvature"], data[part]["optimum"]
        expected_at_init = 0.5 * jnp.sum(h * (1 + c**2))  # w ~ N(0, 1), so E (w - c)² = 1 + c²
        return 0.5 * jnp.sum(h * (params["point"]["w"] - c) ** 2) / expected_at_init
