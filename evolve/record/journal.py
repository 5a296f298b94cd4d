"""The journal of a run: one row per candidate, in order, each with the next link of a hash chain.

The journal is the truth: population, caches and hall of fame are recomputed from
it. SQLite with one writer; what was committed survives a kill at any instant. Two
runs are the same when their chains end in the same hash.

The order is that of the candidates' numbers; or, in a run that is not repeatable,
that of their arrival, which a table of its own keeps. A disk has a write-ahead
log, which lets others read while we write; it needs memory that processes share,
which a network file system does not give: there the older rollback journal is kept,
and a reader and the writer wait for each other.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import itertools
import json
import os
import sqlite3
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, TextIO

from evolve.config.errors import MAX_MESSAGE
from evolve.config.schema import completed
from evolve.record.disk import file_system, is_network, takes_no_more
from evolve.record.untrusted import distrust, leads_out
from evolve.scoring.job import Outcome
from evolve.scoring.wire import canonical, decode_outcome
from primitives.errors import printable

FORMAT = 2  # of what is written here; 1, the one before, knew one order
STOPPED, FINISHED = "stopped", "finished"  # the meta fact "status"
ROWS = 256  # rows and ...
SECONDS = 0.2  # ... seconds that are committed together
BUSY = 60.0  # seconds to wait for somebody who reads, or writes

_TABLES = """
CREATE TABLE IF NOT EXISTS candidate (
    number INTEGER PRIMARY KEY,
    phase INTEGER NOT NULL,
    parent INTEGER,
    mutation TEXT NOT NULL,
    program TEXT NOT NULL,
    key TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT NOT NULL,
    same_as INTEGER,
    outcome TEXT,
    score REAL,
    seconds REAL NOT NULL,
    detail TEXT NOT NULL,
    chain BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS arrival (position INTEGER PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS checkpoint (
    number INTEGER PRIMARY KEY,
    since INTEGER NOT NULL,
    records BLOB NOT NULL,
    state TEXT NOT NULL,
    seal BLOB NOT NULL
);
"""


class Journal:
    """An open journal. Not for use by two processes at once; `Lock` sees to that."""

    tables = _TABLES

    def __init__(self, path: Path, *, read_only: bool = False, repeatable: bool = True):
        """repeatable: whether a new journal keeps its rows by number, not by arrival; one that is
        there knows it.

        An older format is read as it is, and brought to ours by the first thing that is written.
        Raises `JournalError`.
        """
        self.path = path
        if leads_out(path):
            raise JournalError(
                f"{path}-journal: names another file, which SQLite would delete. Do not trust "
                f"this run."
            )
        self.network = is_network(file_system(path.parent))
        try:
            with contextlib.ExitStack() as opened:
                if not read_only:
                    _read_through(path)
                self._open("ro" if read_only else "rwc")
                opened.callback(self.close)  # unless all of what follows is done
                if read_only:
                    self._take_back()
                    self._distrust()
                    if self.db.execute("SELECT 1 FROM sqlite_schema").fetchone() is None:
                        raise NothingYet(
                            f"{path}: nothing was recorded before the run ended. Start another one."
                        )
                else:
                    self._prepare(repeatable)
                self.format = self._format()
                self.repeatable = self.get("repeatable", True)
                opened.pop_all()
        except sqlite3.Error as fault:
            if _is_full(path, fault):
                raise DiskFull(path, fault) from None
            raise JournalError(f"{path}: cannot be opened as a journal: {fault}") from None
        # Where rows lie in their order, and what numbers their places.
        self.ordered = (
            "candidate" if self.repeatable else "arrival CROSS JOIN candidate USING (number)"
        )
        self.place = "number" if self.repeatable else "position"

    def _open(self, mode: str) -> None:
        name = f"file:{_quoted(self.path)}?mode={mode}"
        self.db = sqlite3.connect(name, uri=True, isolation_level=None, timeout=BUSY)

    def _take_back(self) -> None:
        """Undo half a commit that a kill left in a rollback journal.

        One who reads needs it, and may not do it.
        """
        try:
            self.db.execute("SELECT COUNT(*) FROM sqlite_schema")
        except sqlite3.OperationalError as fault:
            if fault.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
            self.db.close()
            self._open("rw")  # with which SQLite does it

    def _prepare(self, repeatable: bool) -> None:
        pragmas: dict[str, Any] = {"journal_mode=WAL": "wal", "synchronous=FULL": 2}
        if self.network:
            # The log of a run that began on a disk cannot be shared here: before the first look it
            # is ours alone.
            self.db.execute("PRAGMA locking_mode=EXCLUSIVE")
            pragmas = {
                "journal_mode=DELETE": "delete",
                "locking_mode=NORMAL": "normal",
                "synchronous=EXTRA": 3,
            }
        self._distrust()
        self._format()
        for pragma, want in pragmas.items():
            self.db.execute(f"PRAGMA {pragma}")
            (got,) = self.db.execute(f"PRAGMA {pragma.split('=')[0]}").fetchone()
            if got != want:
                raise JournalError(
                    f"{self.path}: this file system does not give {pragma} (got {got}); use a "
                    f"local disk"
                )
        (sound,) = self.db.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise JournalError(f"{self.path}: damaged: {sound}")
        tables = self.tables
        if self.db.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            facts = (
                f"INSERT INTO meta VALUES ('repeatable', '{canonical(repeatable)}'); "
                f"PRAGMA user_version = {FORMAT};"
            )
            tables = f"BEGIN IMMEDIATE; {tables} {facts} COMMIT;"
        self.db.executescript(tables)

    def _distrust(self) -> None:
        if odd := distrust(self.db, self.tables):
            raise JournalError(f"{self.path}: {odd}. Do not trust this run.")

    def _format(self) -> int:
        (said,) = self.db.execute("PRAGMA user_version").fetchone()
        if said > FORMAT:
            raise JournalError(
                f"{self.path}: a newer Pride wrote this (format {said}; this one knows "
                f"{FORMAT}). Update Pride."
            )
        return said or 1  # the first format did not say it

    def rows(self, since: int = 0) -> Iterator[Row]:
        """All rows in order, the chain checked link by link. since: a place in the order."""
        previous = self.link_before(since)
        columns = ", ".join((self.place, *_COLUMNS))
        found = self._ask(
            f"SELECT {columns} FROM {self.ordered} WHERE {self.place} >= ? ORDER BY {self.place}",
            since,
        )
        for expected in itertools.count(since):
            where = "" if self.repeatable else " in the order of arrival"
            damaged = f"{self.path}: row {expected}{where} is damaged: "
            try:
                values = next(found, None)
            except sqlite3.Error as fault:
                raise JournalError(f"{damaged}{fault}") from None
            if values is None:
                return
            place, *values = values
            row = Row(*values)
            if place != expected or not row.follows(previous):
                raise JournalError(f"{damaged}its hash does not follow from the one before")
            previous = row.chain
            yield row

    def link_before(self, place: int) -> bytes:
        found = self._ask(
            f"SELECT chain FROM {self.ordered} WHERE {self.place} = ?", place - 1
        ).fetchone()
        link = found[0] if found else bytes(32)
        if not isinstance(link, bytes):
            raise JournalError(f"{self.path}: row {place - 1} is damaged: its hash is none")
        return link

    def count(self) -> int:
        last = self._ask(
            f"SELECT {self.place} FROM {self.ordered} ORDER BY {self.place} DESC LIMIT 1"
        ).fetchone()
        return last[0] + 1 if last else 0

    def numbers(self, since: int, until: int) -> Sequence[int]:
        """The candidates at these places in the order."""
        if self.repeatable:
            return range(since, until)
        query = "SELECT number FROM arrival WHERE position >= ? AND position < ? ORDER BY position"
        return array("q", (number for (number,) in self._ask(query, since, until)))

    def row(self, number: int) -> Row:
        """One row, its place in the chain unchecked."""
        return Row(
            *self._ask(
                f"SELECT {', '.join(_COLUMNS)} FROM candidate WHERE number = ?", number
            ).fetchone()
        )

    def checkpoints(self, until: int) -> Iterator[Checkpoint]:
        """Those after at most so many candidates, in order; whether they fit the rows, `fits`
        says.
        """
        found = self._ask(
            "SELECT number, since, records, state, seal FROM checkpoint WHERE number <= ? ORDER "
            "BY number",
            until,
        )
        return itertools.starmap(Checkpoint, found)

    def fits(self, until: int) -> bool:
        """Whether the checkpoints after at most so many candidates, and the rows before them, are
        what was written.

        False where the rows are sound and a checkpoint is not. Raises `JournalError` that names a
        damaged row.
        """
        query = (
            f"SELECT {', '.join(_DECIDED)}, chain FROM {self.ordered} "
            f"WHERE {self.place} >= ? AND {self.place} < ? ORDER BY {self.place}"
        )
        seal = NO_SEAL
        try:
            for point in self.checkpoints(until):
                made = Seal(seal)
                for row in self._ask(query, point.since, point.number):
                    made.add(row)
                if made.close(point.records, point.state) != point.seal:
                    break
                seal = point.seal
            else:
                return True
        except (
            sqlite3.Error,
            TypeError,
            ValueError,
            AttributeError,
        ):  # not even text where text was
            pass
        for _ in self.rows():  # the chain knows which row it is
            pass
        return False

    def _ask(self, query: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self.db.execute(query, values)
        except (
            sqlite3.Error,
            OverflowError,
        ) as fault:  # a last row with the largest of all numbers
            raise JournalError(f"{self.path}: cannot be read: {fault}") from None

    def get(self, name: str, default: Any = None) -> Any:
        try:
            found = self._ask("SELECT value FROM meta WHERE name = ?", name).fetchone()
            value = json.loads(_text(found[0])) if found else default
            if name == "decisive" and found:
                value = completed(value)
        except (sqlite3.Error, ValueError, TypeError, KeyError, RecursionError) as fault:
            raise JournalError(f"{self.path}: the fact {name!r} is damaged: {fault}") from None
        return value

    def put(self, rows: list[Row], checkpoint: Checkpoint | None = None, **meta: Any) -> None:
        """Commit rows, a checkpoint after them and facts together. On return they survive a kill.

        Raises `JournalError`, nothing then written; `DiskFull` where it can be tried again.
        """
        marks = ", ".join("?" * len(_COLUMNS))
        try:
            self.db.execute("BEGIN IMMEDIATE")
            if self.format < FORMAT:
                meta = {"decisive": self.get("decisive"), "repeatable": True} | meta
                self.db.execute(f"PRAGMA user_version = {FORMAT}")
            if not self.repeatable:
                places = enumerate((row.number for row in rows), self.count())
                self.db.executemany("INSERT INTO arrival (position, number) VALUES (?, ?)", places)
            self.db.executemany(
                f"INSERT INTO candidate ({', '.join(_COLUMNS)}) VALUES ({marks})",
                map(_values, rows),
            )
            if checkpoint is not None:
                self.db.execute(
                    "DELETE FROM checkpoint WHERE number > ?", (checkpoint.since,)
                )  # of a life before
                self.db.execute(
                    "INSERT INTO checkpoint (number, since, records, state, seal) VALUES (?, ?, "
                    "?, ?, ?)",
                    astuple(checkpoint),
                )
            self.db.executemany(
                "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)",
                [(name, canonical(value)) for name, value in meta.items()],
            )
            self.db.execute("COMMIT")
            self.format = FORMAT
        except sqlite3.Error as fault:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            if _is_full(self.path, fault):
                raise DiskFull(self.path, fault) from None
            raise JournalError(
                f"{self.path}: cannot be written: {fault}. What was recorded before is intact; "
                "see to the disk, then resume."
            ) from None

    def close(self) -> None:
        self.db.close()


def _is_full(path: Path, fault: sqlite3.Error) -> bool:
    """Whether there is no room.

    SQLite says so for the plainest case only; in others it is a disk I/O error.
    """
    code = getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_OK)
    unclear = code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
    return code == sqlite3.SQLITE_FULL or (unclear and takes_no_more(path))


def _read_through(path: Path) -> None:
    """Bring a file into memory, as far as it fits: SQLite, page by page, takes four times as long.

    To be done before SQLite opens it: closing a file gives up all locks that the process holds on
    it.
    """
    if path.is_file():
        piece = bytearray(1 << 20)
        with path.open("rb", buffering=0) as file, contextlib.suppress(OSError):  # no more data
            while True:
                file.seek(
                    file.tell(), os.SEEK_DATA
                )  # a hole of a terabyte takes no room, and no time
                file.readinto(piece)


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


