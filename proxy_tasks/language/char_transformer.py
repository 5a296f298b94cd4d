"""Predict the next character of technical English with a two-layer transformer."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data.carried import carried
from proxy_tasks.kit.characters import in_symbols
from proxy_tasks.kit.networks import (
    affine,
    affine_init,
    causal_attention,
    cross_entropy,
    layer_norm,
    matmul,
    normal,
)
from proxy_tasks.kit.parts import take_rows
from proxy_tasks.task import Params, PredictionTask

ALPHABET = 64  # symbols: the 63 commonest characters, and one for all others
BLOCK = 500  # characters; small enough that each part sees every document
WINDOWS = 64  # that an evaluation reads, evenly spaced over its part


@functools.cache
def text() -> str:
    """Return scikit-learn's descriptions of its data sets, in the order of their file names."""
    files = sorted(carried("descr").glob("*.rst"), key=lambda file: file.name)
    return "".join(file.read_text(encoding="utf-8") for file in files)


@functools.cache
def symbols() -> dict[str, Int[np.ndarray, " _"]]:
    """Return the parts of the text as symbols: 0 is the commonest character, 63 any other."""
    return in_symbols(text(), ALPHABET, BLOCK)


MOST_LAYERS = 1000  # each is traced on its own


@dataclass(frozen=True)
class CharTransformer(PredictionTask):
    """Cross-entropy of a causal transformer on characters of real text.

    It has norms before its layers, relus and learned positions.

    The text is cut into blocks of 500 characters; of every ten, eight train, one validates, one
    tests. The blocks of a part are joined, so about one window in sixty crosses a seam.

    Shape   109,248 parameters at the defaults; a draw holds where the windows of a batch start.
    Unit    nats per character; log 64 = 4.2 for a guess, 3.4 from frequencies of characters, 2.6
            from pairs.
    Source  Vaswani et al. 2017, arXiv:1706.03762; pre-norm: Xiong et al. 2020, arXiv:2002.04745.
    """

    kind: ClassVar[str] = "char_transformer"
    measures: ClassVar[str] = (
        "Whether parameters of very different kinds (embeddings, attention, norms, wide layers) "
        "are trained together early in language modelling, where sign-like and adaptive methods "
        "leave SGD behind."
    )
    cannot: ClassVar[str] = (
        "Nothing about late training or large text: 200 steps read 35,000 characters three "
        "times, and end with a model that knows pairs of characters and a few words."
    )
    source: ClassVar[str] = (
        "scikit-learn's data set descriptions (sklearn/datasets/descr/*.rst, 43,000 characters), "
        "BSD-3-Clause"
    )

    small: ClassVar[dict[str, Any]] = {
        "layers": 1,
        "width": 8,
        "heads": 2,
        "context": 8,
        "batch": 16,
        "steps": 150,
    }

    alphabet: ClassVar[int] = ALPHABET  # a task of other text may have another

    layers: int = 2
    width: int = 64
    heads: int = 4
    context: int = 32
    batch: int = 16
    steps: int = 200

    def impossible(self) -> str | None:
        if self.layers > MOST_LAYERS:
            return f"layers must be at most {MOST_LAYERS}, not {self.layers}"
        if self.width % self.heads:
            return f"width must be a multiple of heads, not {self.width} for {self.heads} heads"
        highest = max(int(part.max()) for part in self.data().values())
        if highest >= self.alphabet:
            return (
                f"expected symbols below its alphabet of {self.alphabet}, found the symbol "
                f"{highest}: state alphabet: ClassVar[int] = {highest + 1}"
            )
        longest = min(map(len, self.data().values())) - 1
        if self.context > longest:
            return (
                f"context must be at most {longest}, the shortest part less one, not {self.context}"
            )
        return None

    def data(self) -> dict[str, Any]:
        return symbols()

    def init(self, key: PRNGKeyArray) -> Params:
        width = self.width
        keys = iter(jax.random.split(key, 3 + 4 * self.layers))
        norm = {"scale": jnp.ones(width, jnp.float32), "shift": jnp.zeros(width, jnp.float32)}
        # 2·layers branches add up to a variance of 1 (Radford et al. 2019).
        residual = 0.5 / self.layers
        params = {
            "embedding": {
                # one symbol at a time, so a fan-in of 1; positions start smaller, as a detail of it
                "token": jax.random.normal(next(keys), (self.alphabet, width), jnp.float32),
                "position": normal(next(keys), (self.context, width)),
            },
            "head": norm | affine_init(next(keys), (width, self.alphabet)),
        }
        for layer in range(self.layers):
            params[f"attention_{layer}"] = norm | {
                "qkv": normal(next(keys), (width, 3 * width)),
                "out": normal(next(keys), (width, width), residual),
            }
            params[f"mlp_{layer}"] = norm | {
                "up": normal(next(keys), (width, 4 * width), 2.0),
                "down": normal(next(keys), (4 * width, width), residual),
            }
        return params

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        starts = len(self.data()["train"]) - self.context
        return jax.random.randint(key, (self.steps, self.batch), 0, starts, jnp.int32)

    def predict(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> Float[Array, "batch context symbol"]:
        return self.logits(params, self.windows(data["train"], draw)[:, :-1])

    def judge(
        self,
        predictions: Float[Array, "batch context symbol"],
        data: dict[str, Any],
        draw: Int[Array, " batch"],
    ) -> Float[Array, ""]:
        return cross_entropy(predictions, self.windows(data["train"], draw)[:, 1:])

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        last = data[part].shape[0] - self.context - 1
        windows = self.windows(
            data[part], jnp.asarray(np.linspace(0, last, WINDOWS).astype(np.int32))
        )
        return cross_entropy(self.logits(params, windows[:, :-1]), windows[:, 1:])

    def windows(
        self, part: Int[Array, " part"], starts: Int[Array, " windows"]
    ) -> Int[Array, "windows symbols"]:
        """Cut out the symbols from each start on: the context and the symbol that follows it."""
        shape = (starts.shape[0], self.context + 1)
        ahead = jnp.arange(self.context + 1, dtype=jnp.int32)
        return take_rows(
            part, jnp.broadcast_to(starts[:, None], shape) + jnp.broadcast_to(ahead, shape)
        )

    def logits(
        self, params: Params, window: Int[Array, "batch context"]
    ) -> Float[Array, "batch context symbol"]:
        """Predict the symbol after every position of a window."""
        token, position = params["embedding"]["token"], params["embedding"]["position"]
        # A product with one-hot rows is as quick as a lookup here, and its gradient is no scatter,
        # which a GPU would add up in an order of its own.
        x = jax.nn.one_hot(window, self.alphabet, dtype=token.dtype) @ token
        x = x + jnp.broadcast_to(position, x.shape)
        for layer in range(self.layers):
            attention, mlp = params[f"attention_{layer}"], params[f"mlp_{layer}"]
            x = x + matmul(
                causal_attention(matmul(layer_norm(attention, x), attention["qkv"]), self.heads),
                attention["out"],
            )
            x = x + matmul(jax.nn.relu(matmul(layer_norm(mlp, x), mlp["up"])), mlp["down"])
        return affine(params["head"], layer_norm(params["head"], x))
