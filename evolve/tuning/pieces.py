"""Pieces: optimizers on tasks, tuned one by one or side by side, each written as it is done.

A piece that lies in the folder already, tuned in the same way, is not tuned again: what was
interrupted goes on where it stood.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evolve.config.errors import ConfigError
from evolve.environment import fingerprint
from evolve.plugins import load_sources, to_send
from evolve.scoring.optimizers import ONE
from evolve.scoring.references import ONE_KIND, file_name, suite_fingerprint
from evolve.scoring.suite import Suite, task_fields
from evolve.scoring.trial import Trials
from evolve.tuning.archive import archive_path, packed, write_archive
from evolve.tuning.effort import Effort
from evolve.tuning.reference import found_with, kept, tune, write_reference
from evolve.tuning.watching import Watching, unwatched
from evolve.workers.serve import die_with
from proxy_tasks import Task, make_task

HELD = 32  # tasks whose compiled loops a process keeps: as many as a suite has


@dataclass(frozen=True)
class Piece:
    """One optimizer on one task, or one configuration of it on all tasks of a suite."""

    name: str
    tasks: tuple[Task, ...]
    suite: str = ""  # empty for one task

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
) -> list[Path]:
    """Tune what a folder does not hold yet, and write each as it is done.

    Returns the files that hold the pieces. again: tune what the folder holds, too. `say` hears of
    each piece; `written` of each file that is complete. Raises `ConfigError` at the end where a
    piece could not be tuned.
    """
    open_pieces: list[Piece] = []
    failed: list[ConfigError] = []
    stored = {p: kept(into, p.head["task"]["kind"], p.head["fingerprint"]) for p in pieces}
    for piece in pieces:
        if again or not found_with(effort, stored[piece].get(piece.name)):
            open_pieces.append(piece)
        else:
            say(f"{piece.title}: is tuned already, in {into}")
    left = [piece.head["fingerprint"] for piece in open_pieces]

    machine = fingerprint()
    for piece, done in _done(open_pieces, effort, workers, watching):
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


Done = tuple[dict[str, Any], bytes]  # what a reference file says, and the archive


def _done(
    pieces: Sequence[Piece], effort: Effort, workers: int, watching: Watching
) -> Iterator[tuple[Piece, Done | ConfigError]]:
    """Yield each piece as it is done, with what came out or why nothing did."""
    if min(workers, len(pieces)) <= 1:
        for piece in pieces:
            with watching(f"tuning {piece.title}", effort.trainings) as heard:
                try:
                    yield piece, _tuned(piece.tasks, piece.name, effort, heard)
                except ConfigError as why:
                    yield piece, why
        return

    context = multiprocessing.get_context("spawn")  # jax has threads, which a fork would lose
    with (
        ProcessPoolExecutor(workers, context, _begin, (os.getpid(), to_send())) as pool,
        watching(f"tuning in {workers} processes", len(pieces)) as heard,
    ):
        at = {pool.submit(_elsewhere, _plain(p), p.name, effort): p for p in pieces}
        count = 0
        try:
            while at:
                ready, _ = wait(at, return_when=FIRST_COMPLETED)
                for future in ready:
                    count += 1
                    heard(count)
                    piece, why = at.pop(future), future.exception()
                    if why is not None and not isinstance(why, ConfigError):
                        raise why
                    yield piece, why or future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _tuned(
    tasks: Sequence[Task], name: str, effort: Effort, heard: Callable[[int], object]
) -> Done:
    compiled = [_compiled(task) for task in tasks]
    entry, raced = tune(compiled, name, effort, heard)
    return entry, packed(raced, effort.scramble)


@functools.lru_cache(HELD)
def _compiled(task: Task) -> Trials:
    """Hold the compiled loops of a task: the next piece is often on the same."""
    return Trials(task)


def _plain(piece: Piece) -> tuple[tuple[str, tuple[tuple[str, Any], ...]], ...]:
    """Describe the tasks of a piece for another process."""
    return tuple((task.kind, tuple(task_fields(task).items())) for task in piece.tasks)


def _begin(driver: int, plugins: list[dict[str, Any]]) -> None:
    """Begin a process that tunes: it ends with the one that started it, and when asked to."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with(driver)
    load_sources(plugins)


def _elsewhere(
    tasks: tuple[tuple[str, tuple[tuple[str, Any], ...]], ...], name: str, effort: Effort
) -> Done:
    """Tune a piece in a process that was started for it."""
    made = tuple(make_task(kind, **dict(fields)) for kind, fields in tasks)
    return _tuned(made, name, effort, lambda count: None)


def _said(entry: dict[str, Any]) -> str:
    """Say in a line what came out."""
    edges = [name for name, inside in entry["interior"].items() if not inside]
    losses = np.atleast_2d(entry["validation"])
    return (
        f"validation loss {', '.join(f'{mean:.4f}' for mean in losses.mean(1))} over "
        f"{losses.shape[1]} fresh seeds, {entry['spent']:,} trainings in {entry['seconds']:.0f} s"
        + (f"; at the edge: {', '.join(edges)}" if edges else "")
    )
