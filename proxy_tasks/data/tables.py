"""Tables of numbers that users bring as CSV."""

import csv as standard
import io
from pathlib import Path

import numpy as np

from proxy_tasks.data.reading import DataError, Parts, loader, read_bytes
from proxy_tasks.data.rows import split
from proxy_tasks.kit.parts import PARTS, frozen
from proxy_tasks.sentences import listed, nearest

SHOWN = 12  # columns that a message names


@loader
def csv(
    path: Path, *, target: str, classes: bool = False, delimiter: str = ",", seed: int = 0
) -> Parts:
    """Read a CSV file, plain or as .gz, whose first line names the columns.

    target: the column to predict; all others are inputs, and must be numbers. classes: the target
    is a class, whatever is written there; classes are numbered in the order of their sorted names.
    The rows are cut into 60, 20 and 20 % after one shuffle with `seed`. Inputs, and a target that
    is no class, are in standard deviations from the mean of the train part; a column that is
    constant there is 0.

    Returns parts {"x": f32[row, column], "y": i32[row] labels or f32[row]}.
    Raises  `DataError`, with row (the line that names the columns is row 1) and column.
    """
    names, table = cells(path, delimiter)
    if not names:
        raise DataError(f"{path}: expected a line that names the columns, found empty lines.")
    if target not in names:
        shown = listed(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        raise DataError(
            f"{path}: expected a column {target!r}{nearest(target, names)}, found {shown}; say "
            "with target= which column to predict, and with delimiter= what is between them."
        )
    if len(names) < 2:
        raise DataError(f"{path}: expected a column of inputs beside {target!r}, found none.")
    at = names.index(target)
    inputs = [column for column in range(len(names)) if column != at]
    x = np.array([numbers(path, names, table, column) for column in inputs]).T.reshape(
        -1, len(inputs)
    )
    if not classes:
        parts = split(path, (x, np.array(numbers(path, names, table, at))), seed)
        return standardised(parts, "x", "y")
    written = [row[at].strip() for row in table]
    if "" in written:
        raise DataError(
            f"{place(path, written.index(''), target)}: expected a class, found nothing."
        )
    kinds = sorted(set(written))
    number = {kind: n for n, kind in enumerate(kinds)}
    return standardised(split(path, (x, np.array([number[w] for w in written], int)), seed), "x")


def cells(path: Path, delimiter: str) -> tuple[list[str], list[list[str]]]:
    """Read the names of the columns, and the rows below them as text."""
    try:
        text = read_bytes(path).decode("utf-8-sig")
        lines = standard.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        names, *table = [line for line in lines if line] or [[]]
    except UnicodeDecodeError as fault:
        raise DataError(
            f"{path}: expected text in UTF-8, found the byte {fault.object[fault.start]:02x} at "
            f"{fault.start}; save it as CSV in UTF-8."
        ) from None
    except standard.Error as fault:
        raise DataError(f"{path}: expected CSV, found a line that is none ({fault}).") from None
    names = [name.strip() for name in names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: expected a name for each column, found {twice[0]!r} twice.")
    for row, line in enumerate(table):
        if len(line) != len(names):
            raise DataError(
                f"{path}, row {row + 2}: expected {len(names)} cells, as many as the first line "
                f"names, found {len(line)}."
            )
    return names, table


def numbers(path: Path, names: list[str], table: list[list[str]], column: int) -> list[float]:
    """Return a column as finite numbers; `DataError` for the first cell that is none."""
    found = []
    for row, line in enumerate(table):
        try:
            found.append(float(line[column]))
        except ValueError:
            found.append(float("nan"))
        if not np.isfinite(found[-1]):
            raise DataError(
                f"{place(path, row, names[column])}: expected a finite number, found "
                f"{line[column][:40]!r}; mend or drop it."
            )
    return found


def place(path: Path, row: int, column: str) -> str:
    """Say where a cell is, as a spreadsheet counts."""
    return f"{path}, row {row + 2}, column {column!r}"


def standardised(parts: Parts, *names: str) -> Parts:
    """Give arrays of the parts in standard deviations from the mean, both of the train part."""
    new = {part: dict(parts[part]) for part in PARTS}
    for name in names:
        train = np.asarray(parts["train"][name], np.float64)
        mean, deviation = train.mean(axis=0), train.std(axis=0)
        # What is constant can differ by a rounding of its mean.
        scale = np.where(deviation > 1e-6 * np.abs(mean), deviation, np.inf)
        for part in PARTS:
            new[part][name] = frozen((parts[part][name] - mean) / scale, np.float32)
    return new
