"""What deeper networks on the digits share: batches, wrong labels, the loss."""

import abc
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data.digits import TRAIN_ROWS
from proxy_tasks.kit.networks import cross_entropy
from proxy_tasks.kit.on_digits import OnDigits
from proxy_tasks.kit.parts import shuffled_batches, take_rows
from proxy_tasks.task import Params, PredictionTask, setting

CLASSES = 10
MOST_LAYERS = 1000  # each is traced on its own
Draw = dict[str, Array]


@dataclass(frozen=True)
class DigitsClassifier(OnDigits, PredictionTask, base=True):
    """Classify 8x8 images of digits.

    A network is what `parameters` and `logits` say. Its initial parameters are multiplied by
    `init_scale`, all of them. Every seed deals train and validation rows anew, and replaces a share
    `label_noise` of the train labels by one of the other nine, for good: a row is shown with the
    same wrong label in every epoch, and so can be learned by heart.

    The targets give a share `smoothing` to all ten digits alike (Szegedy et al. 2016,
    arXiv:1512.00567), in training and in evaluation. Then the loss no longer hangs on the one or
    two images that a network is confidently wrong about, which is most of the noise of a seed: a
    part has 360 images. It counts from the entropy of the targets, so that 0 is a perfect fit.

    Unit    nats per image above the targets' entropy; 1.8 for a guess, 2.3 without smoothing.
    """

    width: int = 16
    depth: int = 2
    batch: int = 128
    steps: int = 400
    init_scale: float = 1.0
    label_noise: float = setting(0.0, from_zero=True)
    smoothing: float = setting(0.1, from_zero=True)

    @abc.abstractmethod
    def parameters(self, key: PRNGKeyArray) -> Params:
        """Draw the parameters, before they are scaled."""

    @abc.abstractmethod
    def logits(self, params: Params, images: Float[Array, "row 8 8"]) -> Float[Array, "row 10"]:
        """Say how much each image looks like each digit."""

    def impossible(self) -> str | None:
        if self.depth > MOST_LAYERS:
            return f"depth must be at most {MOST_LAYERS}, not {self.depth}"
        if self.label_noise > 1:
            return f"label_noise is a share of at most 1, not {self.label_noise:g}"
        if self.smoothing >= 1:
            return f"smoothing is a share below 1, not {self.smoothing:g}"
        return super().impossible()

    def init(self, key: PRNGKeyArray) -> Params:
        return jax.tree.map(lambda w: self.init_scale * w, self.parameters(key))

    def draws(self, key: PRNGKeyArray) -> Draw:
        """Draw the rows of each batch, and what is added to their labels where these are wrong."""
        order, which, other = jax.random.split(key, 3)
        draw = {"row": shuffled_batches(order, self.steps, self.batch, TRAIN_ROWS)}
        if self.label_noise:
            wrong = jax.random.bernoulli(which, self.label_noise, (TRAIN_ROWS,))
            offset = jax.random.randint(other, (TRAIN_ROWS,), 1, CLASSES, jnp.int32)
            draw["offset"] = take_rows(jnp.where(wrong, offset, 0), draw["row"])
        return draw

    def predict(self, params: Params, data: dict[str, Any], draw: Draw) -> Float[Array, "batch 10"]:
        return self.logits(params, self.batch_of(data, draw))

    def batch_of(self, data: dict[str, Any], draw: Draw) -> Float[Array, "batch 8 8"]:
        """Return the images of one step."""
        return take_rows(data["train"]["image"], draw["row"])

    def judge(
        self, predictions: Float[Array, "batch 10"], data: dict[str, Any], draw: Draw
    ) -> Float[Array, ""]:
        labels = take_rows(data["train"]["label"], draw["row"])
        if "offset" in draw:
            labels = (labels + draw["offset"]) % CLASSES
        return self.miss(predictions, labels)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        return self.miss(self.logits(params, data[part]["image"]), data[part]["label"])

    def miss(self, logits: Float[Array, "row 10"], labels: Int[Array, " row"]) -> Float[Array, ""]:
        """Compute the mean divergence KL(smoothed label, softmax(logits)), in nats.

        Without smoothing that is the cross-entropy.
        """
        wrong = self.smoothing / CLASSES
        right = 1 - self.smoothing + wrong
        entropy = -sum(n * p * math.log(p) for n, p in ((1, right), (CLASSES - 1, wrong)) if p)
        elsewhere = jnp.mean(jax.nn.log_softmax(logits, axis=-1))
        fit = (1 - self.smoothing) * cross_entropy(logits, labels) - self.smoothing * elsewhere
        return fit - entropy
