"""How rows of users become the three parts: what rows must be, and the seeded rules of the cuts."""

from pathlib import Path
from typing import Any

import numpy as np

from proxy_tasks.data.reading import DataError, Parts
from proxy_tasks.kit.parts import PARTS, frozen, split_rows

Rows = tuple[np.ndarray, np.ndarray]
"""Inputs [row, ...] and targets [row]."""

NAMES = ("x", "y")  # of inputs and targets in what loaders return


def split(where: Path, rows: Rows, seed: int) -> Parts:
    """Cut rows into 60, 20 and 20 %, after one shuffle with this seed."""
    rows = checked(where, rows, least=3)
    return {part: of(rows, positions) for part, positions in split_rows(len(rows[1]), seed).items()}


def published(where: Path, train: Rows, test: Rows, seed: int) -> Parts:
    """Take the test part as published, and cut a validation part from the published train rows.

    That has as many rows as the test part, but at most half of them, after one shuffle with this
    seed.
    """
    train, test = checked(where, train, least=2), checked(where, test, least=1)
    order = np.random.default_rng(seed).permutation(len(train[1]))
    kept = len(order) - min(len(test[1]), len(order) // 2)
    return alike(where, of(train, order[:kept]), of(train, order[kept:]), of(test))


def three(where: Path, train: Rows, validation: Rows, test: Rows) -> Parts:
    """Take all three parts as published."""
    return alike(where, *(of(checked(where, rows, 1)) for rows in (train, validation, test)))


def alike(where: Path, *parts: dict[str, np.ndarray]) -> Parts:
    """Put the parts together; rows of all must have one shape and type."""
    said = [[f"{part[name].dtype}{list(part[name].shape[1:])}" for name in NAMES] for part in parts]
    for part, found in zip(PARTS, said, strict=True):
        if found != said[0]:
            raise DataError(
                f"{where}: expected rows of {' and '.join(said[0])} in every part, as in train, "
                f"found {' and '.join(found)} in {part}; bring all parts into one form."
            )
    return dict(zip(PARTS, parts, strict=True))


def of(rows: Rows, positions: Any = slice(None)) -> dict[str, np.ndarray]:
    """Select rows of a part and make them read-only."""
    pairs = zip(NAMES, rows, strict=True)
    return {name: frozen(array[positions], array.dtype.type) for name, array in pairs}


def checked(where: Path, rows: Rows, least: int) -> Rows:
    """Bring inputs and targets into 32 bits or fewer.

    Inputs of bytes stay bytes (pixels), all others become f32. Targets of whole numbers are labels
    and become i32, others f32.

    Raises `DataError` for other things than numbers, what is not finite, and labels that are none.
    """
    x, y = rows
    for name, array in zip(NAMES, rows, strict=True):
        if array.dtype.kind not in "biuf":
            found = "rows of unequal shapes" if array.dtype == object else str(array.dtype)
            raise DataError(f"{where}: expected numbers as {name}, found {found}.")
    if x.ndim == 0 or y.ndim != 1 or len(x) != len(y):
        raise DataError(
            f"{where}: expected as many rows of inputs as targets, one number each, found inputs "
            f"{list(x.shape)} and targets {list(y.shape)}."
        )
    if len(y) < least:
        raise DataError(f"{where}: expected at least {least} rows, found {len(y)}.")
    if not x[0].size:
        raise DataError(f"{where}: expected numbers in every row, found inputs {list(x.shape)}.")
    return (x if x.dtype == np.uint8 else real(where, "x", x)), targets(where, y)


def targets(where: Path, y: np.ndarray) -> np.ndarray:
    """Return labels as i32, and other targets as f32."""
    if y.dtype.kind == "f":
        return real(where, "y", y)
    lowest, highest = int(y.min()), int(y.max())
    if lowest < 0 or highest > MOST_LABEL:
        wrong = lowest if lowest < 0 else highest
        raise DataError(
            f"{where}: expected labels from 0 to {MOST_LABEL:,}, found {wrong} in row "
            f"{int(np.argmax(y == wrong)) + 1}; number the classes from 0, and give a target that "
            "is no class as float."
        )
    return y.astype(np.int32)


MOST_LABEL = 9_999


def real(where: Path, name: str, array: np.ndarray) -> np.ndarray:
    """Return an array as f32; what is not finite there is refused with its row."""
    with np.errstate(over="ignore"):
        narrow = array.astype(np.float32)
    if not (fine := np.isfinite(narrow)).all():
        row = np.argwhere(~fine)[0]
        raise DataError(
            f"{where}: expected finite numbers of 32 bits, found {array[tuple(row)]} in row "
            f"{row[0] + 1} of {name}; replace or drop it."
        )
    return narrow
