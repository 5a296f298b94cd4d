"""Arrays that users bring as `.npz`, the archive of NumPy."""

import io
from pathlib import Path

import numpy as np

from proxy_tasks.data.reading import DataError, Parts, loader, read_bytes
from proxy_tasks.data.rows import Rows, published, split, three
from proxy_tasks.sentences import listed


@loader
def npz(path: Path, *, x: str = "x", y: str = "y", seed: int = 0) -> Parts:
    """Read inputs and targets from a `.npz` file, and nothing that would have to be unpickled.

    x, y: names of its arrays. Where there are `x_train` and `x_test` (and `y_...`) instead, the
    test part is as published, and the validation part is cut from train unless there is an
    `x_validation`. seed: of the shuffle before a cut.

    Returns parts {"x": f32[row, ...] or u8[row, ...], "y": i32[row] labels or f32[row]}.
    Raises  `DataError`.
    """
    found = arrays(path)

    def rows(ending: str = "") -> Rows:
        return found[x + ending], found[y + ending]

    if x in found and y in found:
        return split(path, rows(), seed)
    if lacking := [n + e for e in ("_train", "_test") for n in (x, y) if n + e not in found]:
        raise DataError(
            f"{path}: expected arrays {x} and {y}, or {x}_train, {y}_train, {x}_test and {y}_test, "
            f"found {listed(sorted(found)) if found else 'none'}; say with x= and y= what they are "
            "called." if len(lacking) == 4 else
            f"{path}: expected an array {lacking[0]} beside the others, found "
            f"{listed(sorted(found))}; add it."
        )  # fmt: skip
    if x + "_validation" in found and y + "_validation" in found:
        return three(path, rows("_train"), rows("_validation"), rows("_test"))
    return published(path, rows("_train"), rows("_test"), seed)


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Read every array of a `.npz` file by its name."""
    raw = io.BytesIO(read_bytes(path))
    try:
        with np.load(raw, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except Exception as fault:  # numpy and zipfile raise many kinds for damaged bytes
        raise DataError(
            f"{path}: expected a .npz archive of arrays of numbers, found what numpy.load refuses "
            f"({one_line(fault)}); write it with numpy.savez and plain arrays."
        ) from None


def one_line(fault: Exception) -> str:
    """Return the beginning of what an exception says."""
    return (str(fault).strip() or type(fault).__name__).splitlines()[0][:120].rstrip(".")
