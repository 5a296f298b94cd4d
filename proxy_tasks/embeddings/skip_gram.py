"""Learn vectors of words from the words around them, with negative sampling."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data.topics import LICENCE
from proxy_tasks.data.words import words
from proxy_tasks.kit.parts import take_rows
from proxy_tasks.task import Params, Task

WINDOW = 4  # words to each side that are neighbours
WEIGHT = 5.0  # of random words in the loss: as if each pair had five
POWER = 0.75  # of a word's frequency, for random words (Mikolov et al. 2013)
ASIDE = np.array([d for d in range(-WINDOW, WINDOW + 1) if d])


@dataclass(frozen=True)
class SkipGram(Task):
    """Negative-sampling loss of word vectors on technical English.

    A word's vector and a neighbour's are to have a large product, those of a word and of a random
    word a small one. A step looks up the words of `batch` pairs, and `negatives` random words that
    all pairs share; other rows of the two tables have a gradient of 0. Words are as frequent as in
    language, so most rows are seen rarely.

    An evaluation takes every pair of neighbours of a part, and the expectation over random words
    instead of a sample.

    Shape   64,000 parameters at the defaults, two tables f32[vocabulary, width]; a draw holds
            positions, which neighbour of them, and random words.
    Unit    nats per pair; 6 log 2 = 4.2 when all products are 0.
    Size    search; `confirm` is vocabulary 3000, width 64, batch 1024, steps 1000.
    Source  Mikolov et al. 2013, arXiv:1310.4546; no words are skipped for being frequent.
    """

    measures: ClassVar[str] = (
        "Whether rows that are looked up rarely are trained as well as those that every step "
        "sees, which divides methods with a rate for each number from those with one for all."
    )
    cannot: ClassVar[str] = (
        "Nothing about layers, or about what the vectors are good for: 50,000 words, and no task "
        "after it; a decay of weights reaches rows that no step has looked up."
    )
    source: ClassVar[str] = LICENCE

    small: ClassVar[dict[str, Any]] = {
        "vocabulary": 50,
        "width": 8,
        "batch": 64,
        "negatives": 16,
        "steps": 150,
    }

    vocabulary: int = 1000
    width: int = 32
    batch: int = 512
    negatives: int = 64
    steps: int = 500
    init_scale: float = 1.0  # times the usual first parameters

    def data(self) -> dict[str, Any]:
        return words(self.vocabulary)

    def init(self, key: PRNGKeyArray) -> Params:
        shape, scale = (self.vocabulary, self.width), self.init_scale * self.width**-0.5
        tables = zip(("word", "neighbour"), jax.random.split(key), strict=True)
        return {
            name: {"table": scale * jax.random.normal(one, shape, jnp.float32)}
            for name, one in tables
        }

    def draws(self, key: PRNGKeyArray) -> dict[str, Int[Array, "steps _"]]:
        place, side, other = jax.random.split(key, 3)
        shape, inner = (self.steps, self.batch), len(self.data()["train"]) - 2 * WINDOW
        below = jnp.cumsum(self.random_word())
        ticket = jax.random.uniform(other, (self.steps, self.negatives), jnp.float32)
        found = jnp.searchsorted(below, ticket).astype(jnp.int32)
        return {
            "place": WINDOW + jax.random.randint(place, shape, 0, inner, jnp.int32),
            "aside": jnp.asarray(ASIDE, jnp.int32)[jax.random.randint(side, shape, 0, len(ASIDE))],
            "random": jnp.minimum(found, self.vocabulary - 1),  # where rounding ends below 1
        }

    def random_word(self) -> Float[Array, " vocabulary"]:
        """Return how probable each word is as a random one."""
        counts = np.bincount(self.data()["train"], minlength=self.vocabulary) ** POWER
        return jnp.asarray(counts / counts.sum(), jnp.float32)

    def loss(
        self, params: Params, data: dict[str, Any], draw: dict[str, Array]
    ) -> Float[Array, ""]:
        text = data["train"]
        word = take_rows(params["word"]["table"], take_rows(text, draw["place"]))
        table = params["neighbour"]["table"]
        near = take_rows(table, take_rows(text, draw["place"] + draw["aside"]))
        far = take_rows(table, draw["random"])
        together = jax.nn.softplus(-jnp.sum(word * near, axis=1)).mean()
        return together + WEIGHT * jax.nn.softplus(word @ far.T).mean()

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        text, (word, neighbour) = data[part], (params[n]["table"] for n in ("word", "neighbour"))
        products = word @ neighbour.T
        middle = text[WINDOW : text.shape[0] - WINDOW]
        together = [
            jax.nn.softplus(-products[middle, text[WINDOW + d : text.shape[0] - WINDOW + d]])
            for d in ASIDE.tolist()
        ]
        random = jnp.broadcast_to(self.random_word().astype(word.dtype), products.shape)
        apart = jnp.sum(jax.nn.softplus(products) * random, axis=1)
        return jnp.mean(jnp.stack(together)) + WEIGHT * jnp.mean(take_rows(apart, middle))
