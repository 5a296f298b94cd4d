"""Data sets of Hugging Face that lie on the disk, as `save_to_disk` writes them."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from proxy_tasks.data.arrays import one_line
from proxy_tasks.data.reading import DataError, Parts, folder_at, loader
from proxy_tasks.data.rows import Rows, published, split, three
from proxy_tasks.sentences import listed


@loader
def huggingface(folder: Path, *, x: str, y: str, seed: int = 0) -> Parts:
    """Read two columns of a data set that `datasets.load_from_disk` opens.

    x, y: columns of inputs (images, numbers, lists of numbers of one length) and of targets. Where
    the set has train and test, the test part is as published, and the validation part too, or else
    cut from train. A set without splits is cut into 60, 20 and 20 %. seed: of the shuffle before a
    cut.

    Returns parts {"x": f32[row, ...] or u8[row, ...], "y": i32[row] labels or f32[row]}.
    Raises  `DataError`.
    """
    opened = open_on_disk(folder_at(folder))
    if not isinstance(opened, dict):
        return split(folder, columns(folder, opened, x, y), seed)
    if not {"train", "test"} <= opened.keys():
        found = listed(opened) if opened else "none"
        raise DataError(
            f"{folder}: expected splits train and test, found {found}; save one "
            "data set without splits, or with these names."
        )
    train, test = (columns(folder, opened[part], x, y) for part in ("train", "test"))
    if "validation" in opened:
        return three(folder, train, columns(folder, opened["validation"], x, y), test)
    return published(folder, train, test, seed)


def open_on_disk(folder: Path) -> Any:
    """Open a data set; a dict of them where it has splits."""
    try:
        library = importlib.import_module("datasets")
    except ModuleNotFoundError:
        raise DataError(
            f"{folder}: expected the package datasets, which reads it, found none installed; "
            "pip install 'pride-optimizers[huggingface]'."
        ) from None
    try:
        return library.load_from_disk(str(folder))
    except Exception as fault:  # of files that a library of others reads
        raise DataError(
            f"{folder}: expected a data set as save_to_disk writes it, found what "
            f"datasets.load_from_disk refuses ({one_line(fault)}); save it again."
        ) from None


def columns(folder: Path, opened: Any, x: str, y: str) -> Rows:
    """Return two columns of a data set as arrays."""
    if lacking := [name for name in (x, y) if name not in opened.column_names]:
        raise DataError(
            f"{folder}: expected a column {lacking[0]!r}, found {listed(opened.column_names)}; say "
            "with x= and y= which to read."
        )
    try:
        read = opened.select_columns([x, y]).with_format("numpy")[:]
        return np.asarray(read[x]), np.asarray(read[y])
    except Exception as fault:
        raise DataError(
            f"{folder}: expected arrays of one shape in {x!r} and {y!r}, found others "
            f"({one_line(fault)}); bring them into one form."
        ) from None
