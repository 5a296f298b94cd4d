"""Predict the progression of diabetes with one hidden layer."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data import carried
from proxy_tasks.kit.networks import affine_init, affine_row
from proxy_tasks.kit.parts import (
    batch_above,
    deal_anew,
    frozen,
    shuffled_batches,
    split_rows,
    take_rows,
)
from proxy_tasks.task import DenseTask, Params

SPLIT_SEED = 442  # of the shuffle before the cut
TRAIN_ROWS = 265


@functools.cache
def diabetes() -> dict[str, Any]:
    """Return the parts, each {"x": f32[row, 10], "y": f32[row]}.

    Unit    standard deviations of the train part.
    """
    table = np.column_stack(
        [
            carried.table("diabetes_data_raw.csv.gz", None),
            carried.table("diabetes_target.csv.gz", None),
        ]
    )
    parts = split_rows(len(table), SPLIT_SEED)
    train = table[parts["train"]]
    table = (table - train.mean(axis=0)) / train.std(axis=0)
    return {
        part: {"x": frozen(table[rows, :-1], np.float32), "y": frozen(table[rows, -1], np.float32)}
        for part, rows in parts.items()
    }


@dataclass(frozen=True)
class DiabetesRegression(DenseTask):
    """Half the squared error of a 10-width-1 tanh network on 442 patients.

    Shape   385 parameters at width 32; batches in shuffled epochs over 265 patients.
    Unit    half the variance of the target in the train part; ½ for predicting its mean.
    """

    kind: ClassVar[str] = "diabetes_regression"
    version: ClassVar[int] = 2  # since 2 every seed deals train and validation anew
    measures: ClassVar[str] = (
        "Whether a smooth regression on noisy targets is fitted without following the noise of "
        "265 rows."
    )
    cannot: ClassVar[str] = (
        "Little about speed or scale: about half of the variance cannot be explained, so good "
        "optimizers end close together, and 88 validation rows are few."
    )
    source: ClassVar[str] = (
        "scikit-learn's bundled diabetes data: 442 patients (Efron, Hastie, Johnstone, "
        "Tibshirani 2004, Least Angle Regression), distributed with scikit-learn under "
        "BSD-3-Clause"
    )

    small: ClassVar[dict[str, Any]] = {"width": 8, "batch": 16, "steps": 150}

    width: int = 32
    batch: int = 32
    steps: int = 300

    def impossible(self) -> str | None:
        return batch_above(self.batch, TRAIN_ROWS)

    def data(self) -> dict[str, Any]:
        return diabetes()

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_anew(key, data)

    def init(self, key: PRNGKeyArray) -> Params:
        hidden, head = jax.random.split(key)
        return {
            "hidden": affine_init(hidden, (10, self.width)),
            "head": affine_init(head, (self.width, 1)),
        }

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        return shuffled_batches(key, self.steps, self.batch, TRAIN_ROWS)

    def layers(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> tuple[Float[Array, " batch"], dict[str, Float[Array, "batch _"]]]:
        return self.network(params, take_rows(data["train"]["x"], draw))

    def judge(
        self, predictions: Float[Array, " batch"], data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> Float[Array, ""]:
        return self.penalty(predictions, take_rows(data["train"]["y"], draw))

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        predictions, _ = self.network(params, jnp.asarray(data[part]["x"]))
        return self.penalty(predictions, jnp.asarray(data[part]["y"]))

    def network(
        self, params: Params, x: Float[Array, "row 10"]
    ) -> tuple[Float[Array, " row"], dict[str, Float[Array, "row _"]]]:
        """Predict the progression for some patients."""
        outputs, inputs = affine_row(params, ("hidden", "head"), x, jnp.tanh)
        return outputs[:, 0], inputs

    def penalty(
        self, predictions: Float[Array, " row"], targets: Float[Array, " row"]
    ) -> Float[Array, ""]:
        return optax.l2_loss(predictions, targets).mean()

    def sample(self, key: PRNGKeyArray, predictions: Float[Array, " row"]) -> Float[Array, " row"]:
        return predictions + jax.random.normal(key, predictions.shape, predictions.dtype)
