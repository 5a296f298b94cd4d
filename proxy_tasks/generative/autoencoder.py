"""Squeeze handwritten digits through a narrow layer and restore them."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data.digits import TRAIN_ROWS
from proxy_tasks.kit.networks import affine_row, affine_row_init, numbered
from proxy_tasks.kit.on_digits import OnDigits
from proxy_tasks.kit.parts import shuffled_batches, take_rows
from proxy_tasks.task import DenseTask, Params


@dataclass(frozen=True)
class Autoencoder(OnDigits, DenseTask):
    """Squared error of digits that a tanh network restores from a narrow code.

        64 → width (depth times) → code → width (depth times) → 64

    Shape   18,252 parameters at the defaults; batches in shuffled epochs over 1,078 images.
    Unit    share of the variance of the pixels that is lost; 1 for the mean image.
    Size    search; `confirm` is width 128, depth 3, steps 1000.
    Source  Hinton and Salakhutdinov 2006, doi:10.1126/science.1127647, without pre-training.
    """

    measures: ClassVar[str] = (
        "Whether a deep network with a bottleneck is trained past the few directions that explain "
        "most of the variance, where plain gradient descent stalls."
    )
    cannot: ClassVar[str] = (
        "Nothing about natural images, noise or overfitting: it is regression onto its own input "
        "of 8x8 pixels."
    )

    small: ClassVar[dict[str, Any]] = {
        "width": 8,
        "depth": 1,
        "code": 4,
        "batch": 16,
        "steps": 150,
    }

    width: int = 64
    depth: int = 2  # hidden layers before the code, and as many after it
    code: int = 12
    batch: int = 128
    steps: int = 500
    init_scale: float = 1.0  # times the usual first parameters

    @property
    def names(self) -> tuple[str, ...]:
        """The layers from image to image."""
        return (*numbered("encoder", self.depth), "code", *numbered("decoder", self.depth), "image")

    def init(self, key: PRNGKeyArray) -> Params:
        hidden = (self.width,) * self.depth
        sizes = (64, *hidden, self.code, *hidden, 64)
        return affine_row_init(key, self.names, sizes, scale=self.init_scale)

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        return shuffled_batches(key, self.steps, self.batch, TRAIN_ROWS)

    def layers(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> tuple[Float[Array, "batch 64"], dict[str, Float[Array, "batch _"]]]:
        images = take_rows(data["train"]["image"], draw).reshape(-1, 64)
        return affine_row(params, self.names, images, jnp.tanh)

    def judge(
        self,
        predictions: Float[Array, "batch 64"],
        data: dict[str, Any],
        draw: Int[Array, " batch"],
    ) -> Float[Array, ""]:
        images = take_rows(data["train"]["image"], draw).reshape(-1, 64)
        return self.penalty(predictions, images)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        images = jnp.asarray(data[part]["image"]).reshape(-1, 64)
        restored, _ = affine_row(params, self.names, images, jnp.tanh)
        mean = jnp.broadcast_to(images.mean(axis=0), images.shape)
        return self.penalty(restored, images) / self.penalty(mean, images)

    def penalty(
        self, predictions: Float[Array, "row 64"], targets: Float[Array, "row 64"]
    ) -> Float[Array, ""]:
        return 0.5 * jnp.mean(jnp.sum((predictions - targets) ** 2, axis=1))

    def sample(
        self, key: PRNGKeyArray, predictions: Float[Array, "row 64"]
    ) -> Float[Array, "row 64"]:
        return predictions + jax.random.normal(key, predictions.shape, predictions.dtype)
