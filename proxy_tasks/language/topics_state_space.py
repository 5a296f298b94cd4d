"""Predict the next character of Python's topics with a state-space model."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data.topics import ALPHABET
from proxy_tasks.kit.networks import Layer, affine, affine_init, layer_norm, matmul, normal
from proxy_tasks.kit.transformer import blocks, blocks_init, heads_fault, norm_init
from proxy_tasks.language.next_character import NextCharacter, embed
from proxy_tasks.task import Params


def decayed_attention(
    query: Float[Array, "batch time head inner"],
    key: Float[Array, "batch time head inner"],
    value: Float[Array, "batch time head inner"],
    log_decay: Float[Array, "batch time head"],
) -> Float[Array, "batch time head inner"]:
    """Compute what a matrix-valued state says, without forming it.

        S_t = a_t S_{t-1} + k_t v_tᵀ        y_t = S_tᵀ q_t        a_t = exp(log_decay_t)

    It is linear attention whose weights q_t·k_s shrink by a_{s+1}···a_t, so one product over pairs
    of positions does for all t; for windows of tens of positions that is quicker than a scan.
    """
    total = jnp.cumsum(log_decay, axis=1)
    since = total[:, :, None] - total[:, None]  # batch, t, s, head: log a_{s+1}···a_t
    past = jnp.broadcast_to(np.tri(query.shape[1], dtype=bool)[None, :, :, None], since.shape)
    kept = jnp.exp(jnp.where(past, since, -jnp.inf))
    weights = jnp.einsum("bqhd,bkhd->bqkh", query, key) * kept
    return jnp.einsum("bqkh,bkhe->bqhe", weights, value)


@dataclass(frozen=True)
class TopicsStateSpace(NextCharacter):
    """Cross-entropy of a gated linear state-space model on the characters of Python's topics.

    Its blocks are a transformer's with another mixer: a state for each head that decays at a rate
    read from the input, and is written to and read from by outer products; a gate on what comes
    out. There are no positions to learn, because decay tells near from far.

    Shape   17,796 parameters at the defaults; a draw holds where the windows of a batch start.
            Size `confirm`: depth=2, context=32, 31,368 parameters.
    Unit    nats per character; log 64 = 4.2 for a guess, 3.2 from frequencies of characters.
    Source  Dao and Gu 2024, arXiv:2405.21060 (Mamba-2, in its quadratic form; without its short
            convolution and step sizes); linear attention: Katharopoulos et al. 2020,
            arXiv:2006.16236.
    """

    measures: ClassVar[str] = (
        "Whether a recurrence that is linear in its state, with decays and gates made by small "
        "projections, is trained at the learning rate of the wide matrices beside them."
    )
    cannot: ClassVar[str] = (
        "Nothing about long memory, which 16 characters do not need, or late training."
    )
    small: ClassVar[dict[str, Any]] = NextCharacter.small | {"heads": 2}

    heads: int = 4

    def impossible(self) -> str | None:
        return super().impossible() or heads_fault(self.width, self.heads)

    def parameters(self, key: PRNGKeyArray) -> Params:
        token, inner, decay, head = jax.random.split(key, 4)
        width, heads = self.width, self.heads
        layers = blocks_init(inner, self.depth, width, inputs=4)
        for block, one in enumerate(jax.random.split(decay, self.depth)):
            # sigmoid: half-lives from 1 to some 40 characters, another for each head
            layers[f"mixer_{block}"] |= {
                "decay": normal(one, (width, heads)),
                "decay_bias": jnp.linspace(0.0, 4.0, heads, dtype=jnp.float32),
            }
        return {
            "embedding": {"token": jax.random.normal(token, (ALPHABET, width), jnp.float32)},
            **layers,
            "head": norm_init(width) | affine_init(head, (width, ALPHABET)),
        }

    def logits(
        self, params: Params, x: Int[Array, "batch context"]
    ) -> Float[Array, "batch context symbol"]:
        seen = blocks(params, self.depth, embed(params["embedding"]["token"], x), self.mix)
        return affine(params["head"], layer_norm(params["head"], seen))

    def mix(
        self, layer: Layer, x: Float[Array, "batch time width"]
    ) -> Float[Array, "batch time width"]:
        """Write every position to the states of the heads and read them there, through a gate."""
        apart = (*x.shape[:2], self.heads, -1)
        *qkv, gate = jnp.split(matmul(x, layer["in"]), 4, axis=-1)
        query, key, value = (part.reshape(apart) for part in qkv)
        decay = affine({"kernel": layer["decay"], "bias": layer["decay_bias"]}, x)
        read = decayed_attention(
            query * key.shape[-1] ** -0.5, key, value, jax.nn.log_sigmoid(decay)
        )
        return read.reshape(x.shape) * jax.nn.silu(gate)
