"""What a row is to be predicted as: one of some classes, or a number.

Plain classes, to stand before `DenseTask`: as tasks they would bring its fields once more.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.kit.networks import cross_entropy


class ClassTargets:
    """A task whose targets are classes, by the cross-entropy of their logits."""

    def penalty(
        self, predictions: Float[Array, "row class"], targets: Int[Array, " row"]
    ) -> Float[Array, ""]:
        return cross_entropy(predictions, jnp.asarray(targets))

    def sample(
        self, key: PRNGKeyArray, predictions: Float[Array, "row class"]
    ) -> Int[Array, " row"]:
        return jax.random.categorical(key, predictions)


class NumberTargets:
    """A task whose targets are numbers with noise of variance 1, by half the squared error."""

    def penalty(
        self, predictions: Float[Array, " row"], targets: Float[Array, " row"]
    ) -> Float[Array, ""]:
        return optax.l2_loss(predictions, targets).mean()

    def sample(self, key: PRNGKeyArray, predictions: Float[Array, " row"]) -> Float[Array, " row"]:
        return predictions + jax.random.normal(key, predictions.shape, predictions.dtype)
