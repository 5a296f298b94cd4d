"""Listeners: they hear what happens in a run while it happens.

Printing is one listener, the file of the hall of fame another; a log, TensorBoard or a live view
are others that a user may bring: `evolve.run(..., listeners=[...])`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from evolve.files import replace_file
from evolve.record.folder import RunFolder
from evolve.record.patience import attempted
from evolve.record.stored import Famous
from evolve.running.drive import Clock
from evolve.running.facts import Plan, Result
from evolve.running.sentences import (
    best_line,
    ready_lines,
    replay_lines,
    search_lines,
    tally_line,
)
from evolve.scoring.job import WORST
from evolve.search.candidate import Committed
from evolve.search.search import Search
from primitives.canonical.liveness import prune

PROGRESS = 10.0  # seconds between progress lines
REWRITE = 2.0  # seconds between rewrites of the hall of fame


class Listener:
    """Hears what happens in a run. Override what you want to hear of; the rest does nothing.

    A listener is called in the process of the driver, between two candidates: what it takes time
    for, the run waits for. It changes nothing that it is given. What it raises ends the run, after
    everything that was committed is written, so that the run can be resumed; `Interrupted` ends it
    as Ctrl-C does.
    """

    def note(self, line: str) -> None:
        """Hear a sentence about the run: a warning, a full disk."""

    def started(self, plan: Plan, machine: dict[str, Any], seconds: float) -> None:
        """Hear that workers can score.

        machine: what the bits of their scores depend on; seconds: how long they took.
        """

    def replaying(self, first: int, last: int, sound: bool) -> None:
        """Hear which candidates of earlier lives are bred again.

        sound: whether the checkpoints fit the rows; else all are.
        """

    def committed(self, committed: Committed, search: Search, clock: Clock, replayed: bool) -> None:
        """Hear of a candidate that has its outcome.

        search: its state after that; replayed: whether an earlier life had recorded it.
        """

    def searched(self, search: Search, clock: Clock) -> None:
        """Hear that the budget of the search is spent."""

    def confirming(self) -> None:
        """Hear that the finalists are scored on fresh seeds.

        Not heard where a run that had finished is confirmed again.
        """

    def ended(self, result: Result) -> None:
        """Hear what was found. All files are written."""


class Listeners(Listener):
    """Several listeners as one: each event goes to them in their order."""

    def __init__(self, listeners: Iterable[Listener]):
        self.all = tuple(listeners)

    def note(self, line: str) -> None:
        for one in self.all:
            one.note(line)

    def started(self, plan: Plan, machine: dict[str, Any], seconds: float) -> None:
        for one in self.all:
            one.started(plan, machine, seconds)

    def replaying(self, first: int, last: int, sound: bool) -> None:
        for one in self.all:
            one.replaying(first, last, sound)

    def committed(self, committed: Committed, search: Search, clock: Clock, replayed: bool) -> None:
        for one in self.all:
            one.committed(committed, search, clock, replayed)

    def searched(self, search: Search, clock: Clock) -> None:
        for one in self.all:
            one.searched(search, clock)

    def confirming(self) -> None:
        for one in self.all:
            one.confirming()

    def ended(self, result: Result) -> None:
        for one in self.all:
            one.ended(result)


class Printer(Listener):
    """Says in lines for people how a run goes: each new best, and the tally every few seconds."""

    def __init__(self, say: Callable[[str], None]):
        self.say = say
        self.last_said = 0.0
        self.reference = ""  # what 0 is

    def _say_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.say(line)

    def note(self, line: str) -> None:
        self.say(line)

    def started(self, plan: Plan, machine: dict[str, Any], seconds: float) -> None:
        self.reference = plan.suite.reference_label
        self.last_said = time.monotonic()
        self._say_all(ready_lines(machine, seconds))

    def replaying(self, first: int, last: int, sound: bool) -> None:
        self._say_all(replay_lines(first, last, sound))

    def committed(self, committed: Committed, search: Search, clock: Clock, replayed: bool) -> None:
        if replayed:
            return
        if committed.best:
            self.say(f"{clock.elapsed:.0f} s: {best_line(search, self.reference)}")
        now = time.monotonic()
        if now - self.last_said > PROGRESS:
            self.last_said = now
            self.say(tally_line(search, clock.elapsed))

    def searched(self, search: Search, clock: Clock) -> None:
        self._say_all(search_lines(search, clock.elapsed))

    def confirming(self) -> None:
        self.say("confirming the best on fresh seeds and the test part")


class HallOfFameFile(Listener):
    """Keeps the file of the hall of fame in the run's folder up to date, within a few seconds."""

    def __init__(self, folder: RunFolder):
        self.folder = folder
        self.stale = False
        self.last_written = time.monotonic()

    def committed(self, committed: Committed, search: Search, clock: Clock, replayed: bool) -> None:
        self.stale = self.stale or committed.best
        if self.stale and time.monotonic() - self.last_written > REWRITE:
            self.last_written = time.monotonic()
            # On a full disk it stays stale: it can always be made again from the journal.
            self.stale = attempted(partial(self.write, search)) is not None

    def write(self, search: Search) -> None:
        """Write the hall of fame as it is now. Raises `OSError`."""
        entries = [
            Famous(
                candidate=e.number,
                score=e.score if e.score > WORST else None,
                program=str(prune(e.program)),
            ).model_dump()
            for e in search.hall_of_fame.distinct()
        ]
        replace_file(self.folder.hall_of_fame, json.dumps(entries, indent=1) + "\n")
