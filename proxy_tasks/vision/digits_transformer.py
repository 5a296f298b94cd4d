"""Classify handwritten digits with a vision transformer."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.kit.networks import affine, affine_init, layer_norm, normal
from proxy_tasks.kit.transformer import attend, blocks, blocks_init, heads_fault, norm_init
from proxy_tasks.task import Params
from proxy_tasks.vision.digits_classifier import CLASSES, DigitsClassifier


@dataclass(frozen=True)
class DigitsTransformer(DigitsClassifier):
    """Cross-entropy of a vision transformer on 8x8 images of digits.

    Patches of patch x patch pixels are its tokens; it has norms before its layers, gelus, learned
    positions, and a head on the mean over tokens.

    Shape   6,810 parameters at the defaults; batches in shuffled epochs over 1,078 images.
            Size `confirm`: patch=2, so 16 tokens.
    Unit    nats per image above the entropy of smoothed targets; 1.8 for a guess.
    Source  Dosovitskiy et al. 2021, arXiv:2010.11929; the mean over tokens instead of a token for
            the class: Beyer et al. 2022, arXiv:2205.01580.
    """

    measures: ClassVar[str] = (
        "Whether attention over patches is trained from scratch on few images, where nothing is "
        "built in of what is near and what is far."
    )
    cannot: ClassVar[str] = (
        "Nothing about large images, pretraining or augmentation: a few tokens of pixels."
    )
    small: ClassVar[dict[str, Any]] = {
        "width": 8, "depth": 1, "heads": 2, "batch": 16, "steps": 150,
    }  # fmt: skip

    heads: int = 4
    patch: int = 4  # pixels

    def impossible(self) -> str | None:
        if 8 % self.patch:
            return f"patch must divide the 8 pixels of a side, not {self.patch}"
        return super().impossible() or heads_fault(self.width, self.heads)

    def parameters(self, key: PRNGKeyArray) -> Params:
        patch, position, inner, head = jax.random.split(key, 4)
        width, tokens = self.width, (8 // self.patch) ** 2
        return {
            "patch": affine_init(patch, (self.patch**2, width)),
            "position": {"token": normal(position, (tokens, width))},
            **blocks_init(inner, self.depth, width),
            "head": norm_init(width) | affine_init(head, (width, CLASSES)),
        }

    def logits(self, params: Params, images: Float[Array, "row 8 8"]) -> Float[Array, "row 10"]:
        x = affine(params["patch"], patches(images, self.patch))
        x = x + jnp.broadcast_to(params["position"]["token"], x.shape)
        x = blocks(params, self.depth, x, attend(self.heads, causal=False))
        return affine(params["head"], jnp.mean(layer_norm(params["head"], x), axis=1))


def patches(images: Float[Array, "row height width"], side: int) -> Float[Array, "row patch pixel"]:
    """Cut images into squares that do not overlap, row by row."""
    rows, height, width = images.shape
    cut = images.reshape(rows, height // side, side, width // side, side)
    return jnp.swapaxes(cut, 2, 3).reshape(rows, -1, side * side)
