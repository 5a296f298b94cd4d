"""Files of the data sets that scikit-learn carries.

They are read without importing scikit-learn, which takes a second.
"""

import importlib.util
from pathlib import Path

import numpy as np


def carried(*names: str) -> Path:
    """Find a file or folder among scikit-learn's data sets.

    Raises ModuleNotFoundError where it is not installed.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "scikit-learn is not installed, and the data of this task come with it."
        )
    return Path(spec.origin).parent.joinpath("datasets", *names)


def table(name: str, delimiter: str | None) -> np.ndarray:
    """Read a compressed table of numbers.

    Returns f64[row, column], or f64[row] where it has one column.
    """
    return np.loadtxt(carried("data", name), delimiter=delimiter)
