"""Classify rows of real tables with a small network."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.data.carried import carried
from proxy_tasks.kit.laws import scaled, wrong_labels
from proxy_tasks.kit.networks import affine_init, affine_row
from proxy_tasks.kit.parts import (
    batch_above,
    deal_anew,
    frozen,
    shuffled_batches,
    split_rows,
    take_rows,
)
from proxy_tasks.kit.targets import ClassTargets
from proxy_tasks.task import DenseTask, Params, setting

FILES = {"breast_cancer": "breast_cancer.csv", "wine": "wine_data.csv"}
SPLIT_SEED = 569  # of the shuffle before the cut


@functools.cache
def rows_of(table: str) -> dict[str, Any]:
    """Return the parts, each {"x": f32[row, feature], "label": i32[row]}.

    Unit    standard deviations of the train part, after its mean.
    """
    numbers = np.loadtxt(carried("data", FILES[table]), delimiter=",", skiprows=1)
    parts = split_rows(len(numbers), SPLIT_SEED)
    x, labels = numbers[:, :-1], numbers[:, -1]
    train = x[parts["train"]]
    x = (x - train.mean(axis=0)) / train.std(axis=0)
    return {
        part: {"x": frozen(x[rows], np.float32), "label": frozen(labels[rows], np.int32)}
        for part, rows in parts.items()
    }


@dataclass(frozen=True)
class TableDense(ClassTargets, DenseTask):
    """Cross-entropy of a relu network on a table of measurements.

    Tables: 569 tumours with 30 features, benign or malignant; 178 wines with 13, of three growers.

    Shape   `depth` hidden layers; batches in shuffled epochs over 60 % of the rows.
    Unit    nats a row; log 2 or log 3 for a guess. `label_noise` is in the train part alone, and
            every seed has other wrong labels.
    """

    measures: ClassVar[str] = (
        "Whether a small network fits a small table without confidence that the next rows punish."
    )
    cannot: ClassVar[str] = (
        "Little about speed: 114 validation rows are few, so seeds differ by more than optimizers."
    )
    source: ClassVar[str] = (
        "scikit-learn's bundled breast cancer (UCI Wisconsin Diagnostic, Wolberg, Street, "
        "Mangasarian 1995) and wine data (UCI, Forina et al. 1991), CC BY 4.0"
    )

    small: ClassVar[dict[str, Any]] = {"width": 4, "batch": 16, "steps": 150}

    table: Literal["breast_cancer", "wine"] = "breast_cancer"
    width: int = 32
    depth: int = 1  # hidden layers
    batch: int = 64
    label_noise: float = setting(0.0, from_zero=True)  # share of wrong labels
    init_scale: float = 1.0
    steps: int = 300

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers, from the inputs on."""
        return (*(f"hidden_{layer}" for layer in range(self.depth)), "head")

    @property
    def classes(self) -> int:
        """The number of labels."""
        return int(self.data()["train"]["label"].max()) + 1

    def impossible(self) -> str | None:
        return batch_above(self.batch, len(self.data()["train"]["label"]))

    def data(self) -> dict[str, Any]:
        return rows_of(self.table)

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        order, wrong = jax.random.split(key)
        data = deal_anew(order, data)
        if not self.label_noise:
            return data
        train = data["train"]
        labels = wrong_labels(wrong, train["label"], self.classes, self.label_noise)
        return data | {"train": train | {"label": labels}}

    def init(self, key: PRNGKeyArray) -> Params:
        features = self.data()["train"]["x"].shape[1]
        sizes = (features, *[self.width] * self.depth, self.classes)
        params = {}
        for at, own in enumerate(jax.random.split(key, self.depth + 1)):
            name = self.names[at]
            gain = 1.0 if name == "head" else 2.0
            params[name] = affine_init(own, sizes[at : at + 2], gain)
        return scaled(params, self.init_scale)

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        return shuffled_batches(key, self.steps, self.batch, len(self.data()["train"]["label"]))

    def layers(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> tuple[Float[Array, "batch class"], dict[str, Float[Array, "batch _"]]]:
        x = take_rows(data["train"]["x"], draw)
        return affine_row(params, self.names, x, jax.nn.relu)

    def judge(
        self,
        predictions: Float[Array, "batch class"],
        data: dict[str, Any],
        draw: Int[Array, " batch"],
    ) -> Float[Array, ""]:
        return self.penalty(predictions, take_rows(data["train"]["label"], draw))

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        x = jnp.asarray(data[part]["x"])
        predictions, _ = affine_row(params, self.names, x, jax.nn.relu)
        return self.penalty(predictions, jnp.asarray(data[part]["label"]))
