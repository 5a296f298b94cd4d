"""Predict the progression of diabetes with one hidden layer."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from proxy_tasks.data import carried
from proxy_tasks.kit.dense import DenseRegression
from proxy_tasks.kit.parts import frozen, split_rows

SPLIT_SEED = 442  # of the shuffle before the cut


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
class DiabetesRegression(DenseRegression):
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

    batch: int = 32
    steps: int = 300

    def data(self) -> dict[str, Any]:
        return diabetes()
