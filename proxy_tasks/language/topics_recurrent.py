"""Predict the next character of Python's topics with a recurrent network."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data.topics import ALPHABET
from proxy_tasks.kit.networks import affine, affine_init
from proxy_tasks.kit.recurrent import CELLS, cell_init, unroll
from proxy_tasks.language.next_character import NextCharacter, embed
from proxy_tasks.task import Params


@dataclass(frozen=True)
class TopicsRecurrent(NextCharacter):
    """Cross-entropy of a recurrent network on the characters of Python's topics.

    Every window starts from a state of 0, and gradients flow through all of it.

    Shape   10,400 parameters at the defaults (12,480 with cell="lstm"); a draw holds where the
            windows of a batch start.
            Size `confirm`: depth=2, context=32, 16,640 parameters.
    Unit    nats per character; log 64 = 4.2 for a guess, 3.2 from frequencies of characters.
    Source  gated recurrent units: Cho et al. 2014, arXiv:1406.1078; long short-term memory:
            Hochreiter and Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735.
    """

    measures: ClassVar[str] = (
        "Whether weights that are used again at every position, through gates that saturate, are "
        "trained beside an embedding and a head that are used once."
    )
    cannot: ClassVar[str] = (
        "Nothing about gradients through hundreds of positions, or late training: 16 characters, "
        "one layer."
    )

    cell: Literal["gru", "lstm"] = "gru"

    def parameters(self, key: PRNGKeyArray) -> Params:
        token, inner, head = jax.random.split(key, 3)
        width = self.width
        return {
            "embedding": {"token": jax.random.normal(token, (ALPHABET, width), jnp.float32)},
            **{
                f"layer_{layer}": cell_init(one, self.cell, width)
                for layer, one in enumerate(jax.random.split(inner, self.depth))
            },
            "head": affine_init(head, (width, ALPHABET)),
        }

    def logits(
        self, params: Params, x: Int[Array, "batch context"]
    ) -> Float[Array, "batch context symbol"]:
        seen = jnp.swapaxes(embed(params["embedding"]["token"], x), 0, 1)  # time first
        for layer in range(self.depth):
            seen = unroll(CELLS[self.cell], params[f"layer_{layer}"], seen)
        return jnp.swapaxes(affine(params["head"], seen), 0, 1)
