"""Classify handwritten digits with a small convolutional network."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data.digits import TRAIN_ROWS
from proxy_tasks.kit.networks import affine, affine_init, convolution, cross_entropy
from proxy_tasks.kit.on_digits import OnDigits
from proxy_tasks.kit.parts import shuffled_batches, take_rows
from proxy_tasks.task import Params, PredictionTask


@dataclass(frozen=True)
class DigitsConv(OnDigits, PredictionTask):
    """Cross-entropy of two 3x3 convolutions and a dense head on 8x8 images of digits.

        8x8x1 → 8x8xchannels → (stride 2) 4x4x2·channels → 10

    Shape   3,818 parameters at 8 channels; kernels are f32[3, 3, inputs, outputs]; batches in
            shuffled epochs over 1,078 images.
    Unit    nats per image; 2.3 for a guess.
    """

    kind: ClassVar[str] = "digits_conv"
    version: ClassVar[int] = 2  # since 2 every seed deals train and validation anew
    measures: ClassVar[str] = (
        "Whether weights that are shared over positions, and so receive large summed gradients "
        "beside a dense head, are trained at one learning rate."
    )
    cannot: ClassVar[str] = (
        "Nothing about deep or normalised networks, augmentation or natural images: two layers "
        "on 8x8 pixels."
    )

    small: ClassVar[dict[str, Any]] = {"channels": 2, "batch": 16, "steps": 150}

    channels: int = 8
    batch: int = 64
    steps: int = 500

    def init(self, key: PRNGKeyArray) -> Params:
        first, second, head = jax.random.split(key, 3)
        return {
            "first": affine_init(first, (3, 3, 1, self.channels), gain=2.0),
            "second": affine_init(second, (3, 3, self.channels, 2 * self.channels), gain=2.0),
            "head": affine_init(head, (4 * 4 * 2 * self.channels, 10)),
        }

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        return shuffled_batches(key, self.steps, self.batch, TRAIN_ROWS)

    def predict(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> Float[Array, "batch 10"]:
        return self.logits(params, take_rows(data["train"]["image"], draw))

    def judge(
        self,
        predictions: Float[Array, "batch 10"],
        data: dict[str, Any],
        draw: Int[Array, " batch"],
    ) -> Float[Array, ""]:
        return cross_entropy(predictions, take_rows(data["train"]["label"], draw))

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        return cross_entropy(self.logits(params, data[part]["image"]), data[part]["label"])

    def logits(self, params: Params, images: Float[Array, "row 8 8"]) -> Float[Array, "row 10"]:
        """Say how much each image looks like each digit."""
        x = jax.nn.relu(convolution(params["first"], images[..., None], stride=1))
        x = jax.nn.relu(convolution(params["second"], x, stride=2))
        return affine(params["head"], x.reshape(x.shape[0], -1))
