"""A linear support-vector machine: the hinge loss, with a ridge."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.tabular.linear_model import LinearModel
from proxy_tasks.task import setting


@dataclass(frozen=True)
class SupportVector(LinearModel):
    """Hinge loss, max(0, 1 - label · prediction), of a linear classifier, with penalties.

    The label is the sign of the margin, and wrong with probability `label_noise`.

    Theory  Convex with kinks: gradients do not fade next to the optimum, so the error of a
            subgradient method falls with 1/√steps, with 1/steps where the ridge makes it strongly
            convex (Shalev-Shwartz et al. 2007, Pegasos). The Hessian is 0 almost everywhere.
    Unit    expected hinge a row, + 1e-5; penalties are added; 1 for saying nothing.
    """

    measures: ClassVar[str] = (
        "Whether an optimizer settles where gradients jump and never fade, on a non-smooth loss."
    )
    cannot: ClassVar[str] = "Nothing about depth; second-order methods see no curvature here."
    source: ClassVar[str] = (
        "Generated; Shalev-Shwartz, Singer, Srebro 2007, doi:10.1145/1273496.1273598 (no data set)"
    )

    l2: float = setting(1e-4, from_zero=True)
    label_noise: float = setting(0.0, from_zero=True)  # probability of a wrong label

    def impossible(self) -> str | None:
        wrong = f"label_noise must be below 0.5, not {self.label_noise}"
        return wrong if self.label_noise >= 0.5 else super().impossible()

    def targets(
        self, margins: Float[Array, " row"], luck: Float[Array, " row"]
    ) -> Float[Array, " row"]:
        right = jnp.where(margins > 0, 1.0, -1.0).astype(margins.dtype)
        return jnp.where(luck < self.label_noise, -right, right)

    def risk(
        self, predictions: Float[Array, " row"], margins: Float[Array, " row"]
    ) -> Float[Array, ""]:
        right = jnp.where(margins > 0, 1.0, -1.0).astype(margins.dtype)
        return (1 - self.label_noise) * self.penalty(predictions, right) + (
            self.label_noise * self.penalty(predictions, -right)
        )

    def penalty(
        self, predictions: Float[Array, " row"], targets: Float[Array, " row"]
    ) -> Float[Array, ""]:
        return jnp.mean(jax.nn.relu(1 - targets * predictions))

    def sample(self, key: PRNGKeyArray, predictions: Float[Array, " row"]) -> Float[Array, " row"]:
        """Draw labels as if predictions were logits: the hinge is no -log p."""
        drawn = jax.random.bernoulli(key, jax.nn.sigmoid(2 * predictions))
        return jnp.where(drawn, 1.0, -1.0).astype(predictions.dtype)
