"""A linear transformer that learns to regress in context."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.kit.laws import deal_law, normal_rows, orthogonal
from proxy_tasks.kit.parts import batch_above, shuffled_batches, take_rows
from proxy_tasks.task import Params, PredictionTask

SEED = 2310
TRAIN_ROWS = 8192
FLOOR = 1e-3


@functools.cache
def prompts(dim: int, context: int) -> dict[str, Any]:
    """Return the parts: {"axes": f32[dim, dim], "x": f32[row, context + 1, dim], "slope": f32[row,
    dim]}; axes are orthogonal, all else is N(0, 1).
    """
    xs = normal_rows(SEED, TRAIN_ROWS, context + 1, dim)
    slopes = normal_rows(SEED + 1, TRAIN_ROWS, dim)
    return {
        part: {"axes": orthogonal(dim, SEED), "x": xs[part], "slope": slopes[part]} for part in xs
    }


@dataclass(frozen=True)
class LinearAttention(PredictionTask):
    """Predict y = ⟨slope, x⟩ for the last x of a prompt, from pairs (x, y) before it.

    Every row of a batch is a regression of its own; all that the network learns is how to do one.
    Layers are Z + P Z M (Zᵀ Q Z) / context with one P and one Q each, M hides the last column, and
    the prediction is minus the last entry. Inputs have covariance Aᵀ S A, with S from 1 to
    1/condition and axes A of the seed's own.

    Theory  One layer can take one step of preconditioned gradient descent, and the best
            preconditioner is about the inverse covariance (Ahn et al. 2023, arXiv:2306.00297), so
            `condition` sets how much there is to learn. Gradients have heavy tails and the loss is
            unevenly smooth, as in full transformers: Adam and clipping leave SGD behind (Ahn et al.
            2024, arXiv:2310.01082).

    Shape   216 parameters at the defaults, f32[dim + 1, dim + 1] a leaf.
    Unit    mean squared error over the variance of y, + 1e-3.
    """

    measures: ClassVar[str] = (
        "Whether an optimizer copes with the heavy-tailed gradients and uneven curvature of "
        "attention, without any of its size."
    )
    cannot: ClassVar[str] = "Nothing about softmax, norms, embeddings or data that run out."
    source: ClassVar[str] = "Generated; Ahn et al. 2024, arXiv:2310.01082 (no data set)"

    small: ClassVar[dict[str, Any]] = {
        "dim": 2, "context": 6, "depth": 1, "batch": 32, "steps": 150, "condition": 1.0,
    }  # fmt: skip

    dim: int = 5
    context: int = 20
    depth: int = 3
    condition: float = 10.0  # largest variance over smallest variance of an input
    batch: int = 64
    init_scale: float = 1.0
    steps: int = 500

    def impossible(self) -> str | None:
        if self.condition < 1:
            return f"condition must be at least 1, not {self.condition}"
        return batch_above(self.batch, TRAIN_ROWS)

    def data(self) -> dict[str, Any]:
        return prompts(self.dim, self.context)

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_law(key, data, ("axes",))

    def init(self, key: PRNGKeyArray) -> Params:
        shape = (self.dim + 1, self.dim + 1)
        layers = {}
        for layer, own in enumerate(jax.random.split(key, self.depth)):
            p, q = jax.random.normal(own, (2, *shape), jnp.float32) * (0.1 * self.init_scale)
            layers[f"attention_{layer}"] = {"p": p, "q": q}
        return layers

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        return shuffled_batches(key, self.steps, self.batch, TRAIN_ROWS)

    def prompt(
        self, axes: Float[Array, "dim dim"], rows: dict[str, Array]
    ) -> tuple[Float[Array, "row length entry"], Float[Array, " row"]]:
        """Build the prompts, a pair (x, y) after the other and the last y hidden, and that y."""
        deviations = np.geomspace(1.0, self.condition**-0.5, self.dim)
        x = (rows["x"] * jnp.asarray(deviations, rows["x"].dtype)[None, None]) @ axes
        y = jnp.einsum("rld,rd->rl", x, rows["slope"])
        seen = y.at[:, -1].set(0)
        return jnp.concatenate([x, seen[..., None]], axis=-1), y[:, -1]

    def network(self, params: Params, z: Float[Array, "row length entry"]) -> Float[Array, " row"]:
        """Answer some prompts.

        Rows stand last: XLA would call Eigen for the matrices of every row, which takes twice as
        long.
        """
        z = jnp.moveaxis(z, 0, -1)
        for layer in range(self.depth):
            p, q = params[f"attention_{layer}"]["p"], params[f"attention_{layer}"]["q"]
            past = z[:-1]
            memory = jnp.einsum("lir,ljr->ijr", past, past) / self.context
            recalled = jnp.einsum("ijr,jk->ikr", memory, p)
            z = z + jnp.einsum("ljr,jkr->lkr", jnp.einsum("ljr,jk->lkr", z, q), recalled)
        return -z[-1, -1]

    def predict(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> Float[Array, " batch"]:
        return self.network(params, self.batch_of(data, draw)[0])

    def judge(
        self, predictions: Float[Array, " batch"], data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> Float[Array, ""]:
        return self.error(predictions, self.batch_of(data, draw)[1])

    def batch_of(self, data: dict[str, Any], draw: Int[Array, " batch"]) -> tuple[Array, Array]:
        """Build the prompts of a step, and their answers."""
        rows = {name: take_rows(data["train"][name], draw) for name in ("x", "slope")}
        return self.prompt(data["train"]["axes"], rows)

    def error(
        self, predictions: Float[Array, " row"], answers: Float[Array, " row"]
    ) -> Float[Array, ""]:
        """Compute the mean squared error over the variance of y, which is the trace of S."""
        variance = float(np.geomspace(1.0, 1.0 / self.condition, self.dim).sum())
        return jnp.mean((predictions - answers) ** 2) / variance

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        z, answers = self.prompt(data["train"]["axes"], jax.tree.map(jnp.asarray, data[part]))
        return self.error(self.network(params, z), answers) + FLOOR
