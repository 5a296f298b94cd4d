"""Complete a matrix of low rank from a few of its entries."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.kit.laws import deal_law, scaled
from proxy_tasks.kit.parts import batch_above, frozen, shuffled_batches, take_rows
from proxy_tasks.task import Params, PredictionTask, setting

SEED = 2009
TRAIN_ROWS = 4096
FLOOR = 1e-3


@functools.cache
def entries(users: int, items: int, rank: int) -> dict[str, Any]:
    """Return the parts: {"user", "item": i32[row], "luck": f32[row] of N(0, 1), and the factors
    "taste": f32[user, rank] and "trait": f32[item, rank] of N(0, 1)}.

    User u is drawn with probability in proportion to 1/√u, and items likewise.
    """
    rng = np.random.default_rng(SEED)
    factors = {
        "taste": frozen(rng.standard_normal((users, rank)), np.float32),
        "trait": frozen(rng.standard_normal((items, rank)), np.float32),
    }

    def some(count: int, rows: int) -> np.ndarray:
        often = np.arange(1, count + 1) ** -0.5
        return frozen(rng.choice(count, rows, p=often / often.sum()), np.int32)

    return {
        part: {
            "user": some(users, TRAIN_ROWS),
            "item": some(items, TRAIN_ROWS),
            "luck": frozen(rng.standard_normal(TRAIN_ROWS), np.float32),
        }
        | factors
        for part in ("train", "validation", "test")
    }


@dataclass(frozen=True)
class MatrixFactorisation(PredictionTask):
    """Squared error of ⟨user, item⟩, products of two learned vectors, on entries of a matrix.

    The matrix has rank `rank` and factors of the seed's own. A batch touches few rows of the two
    tables, popular ones often and others seldom, so gradients are sparse.

    Theory  Next to 0 is a saddle, so directions of the matrix are found one after the other, the
            largest first, at a rate of its singular value (Saxe et al. 2014, arXiv:1312.6120). With
            width ≥ rank there are no bad local minima (Ge et al. 2016, arXiv:1605.07272).

    Shape   f32[users, width] and f32[items, width]; batches in shuffled epochs over 4,096 entries.
    Unit    squared error over the variance of an entry, + 1e-3; 1 for predicting 0.
    """

    measures: ClassVar[str] = (
        "Whether rows of an embedding that are seen seldom are trained well, in a product of two "
        "tables."
    )
    cannot: ClassVar[str] = "Nothing about features, depth or real preferences."
    source: ClassVar[str] = (
        "Generated; the model is Koren, Bell, Volinsky 2009, doi:10.1109/MC.2009.263 (no data set)"
    )

    small: ClassVar[dict[str, Any]] = {
        "users": 8, "items": 8, "rank": 1, "width": 2, "batch": 32, "steps": 150,
    }  # fmt: skip

    users: int = 64
    items: int = 64
    rank: int = 4
    width: int = 8
    batch: int = 256
    label_noise: float = setting(0.0, from_zero=True)  # standard deviation, in the train part alone
    init_scale: float = 1.0
    steps: int = 500

    def impossible(self) -> str | None:
        return batch_above(self.batch, TRAIN_ROWS)

    def data(self) -> dict[str, Any]:
        return entries(self.users, self.items, self.rank)

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_law(key, data, ("taste", "trait"))

    def init(self, key: PRNGKeyArray) -> Params:
        user, item = jax.random.split(key)
        size = 0.3 * self.width**-0.25  # products start with a variance of 0.01
        first = {
            "user": size * jax.random.normal(user, (self.users, self.width), jnp.float32),
            "item": size * jax.random.normal(item, (self.items, self.width), jnp.float32),
        }
        return scaled({"embedding": first}, self.init_scale)

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        return shuffled_batches(key, self.steps, self.batch, TRAIN_ROWS)

    def products(
        self, tables: tuple[Float[Array, "user _"], Float[Array, "item _"]], rows: dict[str, Array]
    ) -> Float[Array, " row"]:
        """Multiply the vectors of the users and items of some entries."""
        # Products with one-hot rows instead of look-ups, whose gradient would be a scatter, which a
        # GPU adds up in an order of its own.
        users, items = tables
        user = jax.nn.one_hot(rows["user"], users.shape[0], dtype=users.dtype) @ users
        item = jax.nn.one_hot(rows["item"], items.shape[0], dtype=items.dtype) @ items
        return jnp.sum(user * item, axis=1)

    def targets(self, law: dict[str, Array], rows: dict[str, Array]) -> Float[Array, " row"]:
        """Compute entries of the matrix, of variance 1."""
        return self.products((law["taste"], law["trait"]), rows) * self.rank**-0.5

    def rows(self, data: dict[str, Any], draw: Int[Array, " batch"]) -> dict[str, Array]:
        """Take the entries of a batch."""
        return {name: take_rows(data["train"][name], draw) for name in ("user", "item", "luck")}

    def predict(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> Float[Array, " batch"]:
        tables = params["embedding"]
        return self.products((tables["user"], tables["item"]), self.rows(data, draw))

    def judge(
        self, predictions: Float[Array, " batch"], data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> Float[Array, ""]:
        rows = self.rows(data, draw)
        targets = self.targets(data["train"], rows) + self.label_noise * rows["luck"]
        return jnp.mean((predictions - targets) ** 2)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        tables, law = params["embedding"], data["train"]
        rows = jax.tree.map(jnp.asarray, data[part])
        targets = self.targets(law, rows)
        predictions = self.products((tables["user"], tables["item"]), rows)
        return jnp.mean((predictions - targets) ** 2) + FLOOR
