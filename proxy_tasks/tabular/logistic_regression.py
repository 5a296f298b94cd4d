"""Logistic regression on correlated inputs, with L1 and L2 penalties."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.tabular.linear_model import LinearModel
from proxy_tasks.task import setting


@dataclass(frozen=True)
class LogisticRegression(LinearModel):
    """Divergence of predicted from true probabilities of a label that a linear margin decides.

    The label is 1 with probability σ(sharpness · margin), and wrong with probability `label_noise`.

    Theory  Convex, and smooth with constant ¼ of the largest variance of an input. A true model is
            the optimum, where the noise of batches stays, so the rate has to fall; the L1 penalty
            has a kink at 0 that plain subgradient steps jump across.
    Unit    nats a row above those of the true probabilities, + 1e-5; penalties are added.
    """

    measures: ClassVar[str] = (
        "Whether an optimizer fits probabilities on correlated inputs from noisy labels, with the "
        "penalties that are usual."
    )
    cannot: ClassVar[str] = "Nothing about depth; the loss is convex and the model is true."

    sharpness: float = 4.0
    label_noise: float = setting(0.0, from_zero=True)  # probability of a wrong label

    def impossible(self) -> str | None:
        wrong = f"label_noise must be below 0.5, not {self.label_noise}"
        return wrong if self.label_noise >= 0.5 else super().impossible()

    def probabilities(self, margins: Float[Array, " row"]) -> Float[Array, " row"]:
        """Compute how likely label 1 is."""
        right = jax.nn.sigmoid(self.sharpness * margins)
        return self.label_noise + (1 - 2 * self.label_noise) * right

    def targets(
        self, margins: Float[Array, " row"], luck: Float[Array, " row"]
    ) -> Float[Array, " row"]:
        return (luck < self.probabilities(margins)).astype(margins.dtype)

    def risk(
        self, predictions: Float[Array, " row"], margins: Float[Array, " row"]
    ) -> Float[Array, ""]:
        p = self.probabilities(margins)
        entropy = -jnp.mean(jax.scipy.special.xlogy(p, p) + jax.scipy.special.xlogy(1 - p, 1 - p))
        # Rounding may put an exact fit a little below 0.
        return jnp.maximum(self.penalty(predictions, p) - entropy, 0)

    def penalty(
        self, predictions: Float[Array, " row"], targets: Float[Array, " row"]
    ) -> Float[Array, ""]:
        return optax.sigmoid_binary_cross_entropy(predictions, targets).mean()

    def sample(self, key: PRNGKeyArray, predictions: Float[Array, " row"]) -> Float[Array, " row"]:
        drawn = jax.random.bernoulli(key, jax.nn.sigmoid(predictions))
        return drawn.astype(predictions.dtype)
