"""MNIST, Fashion-MNIST and what else comes in their files: the IDX format, plain or as .gz.

Format  two bytes 0, a type (8: bytes), the number of axes, their lengths as four big-endian bytes
        each, then the bytes (Y. LeCun, C. Cortes, C. Burges, The MNIST database).
"""

import struct
from pathlib import Path

import numpy as np

from proxy_tasks.data.reading import DataError, Parts, folder_at, loader, missing, read_bytes
from proxy_tasks.data.rows import Rows, published

CLASSES = 10


@loader
def mnist(folder: Path, *, classes: int = CLASSES, seed: int = 0) -> Parts:
    """Read a folder with the four files of MNIST or Fashion-MNIST under their published names.

        train-images-idx3-ubyte   train-labels-idx1-ubyte   t10k-images-...   t10k-labels-...

    each plain or with .gz. The test part is as published; as many rows are cut from train for the
    validation part. classes: labels are below it (EMNIST's splits have others). seed: of the
    shuffle before the cut.

    Returns parts {"x": u8[row, 28, 28], "y": i32[row]}.
    Raises  `DataError`.
    """
    folder_at(folder)
    return published(folder, pair(folder, "train", classes), pair(folder, "t10k", classes), seed)


def pair(folder: Path, part: str, classes: int) -> Rows:
    """Read the images and labels of a part."""
    of_images = one_of(folder / f"{part}-images-idx3-ubyte")
    of_labels = one_of(folder / f"{part}-labels-idx1-ubyte")
    images, labels = idx(of_images, axes=3), idx(of_labels, axes=1)
    if len(images) != len(labels):
        raise DataError(
            f"{of_labels}: expected a label for each of the {len(images):,} images in "
            f"{of_images.name}, found {len(labels):,}; fetch both again."
        )
    return images, below(of_labels, labels, classes)


def below(where: Path, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return labels that are all below the number of classes; `DataError` for others."""
    if len(labels) and labels.max() >= classes:
        row = int(np.argmax(labels >= classes))
        raise DataError(
            f"{where}: expected labels from 0 to {classes - 1}, found {labels[row]} in row "
            f"{row + 1}; fetch it again."
        )
    return labels


def one_of(path: Path) -> Path:
    """Find a file that is plain or has .gz."""
    packed = path.with_name(f"{path.name}.gz")
    found = next((file for file in (path, packed) if file.exists()), None)
    if found is None:
        raise missing(path)
    return found


def idx(path: Path, axes: int) -> np.ndarray:
    """Read the bytes of an IDX file with so many axes."""
    raw = read_bytes(path)
    start = 4 + 4 * axes
    if raw[:4] != bytes([0, 0, 8, axes]) or len(raw) < start:
        raise DataError(
            f"{path}: expected an IDX file, which begins with 00 00 08 {axes:02x} and {axes} "
            f"lengths, found {raw[:4].hex(' ')} and {len(raw):,} bytes in all; fetch it again."
        )
    shape = struct.unpack(f">{axes}I", raw[4:start])
    expected = start + int(np.prod(shape, dtype=object))
    if len(raw) != expected:
        raise DataError(
            f"{path}: expected {expected:,} bytes for {' x '.join(map(str, shape))}, as it begins, "
            f"found {len(raw):,}; fetch it again."
        )
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)
