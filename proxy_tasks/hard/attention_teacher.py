"""A head of attention that learns to do what another one does."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.kit.laws import deal_law, normal_rows, scaled
from proxy_tasks.kit.networks import matmul, normal
from proxy_tasks.kit.parts import batch_above, frozen, shuffled_batches, take_rows
from proxy_tasks.task import Params, PredictionTask

SEED = 1706
TRAIN_ROWS = 1024  # sequences
FLOOR = 1e-5
MATRICES = ("query", "key", "value", "out")


@functools.cache
def sequences(width: int, tokens: int) -> dict[str, Any]:
    """Return the parts: {"x": f32[row, token, width], "query", "key", "value", "out": f32[width,
    width]}, all N(0, 1).
    """
    rng = np.random.default_rng([SEED, 7])
    teacher = {name: frozen(rng.standard_normal((width, width)), np.float32) for name in MATRICES}
    xs = normal_rows(SEED, TRAIN_ROWS, tokens, width, evaluated=512)
    return {part: {"x": x} | teacher for part, x in xs.items()}


@dataclass(frozen=True)
class AttentionTeacher(PredictionTask):
    """Squared error of one head of softmax attention against a head with other weights.

    The teacher's weights are the seed's own; its scores are `sharpness` times as large as those of
    a usual initialisation, so that it looks at few tokens.

    Theory  The gradient in query and key is as small as attention is even, and bilinear in the two:
            they start slowly, after value and out, which follow the mean first. The exact optimum
            has loss 0.

    Shape   four f32[width, width]; batches in shuffled epochs over 1,024 sequences of N(0, I).
    Unit    squared error over the mean square of the teacher's output, + 1e-5.
    """

    measures: ClassVar[str] = (
        "Whether the products of matrices in attention are learned past the plateau where all "
        "attention is even."
    )
    cannot: ClassVar[str] = (
        "Nothing about depth, norms, embeddings or text; AdamW and heavy ball end alike here."
    )
    source: ClassVar[str] = (
        "Generated; in the shape of github.com/cybertronai/caffeine's random teacher (no data set)"
    )

    small: ClassVar[dict[str, Any]] = {
        "width": 4, "tokens": 4, "batch": 16, "steps": 150, "sharpness": 1.0,
    }  # fmt: skip

    width: int = 16
    tokens: int = 16
    sharpness: float = 3.0
    batch: int = 32
    init_scale: float = 1.0
    steps: int = 300

    def impossible(self) -> str | None:
        return batch_above(self.batch, TRAIN_ROWS)

    def data(self) -> dict[str, Any]:
        return sequences(self.width, self.tokens)

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_law(key, data, MATRICES)

    def init(self, key: PRNGKeyArray) -> Params:
        keys = jax.random.split(key, len(MATRICES))
        first = {
            name: normal(own, (self.width, self.width))
            for name, own in zip(MATRICES, keys, strict=True)
        }
        return scaled({"attention": first}, self.init_scale)

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        return shuffled_batches(key, self.steps, self.batch, TRAIN_ROWS)

    def head(
        self, weights: dict[str, Array], x: Float[Array, "row token width"]
    ) -> Float[Array, "row token width"]:
        """Let every token look at all tokens of its sequence."""
        query, key, value = (matmul(x, weights[name]) for name in MATRICES[:3])
        scores = jnp.einsum("rqd,rkd->rqk", query, key) * self.width**-0.5
        seen = jnp.einsum("rqk,rkd->rqd", jax.nn.softmax(scores, axis=-1), value)
        return matmul(seen, weights["out"])

    def target(
        self, law: dict[str, Array], x: Float[Array, "row token width"]
    ) -> Float[Array, "row token width"]:
        """Compute what the teacher says."""
        sizes = (self.sharpness**0.5, self.sharpness**0.5, 1.0, 1.0)
        teacher = {
            name: size * self.width**-0.5 * law[name]
            for name, size in zip(MATRICES, sizes, strict=True)
        }
        return self.head(teacher, x)

    def predict(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> Float[Array, "batch token width"]:
        return self.head(params["attention"], take_rows(data["train"]["x"], draw))

    def judge(
        self,
        predictions: Float[Array, "batch token width"],
        data: dict[str, Any],
        draw: Int[Array, " batch"],
    ) -> Float[Array, ""]:
        targets = self.target(data["train"], take_rows(data["train"]["x"], draw))
        return jnp.mean((predictions - targets) ** 2)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        x = jnp.asarray(data[part]["x"])
        targets = self.target(data["train"], x)
        errors = jnp.mean((self.head(params["attention"], x) - targets) ** 2)
        return errors / jnp.mean(targets**2) + FLOOR
