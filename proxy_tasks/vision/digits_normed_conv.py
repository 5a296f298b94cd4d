"""Classify handwritten digits with a deeper convolutional network, as practice trains them."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.kit.networks import (
    Layer,
    affine,
    affine_init,
    batch_norm,
    convolution,
    layer_norm,
    xavier,
)
from proxy_tasks.kit.networks import normal as he
from proxy_tasks.kit.transformer import norm_init
from proxy_tasks.task import Params, setting
from proxy_tasks.vision.digits_classifier import CLASSES, DigitsClassifier, Draw


@dataclass(frozen=True)
class DigitsNormedConv(DigitsClassifier):
    """Cross-entropy of a normalised convolutional network on 8x8 images of digits.

        8x8x1 → (stride 2) 4x4xwidth → ... → 4x4xwidth → 10

    Each of `depth` 3x3 convolutions is followed by a norm and a relu. A norm of "batch" has the
    statistics of its batch in training; where it is evaluated, those of the whole train part, which
    are computed at that moment. So a loss is a function of the parameters, with no running
    averages to carry, and what is said of an image does not depend on those beside it ("precise"
    statistics: Wu and Johnson 2021). A norm of "layer" is over the channels of a position.

    initialiser: He et al. 2015, a variance of 2 / fan-in; or Glorot and Bengio 2010, 2 / (fan-in +
    fan-out). dropout: the share of channels before the head that training sets to 0 in each image,
    the others scaled up. l1, l2: the training loss holds l1·Σ|w| + l2/2·Σw² over the kernels; the
    evaluation does not, nor does the Gauss-Newton matrix.

    Shape   5,082 parameters at the defaults; kernels are f32[3, 3, inputs, outputs].
            Size `confirm`: depth=4, batch=256.
    Unit    nats per image above the entropy of smoothed targets; 1.8 for a guess.
    Source  batch norm: Ioffe and Szegedy 2015, arXiv:1502.03167; its statistics: Wu and Johnson
            2021, arXiv:2105.07576; dropout: Srivastava et al. 2014.
    """

    measures: ClassVar[str] = (
        "Whether kernels whose scale a norm makes irrelevant, and whose effective learning rate "
        "falls as they grow, are trained beside scales, shifts and a head."
    )
    cannot: ClassVar[str] = (
        "Nothing about residual networks, natural images or augmentation: a few layers on 8x8 "
        "pixels."
    )
    small: ClassVar[dict[str, Any]] = {"width": 4, "depth": 2, "batch": 16, "steps": 150}

    norm: Literal["batch", "layer", "none"] = "batch"
    initialiser: Literal["he", "xavier"] = "he"
    dropout: float = setting(0.0, from_zero=True)
    l1: float = setting(0.0, from_zero=True)
    l2: float = setting(0.0, from_zero=True)

    def impossible(self) -> str | None:
        if self.dropout >= 1:
            return f"dropout is a share below 1, not {self.dropout:g}"
        return super().impossible()

    def parameters(self, key: PRNGKeyArray) -> Params:
        head, *convolutions = jax.random.split(key, 1 + self.depth)
        bias = {"bias": jnp.zeros(self.width, jnp.float32)}
        layers: Params = {}
        inputs = 1
        for layer, one in enumerate(convolutions):
            shape = (3, 3, inputs, self.width)
            kernel = he(one, shape, 2.0) if self.initialiser == "he" else xavier(one, shape)
            # What a norm takes off again needs no bias; it has a shift of its own.
            rest = bias if self.norm == "none" else norm_init(self.width)
            layers[f"convolution_{layer}"] = {"kernel": kernel} | rest
            inputs = self.width
        return layers | {"head": affine_init(head, (16 * self.width, CLASSES))}

    def draws(self, key: PRNGKeyArray) -> Draw:
        rows, channels = jax.random.split(key)
        draw = super().draws(rows)
        if self.dropout:
            shape = (self.steps, self.batch, self.width)
            draw["kept"] = jax.random.bernoulli(channels, 1 - self.dropout, shape)
        return draw

    def loss(self, params: Params, data: dict[str, Any], draw: Draw) -> Float[Array, ""]:
        kernels = [layer["kernel"] for layer in params.values()]
        loss = super().loss(params, data, draw)
        if self.l1:
            loss = loss + self.l1 * sum(jnp.sum(jnp.abs(w)) for w in kernels)
        if self.l2:
            loss = loss + self.l2 / 2 * sum(jnp.sum(w**2) for w in kernels)
        return loss

    def predict(self, params: Params, data: dict[str, Any], draw: Draw) -> Float[Array, "batch 10"]:
        seen = self.channels(params, self.batch_of(data, draw))
        if "kept" in draw:
            kept = jnp.broadcast_to(draw["kept"][:, None, None], seen.shape)
            seen = jnp.where(kept, seen / (1 - self.dropout), 0)
        return head(params, seen)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        images, labels = data[part]["image"], data[part]["label"]
        if self.norm != "batch" or part == "train":
            return self.miss(self.logits(params, images), labels)
        # The train part goes through the network in front of the others, which are normalised by
        # its statistics.
        train = jnp.asarray(data["train"]["image"])
        both = jnp.concatenate([train, images])
        return self.miss(self.logits(params, both, len(train))[len(train) :], labels)

    def logits(
        self, params: Params, images: Float[Array, "row 8 8"], known: int | None = None
    ) -> Float[Array, "row 10"]:
        return head(params, self.channels(params, images, known))

    def channels(
        self, params: Params, images: Float[Array, "row 8 8"], known: int | None = None
    ) -> Float[Array, "row 4 4 width"]:
        """Compute what goes into the head.

        known: of how many images at the front batch norms take their statistics; None for all.
        """
        x = images[..., None]
        for layer in range(self.depth):
            convolved = params[f"convolution_{layer}"]
            x = convolution(convolved, x, stride=1 if layer else 2)
            x = jax.nn.relu(self.normed(convolved, x, known))
        return x

    def normed(
        self, layer: Layer, x: Float[Array, "row height width channel"], known: int | None
    ) -> Float[Array, "row height width channel"]:
        """Normalise what a convolution gives, as `norm` says."""
        if self.norm == "batch":
            return batch_norm(layer, x, x[:known])
        return layer_norm(layer, x) if self.norm == "layer" else x


def head(params: Params, channels: Float[Array, "row 4 4 width"]) -> Float[Array, "row 10"]:
    """Say how much each image looks like each digit."""
    return affine(params["head"], channels.reshape(len(channels), -1))
