"""What the language models on Python's topics share: the text, the windows, the loss."""

import abc
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data.topics import ALPHABET, LICENCE, symbols
from proxy_tasks.kit.characters import windows
from proxy_tasks.kit.networks import cross_entropy
from proxy_tasks.task import Params, PredictionTask, setting

READ = 1024  # windows, at most, that an evaluation reads, evenly spaced over its part
MOST_LAYERS = 1000  # each is traced on its own
Draw = dict[str, Array]


@dataclass(frozen=True)
class NextCharacter(PredictionTask, base=True):
    """Predict the character after every position of a window of text.

    A model is what `parameters` and `logits` say. Its initial parameters are multiplied by
    `init_scale`, all of them. Of the characters to be predicted in training a share `label_noise`
    is replaced by one of the others, drawn anew for every batch.

    An evaluation reads up to 1,024 windows of its part, so that it adds little to the noise of a
    seed; it takes as long as some ten steps.

    Unit    nats per character; log 64 = 4.2 for a guess, 3.2 from frequencies of characters.
    """

    source: ClassVar[str] = LICENCE
    small: ClassVar[dict[str, Any]] = {
        "width": 8, "depth": 1, "context": 8, "batch": 16, "steps": 150,
    }  # fmt: skip

    width: int = 32
    depth: int = 1
    context: int = 16  # characters that a window holds before the last one to be predicted
    batch: int = 16  # windows a step
    steps: int = 400
    init_scale: float = 1.0
    label_noise: float = setting(0.0, from_zero=True)

    @abc.abstractmethod
    def parameters(self, key: PRNGKeyArray) -> Params:
        """Draw the parameters, before they are scaled."""

    @abc.abstractmethod
    def logits(
        self, params: Params, x: Int[Array, "batch context"]
    ) -> Float[Array, "batch context symbol"]:
        """Predict the symbol after every position of a window."""

    def impossible(self) -> str | None:
        longest = min(map(len, symbols().values())) - 1
        if self.context > longest:
            return (
                f"context must be at most {longest}, the shortest part less one, not {self.context}"
            )
        if self.depth > MOST_LAYERS:
            return f"depth must be at most {MOST_LAYERS}, not {self.depth}"
        if self.label_noise > 1:
            return f"label_noise is a share of at most 1, not {self.label_noise:g}"
        return None

    def data(self) -> dict[str, Any]:
        return symbols()

    def init(self, key: PRNGKeyArray) -> Params:
        return jax.tree.map(lambda w: self.init_scale * w, self.parameters(key))

    def draws(self, key: PRNGKeyArray) -> Draw:
        """Draw where the windows of each batch start, and what is added to wrong labels."""
        start, which, other = jax.random.split(key, 3)
        starts = len(symbols()["train"]) - self.context
        shape = (self.steps, self.batch)
        draw = {"start": jax.random.randint(start, shape, 0, starts, jnp.int32)}
        if self.label_noise:
            shape = (*shape, self.context)
            wrong = jax.random.bernoulli(which, self.label_noise, shape)
            offset = jax.random.randint(other, shape, 1, ALPHABET, jnp.int32)
            draw["offset"] = jnp.where(wrong, offset, 0)
        return draw

    def predict(
        self, params: Params, data: dict[str, Any], draw: Draw
    ) -> Float[Array, "batch context symbol"]:
        return self.logits(params, self.windows(data["train"], draw["start"])[:, :-1])

    def judge(
        self,
        predictions: Float[Array, "batch context symbol"],
        data: dict[str, Any],
        draw: Draw,
    ) -> Float[Array, ""]:
        labels = self.windows(data["train"], draw["start"])[:, 1:]
        if "offset" in draw:
            labels = (labels + draw["offset"]) % ALPHABET
        return cross_entropy(predictions, labels)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        last = data[part].shape[0] - self.context - 1
        starts = np.linspace(0, last, min(READ, last // self.context + 1)).astype(np.int32)
        seen = self.windows(data[part], jnp.asarray(starts))
        return cross_entropy(self.logits(params, seen[:, :-1]), seen[:, 1:])

    def windows(
        self, part: Int[Array, " part"], starts: Int[Array, " window"]
    ) -> Int[Array, "window symbols"]:
        """Cut out the context and the symbol that follows it, from each start on."""
        return windows(part, starts, self.context + 1)


def embed(
    token: Float[Array, "symbol width"], x: Int[Array, "batch context"]
) -> Float[Array, "batch context width"]:
    """Look up symbols. A product with one-hot rows is as quick here, and its gradient is no
    scatter, which a GPU would add up in an order of its own.
    """
    return jax.nn.one_hot(x, ALPHABET, dtype=token.dtype) @ token
