"""Linear classification where a class is the rarer, the higher its rank: frequencies 1/k."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.kit.laws import deal_law, normal_rows, scaled, wrong_labels
from proxy_tasks.kit.networks import affine_init, affine_row
from proxy_tasks.kit.parts import batch_above, frozen, shuffled_batches, take_rows
from proxy_tasks.kit.targets import ClassTargets
from proxy_tasks.task import DenseTask, Params, setting

SEED = 1949  # Zipf
TRAIN_ROWS = 4096


@functools.cache
def rows_of_classes(width: int, classes: int) -> dict[str, Any]:
    """Return the parts, each {"centre": f32[class, width], "label": i32[row], "noise": f32[row,
    width]}; label k - 1 has a share of rows that is 1/k of the first's, up to rounding.
    """
    centres = frozen(np.random.default_rng([SEED, 7]).standard_normal((classes, width)), np.float32)
    ends = np.cumsum(1 / np.arange(1, classes + 1))
    parts = {}
    for part, noise in normal_rows(SEED, TRAIN_ROWS, width).items():
        at = (np.arange(len(noise)) + 0.5) / len(noise) * ends[-1]
        labels = frozen(np.minimum(np.searchsorted(ends, at), classes - 1), np.int32)
        parts[part] = {"centre": centres, "label": labels, "noise": noise}
    return parts


@dataclass(frozen=True)
class ZipfSoftmax(ClassTargets, DenseTask):
    """Cross-entropy of a linear classifier of inputs around centres, class k with frequency 1/k.

    A row is its class's centre, of N(0, I), and `spread` times N(0, I). Which centre belongs to
    which rank is the seed's own.

    Theory  The Hessian's block of class k scales with its frequency. So gradient descent fits the
            common classes first, and the many rare ones, half of all rows together, in a time that
            grows with k; Adam and sign descent fit all alike, with or without noise of batches
            (Kunstner et al. 2024). It is why they win in language modelling.

    Here    Tuned over 4 seeds, AdamW ends at 0.196, Lion at 0.240, heavy ball at 0.288. With 64
            classes of width 32 heavy ball leads (0.066 against 0.076).

    Shape   33,280 parameters at the defaults; batches in shuffled epochs over 4,096 rows.
    Unit    nats a row; `label_noise` is in the train part alone.
    """

    measures: ClassVar[str] = (
        "Whether rare classes are learned as fast as common ones: why Adam beats SGD on language."
    )
    cannot: ClassVar[str] = "Nothing about depth or features; the loss is convex."
    source: ClassVar[str] = (
        "Generated; Kunstner, Yadav, Milligan, Schmidt, Bietti 2024, arXiv:2402.19449 (no data set)"
    )

    small: ClassVar[dict[str, Any]] = {"width": 4, "classes": 8, "batch": 16, "steps": 150}

    width: int = 64
    classes: int = 512
    spread: float = 1.0
    batch: int = 256
    label_noise: float = setting(0.0, from_zero=True)  # share of wrong labels
    init_scale: float = 1.0
    steps: int = 300

    def impossible(self) -> str | None:
        return batch_above(self.batch, TRAIN_ROWS)

    def data(self) -> dict[str, Any]:
        return rows_of_classes(self.width, self.classes)

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        order, wrong = jax.random.split(key)
        data = deal_law(order, data, ("centre",))
        if not self.label_noise:
            return data
        train = data["train"]
        labels = wrong_labels(wrong, train["label"], self.classes, self.label_noise)
        return data | {"train": train | {"label": labels}}

    def init(self, key: PRNGKeyArray) -> Params:
        return scaled({"head": affine_init(key, (self.width, self.classes))}, self.init_scale)

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        return shuffled_batches(key, self.steps, self.batch, TRAIN_ROWS)

    def inputs(
        self, centres: Float[Array, "class width"], rows: dict[str, Array]
    ) -> Float[Array, "row width"]:
        """Put rows around the centres of their classes."""
        return take_rows(centres, rows["label"]) + self.spread * rows["noise"]

    def layers(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> tuple[Float[Array, "batch class"], dict[str, Float[Array, "batch _"]]]:
        rows = {name: take_rows(data["train"][name], draw) for name in ("label", "noise")}
        return affine_row(params, ("head",), self.inputs(data["train"]["centre"], rows), jnp.tanh)

    def judge(
        self,
        predictions: Float[Array, "batch class"],
        data: dict[str, Any],
        draw: Int[Array, " batch"],
    ) -> Float[Array, ""]:
        return self.penalty(predictions, take_rows(data["train"]["label"], draw))

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        x = self.inputs(data["train"]["centre"], data[part])
        return self.penalty(affine_row(params, ("head",), x, jnp.tanh)[0], data[part]["label"])
