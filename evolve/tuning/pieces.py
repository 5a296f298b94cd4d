"""Pieces: optimizers on tasks, tuned one by one or side by side, each written as it is done.

A piece that lies in the folder already, tuned in the same way, is not tuned again: what was
interrupted goes on where it stood.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evolve.config.errors import ConfigError
from evolve.environment import fingerprint
from evolve.scoring.optimizers import ONE
from evolve.scoring.references import ONE_KIND, file_name, suite_fingerprint
from evolve.scoring.suite import Suite, task_fields
from evolve.tuning.archive import archive_path, packed, write_archive
from evolve.tuning.effort import Effort
from evolve.tuning.processes import Heard, Named, TaskFacts, each_done
from evolve.tuning.reference import (
    found_with,
    kept,
    tune,
    which_program,
    write_reference,
)
from evolve.tuning.watching import Watching, unwatched
from proxy_tasks import Task


@dataclass(frozen=True)
class Piece:
    """One optimizer on one task, or one configuration of it on all tasks of a suite."""

    name: str
    tasks: tuple[Task, ...]
    suite: str = ""  # empty for one task
    text: str = ""  # of a program that is not known; `name` is what a reference file calls it

    @functools.cached_property
    def head(self) -> dict[str, Any]:
        """What a file says of the task or tasks; plain data."""
        if self.suite:
            kinds = [{"kind": t.kind, "fingerprint": t.fingerprint} for t in self.tasks]
            task = {"kind": ONE_KIND, "suite": self.suite, "tasks": kinds}
            return {"task": task, "fingerprint": suite_fingerprint(self.tasks)}
        (task,) = self.tasks
        told = {"kind": task.kind, "fields": task_fields(task)}
        return {"task": told, "fingerprint": task.fingerprint}

    @property
    def file(self) -> str:
        """The name of the file that holds what is found."""
        return file_name(self.head["task"]["kind"], self.head["fingerprint"])

    @property
    def title(self) -> str:
        """Name it for people."""
        return f"{self.suite or self.tasks[0].kind}: {self.name}"


@dataclass(frozen=True)
class Tuning:
    """The work on a piece, as plain data."""

    title: str
    tasks: tuple[TaskFacts, ...]
    optimizer: Named
    effort: Effort

    @classmethod
    def of(cls, piece: Piece, effort: Effort) -> Tuning:
        """Describe the work."""
        tasks = tuple(map(TaskFacts.of, piece.tasks))
        return cls(piece.title, tasks, Named(piece.name, piece.text), effort)

    @property
    def size(self) -> int:
        """Return how many trainings it takes."""
        return self.effort.trainings

    def do(self, heard: Heard) -> tuple[dict[str, Any], bytes]:
        """Tune; returns what a reference file says, and the archive. Raises `ConfigError`."""
        compiled = [task.compiled() for task in self.tasks]
        entry, raced = tune(compiled, self.optimizer.optimizer(), self.effort, heard)
        entry |= which_program(self.optimizer.text)
        return entry, packed(raced, self.effort.scramble)


def pieces_of(suites: Sequence[Suite], names: Sequence[str]) -> list[Piece]:
    """List the pieces of suites, no task twice."""
    tasks = {task.fingerprint: task for suite in suites for task in suite}
    single = [name for name in names if not name.endswith(ONE)]
    one = [name for name in names if name.endswith(ONE)]
    return [
        *(Piece(name, (task,)) for task in tasks.values() for name in single),
        *(Piece(name, suite.tasks, suite.name) for suite in suites for name in one),
    ]


def tune_pieces(
    pieces: Sequence[Piece],
    effort: Effort,
    into: Path,
    workers: int = 1,
    again: bool = False,
    say: Callable[[str], None] = lambda line: None,
    watching: Watching = unwatched,
    written: Callable[[Path], None] = lambda path: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Path]:
    """Tune what a folder does not hold yet, and write each as it is done.

    Returns the files that hold the pieces. again: tune what the folder holds, too. `say` hears of
    each piece; `written` of each file that is complete. Raises `ConfigError` at the end where a
    piece could not be tuned, `Interrupted` once `stop` says True.
    """
    open_pieces: list[Piece] = []
    failed: list[ConfigError] = []
    stored = {p: kept(into, p.head["task"]["kind"], p.head["fingerprint"]) for p in pieces}
    for piece in pieces:
        if again or not found_with(effort, stored[piece].get(piece.name), piece.text):
            open_pieces.append(piece)
        else:
            say(f"{piece.title}: is tuned already, in {into}")
    left = [piece.head["fingerprint"] for piece in open_pieces]

    machine = fingerprint()
    jobs = {Tuning.of(piece, effort): piece for piece in open_pieces}
    for job, done in each_done(list(jobs), workers, watching, "tuning", stop):
        piece = jobs[job]
        left.remove(piece.head["fingerprint"])
        if isinstance(done, ConfigError):
            say(str(done))
            failed.append(done)
            continue
        entry, archive = done
        content = piece.head | {"machine": machine, "optimizers": {piece.name: entry}}
        write_archive(archive_path(into / piece.file, piece.name), archive)
        path = write_reference(into, content)
        say(f"{piece.title}: {_said(entry)}")
        if piece.head["fingerprint"] not in left:
            written(path)
    if failed:
        raise failed[0]
    return list(dict.fromkeys(into / piece.file for piece in pieces))


def _said(entry: dict[str, Any]) -> str:
    """Say in a line what came out."""
    edges = [name for name, inside in entry["interior"].items() if not inside]
    losses = np.atleast_2d(entry["validation"])
    return (
        f"validation loss {', '.join(f'{mean:.4f}' for mean in losses.mean(1))} over "
        f"{losses.shape[1]} fresh seeds, {entry['spent']:,} trainings in {entry['seconds']:.0f} s"
        + (f"; at the edge: {', '.join(edges)}" if edges else "")
    )
