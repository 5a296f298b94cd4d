"""CIFAR-10 and CIFAR-100 in their binary version (A. Krizhevsky 2009).

Format  rows of labels, a byte each, and 3,072 bytes of an image: all red, then all green, then all
        blue, line by line. Nothing says how many rows a file has, so what is cut off after a whole
        row is not noticed here; the fingerprint of a task is another then.
"""

from pathlib import Path

import numpy as np

from proxy_tasks.data.idx import below
from proxy_tasks.data.reading import DataError, Parts, folder_at, loader, read_bytes
from proxy_tasks.data.rows import Rows, published

PIXELS = (3, 32, 32)


@loader
def cifar10(folder: Path, *, seed: int = 0) -> Parts:
    """Read data_batch_1.bin to data_batch_5.bin and test_batch.bin in a folder.

    The test part is as published; as many rows are cut from train for the validation part. seed: of
    the shuffle before the cut.

    Returns parts {"x": u8[row, 32, 32, 3], "y": i32[row]}.
    Raises  `DataError`.
    """
    refuse_pickles(folder, "data_batch_1", "cifar-10-binary.tar.gz")
    batches = [rows(folder / f"data_batch_{n}.bin", (10,), 0) for n in range(1, 6)]
    images, labels = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
    return published(folder, (images, labels), rows(folder / "test_batch.bin", (10,), 0), seed)


@loader
def cifar100(folder: Path, *, coarse: bool = False, seed: int = 0) -> Parts:
    """Read train.bin and test.bin in a folder.

    coarse: its 20 superclasses as labels, instead of its 100 classes. Else as `cifar10`.
    """
    refuse_pickles(folder, "train", "cifar-100-binary.tar.gz")
    train, test = (
        rows(folder / f"{part}.bin", (20, 100), 0 if coarse else 1) for part in ("train", "test")
    )
    return published(folder, train, test, seed)


def refuse_pickles(folder: Path, name: str, binary: str) -> None:
    """Refuse the Python version: pickles, which are code as much as data."""
    if not (folder_at(folder) / f"{name}.bin").exists() and (folder / name).exists():
        raise DataError(
            f"{folder / name}: expected the binary version, {name}.bin, found the Python version, "
            f"which is pickled and could execute anything when read; fetch {binary} instead."
        )


def rows(path: Path, classes: tuple[int, ...], which: int) -> Rows:
    """Read the images of a file and one of their labels."""
    raw = read_bytes(path)
    width = len(classes) + int(np.prod(PIXELS))
    if len(raw) % width:
        raise DataError(
            f"{path}: expected whole rows of {width:,} bytes, found {len(raw):,} bytes, which is "
            f"{len(raw) % width:,} too many; fetch it again."
        )
    table = np.frombuffer(raw, np.uint8).reshape(-1, width)
    for column, count in enumerate(classes):
        below(path, table[:, column], count)
    images = table[:, len(classes) :].reshape(-1, *PIXELS).transpose(0, 2, 3, 1)
    return images, table[:, which]
