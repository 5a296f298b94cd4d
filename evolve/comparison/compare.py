"""A comparison: everybody is tuned alike, several times; the rest is trained and written down.

All that takes long lies in a folder, a file for each tuning and each cell, and is found there again
if it was made in the same way: what was interrupted goes on, and a contestant, a task or a seed
more costs what it adds. What is computed from them is in `compared.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Any

from evolve.comparison.cell import Cell
from evolve.comparison.compared import Compared
from evolve.comparison.contest import AS_IT_STANDS
from evolve.config.errors import ConfigError
from evolve.environment import differences, fingerprint
from evolve.files import make_folder, read_json, replace_file
from evolve.scoring.optimizers import ONE, Optimizer
from evolve.scoring.references import LOCAL, SHIPPED
from evolve.scoring.suite import Suite
from evolve.tuning.effort import Effort
from evolve.tuning.pieces import Piece, tune_pieces
from evolve.tuning.processes import Named, TaskFacts, each_done
from evolve.tuning.ranges import tunable
from evolve.tuning.reference import found_with, kept
from evolve.tuning.watching import Watching, unwatched
from primitives import Program
from proxy_tasks import Task

Say = Callable[[str], None]
FORMAT = 1  # of a cell's file


@dataclass(frozen=True)
class Entrant:
    """An optimizer that takes part. known: its name among the known ones, if it has one there."""

    name: str
    optimizer: Optimizer
    known: str = ""

    @property
    def plain(self) -> Named:
        """Describe it for other processes; without what people read, which changes nothing."""
        if self.known or not isinstance(self.optimizer, Program):
            return Named(self.known or self.name)
        return Named(self.name, str(replace(self.optimizer, doc="", name=self.name)))

    @property
    def ranges(self) -> bool:
        """Tell whether it says in which ranges it can be tuned."""
        return bool(tunable(self.optimizer))


@dataclass(frozen=True)
class Design:
    """How a comparison is made.

    trainings: budget of each tuning on each task. tunings: of everybody on each task, independent
    of each other. seeds: of the table. one: one configuration for all tasks. scramble: draws points
    and seeds; another number is an independent comparison.
    """

    trainings: int
    tunings: int
    seeds: int
    one: bool = False
    scramble: int = 0

    def efforts(self) -> list[Effort]:
        """List the independent tunings."""
        first = self.scramble * self.tunings
        return [Effort(self.trainings, first + number) for number in range(self.tunings)]


def compare(
    suite: Suite,
    entrants: Sequence[Entrant],
    design: Design,
    into: Path,
    workers: int = 1,
    say: Say = lambda line: None,
    watching: Watching = unwatched,
    stop: Callable[[], bool] = lambda: False,
) -> tuple[Compared, list[str]]:
    """Compare optimizers on a suite, the first being what 0 is.

    Returns what was found, and what has to be said of how. Raises `ConfigError` where a loss has no
    logarithm; `OSError` where the folder cannot be written; `Interrupted` once `stop` says True.
    """
    make_folder(into / "cells", 0o755)

    def tune(pieces: Sequence[Piece], effort: Effort) -> None:
        place = _place(into, effort)
        tune_pieces(pieces, effort, place, workers, False, say, watching, stop=stop)

    notes = _tuned(suite, entrants, design, into, tune, say)
    cells = {
        (entrant.name, task): _cell(entrant, task, suite, design, into)
        for task in suite
        for entrant in entrants
    }
    paths = {key: into / "cells" / _file(cell, key[1]) for key, cell in cells.items()}
    machine = fingerprint()
    missing = {cell: paths[key] for key, cell in cells.items() if _read(paths[key]) is None}
    for cell, facts in each_done(list(missing), workers, watching, "training", stop):
        if isinstance(facts, ConfigError):
            raise facts
        content = {"format": FORMAT, "cell": cell.title, "machine": machine, "facts": facts}
        replace_file(missing[cell], json.dumps(content) + "\n")

    stored = {key: _read(path) or {} for key, path in paths.items()}
    elsewhere = sorted(
        {key[0] for key, found in stored.items() if differences(found["machine"], machine)}
    )
    if elsewhere:
        notes.append(
            f"{', '.join(elsewhere)}: trained on another machine or by other software than this"
        )
    rows = tuple(
        tuple(stored[entrant.name, task]["facts"] for task in suite) for entrant in entrants
    )
    tunings = tuple(_said(entrant, design) for entrant in entrants)
    names = tuple(entrant.name for entrant in entrants)
    return Compared(names, tunings, tuple(suite.labels), rows), notes + _diverged(rows, suite)


def _tuned(
    suite: Suite,
    entrants: Sequence[Entrant],
    design: Design,
    into: Path,
    tune: Callable[[Sequence[Piece], Effort], None],
    say: Say,
) -> list[str]:
    """Tune everybody who can be tuned; returns what could not be done."""
    notes = [
        f"{entrant.name} declares no range to tune in, so it takes part as it stands: tuned, it "
        "may be better. `tunable(0.01, low=0.001, high=0.1)` in its text declares one"
        for entrant in entrants
        if not entrant.ranges
    ]
    for number, effort in enumerate(design.efforts()):
        pieces = [
            piece
            for entrant in entrants
            if entrant.ranges
            for piece in _pieces(entrant, suite, design)
            if _found(piece, effort, into) is None
        ]
        if pieces:
            say(f"tuning {number + 1} of {design.tunings}: {len(pieces)} pieces")
        try:
            tune(pieces, effort)
        except ConfigError as why:
            notes.append(f"{why}; there it takes part as it stands")
    return notes


def _pieces(entrant: Entrant, suite: Suite, design: Design) -> list[Piece]:
    text = entrant.plain.text
    if design.one:
        name = (entrant.known or entrant.name) + ONE * (not text)
        return [Piece(name, suite.tasks, suite.name, text)]
    return [Piece(entrant.known or entrant.name, (task,), "", text) for task in suite]


def _place(into: Path, effort: Effort) -> Path:
    return into / f"tuning-{effort.scramble}"


def _found(piece: Piece, effort: Effort, into: Path) -> dict[str, Any] | None:
    """Return what a tuning of this kind found, here or among the references."""
    shared = () if piece.text else (LOCAL, SHIPPED)
    for folder in (_place(into, effort), *shared):
        entry = kept(folder, piece.head["task"]["kind"], piece.head["fingerprint"]).get(piece.name)
        if found_with(effort, entry, piece.text):
            return entry
    return None


def _cell(entrant: Entrant, task: Task, suite: Suite, design: Design, into: Path) -> Cell:
    """Describe the work on one contestant and task, with the values that its tunings found."""
    pieces = _pieces(entrant, suite, design)
    piece = pieces[0] if design.one else pieces[suite.tasks.index(task)]
    found = [_found(piece, effort, into) for effort in design.efforts() if entrant.ranges]
    values = tuple(tuple(sorted(entry["values"].items())) for entry in found if entry)
    stands = (tuple(sorted(_as_it_stands(entrant, task, suite).items())),)
    title = f"{task.kind}: {entrant.name}"
    plain = TaskFacts.of(task), entrant.plain
    return Cell(title, *plain, values or stands, design.seeds, design.scramble)


def _as_it_stands(entrant: Entrant, task: Task, suite: Suite) -> dict[str, float]:
    """Return the values that an optimizer has on a task if nobody tunes it."""
    optimizer = entrant.optimizer
    if isinstance(optimizer, Program) and optimizer.uses == len(suite):
        return dict(optimizer.in_use(suite.tasks.index(task)).values)
    return dict(optimizer.values)


def _file(cell: Cell, task: Task) -> str:
    """Name the file of a cell by all that decides it."""
    words = json.dumps([FORMAT, task.fingerprint, astuple(replace(cell, title=""))])
    digest = hashlib.sha256(words.encode()).hexdigest()[:16]
    name = re.sub(r"\W", "_", cell.optimizer.name)[:40]
    return f"{task.kind}-{name}-{digest}.json"


def _read(path: Path) -> dict[str, Any] | None:
    """Read a cell; None where there is none, and where it is damaged: it is trained again."""
    try:
        stored = read_json(path)
        return stored if stored["format"] == FORMAT and stored["facts"]["losses"] else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _said(entrant: Entrant, design: Design) -> str:
    if not entrant.ranges:
        return AS_IT_STANDS
    of = "one configuration, " if design.one else ""
    return f"{of}the better of {design.tunings} tunings of {design.trainings:,} trainings"


def _diverged(rows: Sequence[Sequence[dict[str, Any]]], suite: Suite) -> list[str]:
    """Say on which tasks nobody ever came to the end."""
    dead = [
        label
        for number, label in enumerate(suite.labels)
        if all(x is None for row in rows for losses in row[number]["losses"] for x in losses)
    ]
    return [f"on {', '.join(dead)} everybody diverges: it says nothing, and counts as 0"] * bool(
        dead
    )
