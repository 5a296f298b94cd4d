"""Predict the next character of Python's topics with a transformer."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data.topics import ALPHABET
from proxy_tasks.kit.networks import affine, affine_init, layer_norm, normal
from proxy_tasks.kit.transformer import attend, blocks, blocks_init, heads_fault, norm_init
from proxy_tasks.language.next_character import NextCharacter, embed
from proxy_tasks.task import Params


@dataclass(frozen=True)
class TopicsTransformer(NextCharacter):
    """Cross-entropy of a causal transformer on the characters of Python's topics.

    It is built as `char_transformer`, but for gelus in the place of relus; the text
    is nine times as long, so that 400 steps read a third of it, and an evaluation reads sixteen
    times as many windows.

    Shape   17,152 parameters at the defaults; a draw holds where the windows of a batch start.
            Size `confirm`: depth=2, context=32, 30,080 parameters.
    Unit    nats per character; log 64 = 4.2 for a guess, 3.2 from frequencies of characters.
    Source  Vaswani et al. 2017, arXiv:1706.03762; pre-norm: Xiong et al. 2020, arXiv:2002.04745.
    """

    measures: ClassVar[str] = (
        "Whether embeddings, attention, norms and wide layers are trained together on text that is "
        "hardly seen twice, with little noise between seeds."
    )
    cannot: ClassVar[str] = (
        "Nothing about large models, long contexts or late training: 400 steps of 256 "
        "characters end with triples of them and common words."
    )
    small: ClassVar[dict[str, Any]] = NextCharacter.small | {"heads": 2}

    heads: int = 4

    def impossible(self) -> str | None:
        return super().impossible() or heads_fault(self.width, self.heads)

    def parameters(self, key: PRNGKeyArray) -> Params:
        token, position, inner, head = jax.random.split(key, 4)
        width = self.width
        return {
            "embedding": {
                # one symbol at a time, so a fan-in of 1; positions start smaller, as a detail of it
                "token": jax.random.normal(token, (ALPHABET, width), jnp.float32),
                "position": normal(position, (self.context, width)),
            },
            **blocks_init(inner, self.depth, width),
            "head": norm_init(width) | affine_init(head, (width, ALPHABET)),
        }

    def logits(
        self, params: Params, x: Int[Array, "batch context"]
    ) -> Float[Array, "batch context symbol"]:
        seen = embed(params["embedding"]["token"], x)
        seen = seen + jnp.broadcast_to(params["embedding"]["position"], seen.shape)
        seen = blocks(params, self.depth, seen, attend(self.heads, causal=True))
        return affine(params["head"], layer_norm(params["head"], seen))
