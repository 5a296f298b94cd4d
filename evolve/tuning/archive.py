"""Archives: all trials of a race, kept small enough for version control.

One gzipped file of JSON lines for each optimizer on a task, in the folder `trials` beside the
reference. Its first line says in which boxes the points lie, and each later line is a point: its
box, its number there, its log losses by seed, and those in the race of the finalists. The values
of a point are not written: they are those of its number in the box, which `points_of` gives again;
that makes a file three times smaller.
Nothing reads it but people and tests.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evolve.files import make_folder, replace_file
from evolve.tuning.racing import Raced, Trial, points_of
from primitives import Hyperparameter

DIGITS = 3  # of a log loss, after the point: a hundredth of what the luck of a seed is


def archive_path(reference: Path, name: str) -> Path:
    """Tell where the trials of an optimizer lie, beside the reference file of a task."""
    return reference.parent / "trials" / f"{reference.stem}-{name}.jsonl.gz"


def packed(raced: Raced, scramble: int) -> bytes:
    """Write all trials of a race in little space; the same race gives the same bytes."""
    boxes = [{h.name: [h.low, h.high, h.scale] for h in box} for box in raced.boxes]
    head = {"scramble": scramble, "boxes": boxes}
    rows = [[t.box, t.number, _short(t.losses), *[_short(t.final)] * bool(t.final)]
            for t in raced.trials]  # fmt: skip
    text = "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in (head, *rows))
    return gzip.compress(text.encode(), mtime=0)


def write_archive(path: Path, content: bytes) -> None:
    """Write the trials of an optimizer on a task. Raises `OSError`."""
    make_folder(path.parent, 0o755)
    replace_file(path, content)


def read_archive(path: Path) -> list[Trial]:
    """Read all trials of a race, with their values."""
    head, *rows = map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())
    boxes = [_box(box) for box in head["boxes"]]
    most = [max(row[1] for row in rows if row[0] == number) for number in range(len(boxes))]
    values = [
        points_of(box, most[number] + 1, head["scramble"], number)
        for number, box in enumerate(boxes)
    ]
    return [
        Trial(box, number, values[box][number], *map(_long, losses))
        for box, number, *losses in rows
    ]


def _box(said: dict[str, Any]) -> list[Hyperparameter]:
    return [
        replace(Hyperparameter(name, 0.0), low=low, high=high, scale=scale)
        for name, (low, high, scale) in said.items()
    ]


def _short(losses: Sequence[float]) -> list[float | None]:
    return [None if loss == float("inf") else round(loss, DIGITS) for loss in losses]


def _long(losses: Sequence[float | None]) -> list[float]:
    return [float("inf") if loss is None else loss for loss in losses]
