"""Classify handwritten digits with one hidden layer."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data.digits import LICENCE, TRAIN_ROWS, digits
from proxy_tasks.kit.networks import affine_init, affine_row, cross_entropy
from proxy_tasks.kit.parts import batch_above, deal_anew, shuffled_batches, take_rows
from proxy_tasks.task import DenseTask, Params


@dataclass(frozen=True)
class DigitsDense(DenseTask):
    """Cross-entropy of a 64-width-10 relu network on 8x8 images of digits.

    Shape   2,410 parameters at width 32; batches in shuffled epochs over 1,078 images.
    Unit    nats per image; 2.3 for a guess.
    """

    kind: ClassVar[str] = "digits_dense"
    version: ClassVar[int] = 2  # since 2 every seed deals train and validation anew
    measures: ClassVar[str] = (
        "Whether a small dense classifier is fitted quickly from small batches without its "
        "confidence running ahead of its accuracy."
    )
    cannot: ClassVar[str] = (
        "Nothing about depth, scale or long training: a linear model already gets 97 % of "
        "the digits right, and a step takes microseconds."
    )
    source: ClassVar[str] = LICENCE

    small: ClassVar[dict[str, Any]] = {"width": 8, "batch": 16, "steps": 150}

    width: int = 32
    batch: int = 64
    steps: int = 500

    def impossible(self) -> str | None:
        return batch_above(self.batch, TRAIN_ROWS)

    def data(self) -> dict[str, Any]:
        return digits()

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_anew(key, data)

    def init(self, key: PRNGKeyArray) -> Params:
        hidden, head = jax.random.split(key)
        return {
            "hidden": affine_init(hidden, (64, self.width), gain=2.0),
            "head": affine_init(head, (self.width, 10)),
        }

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        return shuffled_batches(key, self.steps, self.batch, TRAIN_ROWS)

    def layers(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> tuple[Float[Array, "batch 10"], dict[str, Float[Array, "batch _"]]]:
        return self.network(params, take_rows(data["train"]["image"], draw))

    def judge(
        self,
        predictions: Float[Array, "batch 10"],
        data: dict[str, Any],
        draw: Int[Array, " batch"],
    ) -> Float[Array, ""]:
        return self.penalty(predictions, take_rows(data["train"]["label"], draw))

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        return self.penalty(self.network(params, data[part]["image"])[0], data[part]["label"])

    def network(
        self, params: Params, images: Float[Array, "row 8 8"]
    ) -> tuple[Float[Array, "row 10"], dict[str, Float[Array, "row _"]]]:
        """Say how much each image looks like each digit."""
        return affine_row(params, ("hidden", "head"), images.reshape(-1, 64), jax.nn.relu)

    def penalty(
        self, predictions: Float[Array, "row 10"], targets: Int[Array, " row"]
    ) -> Float[Array, ""]:
        return cross_entropy(predictions, targets)

    def sample(self, key: PRNGKeyArray, predictions: Float[Array, "row 10"]) -> Int[Array, " row"]:
        return jax.random.categorical(key, predictions)
