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
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, TextIO

from evolve.job import Outcome
from evolve.wire import canonical, decode_outcome

FORMAT = 2  # of what is written here; 1, the one before, knew one order
STOPPED, FINISHED = "stopped", "finished"  # the meta fact "status"
ROWS = 256  # rows and ...
SECONDS = 0.2  # ... seconds that are committed together
BUSY = 60.0  # seconds to wait for somebody who reads, or writes

_SCHEMA = """
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


class JournalError(RuntimeError):
    """The record cannot be read or written: what, where, what to do."""


class DiskFull(JournalError):
    """There is no room. Nothing was written, and it can be tried again."""


@dataclass(frozen=True)
class Row:
    """A candidate as it is recorded. `outcome` is the JSON of `wire.encode_outcome`, for those that were scored."""

    number: int
    phase: int
    parent: int | None
    mutation: str
    program: str
    key: str
    status: str
    reason: str
    same_as: int | None
    outcome: str | None
    score: float  # for queries only; the bits are in `outcome`
    seconds: float
    detail: str
    chain: bytes

    def decided(self) -> str:
        """What the chain is about: everything but the seconds and words for people."""
        return canonical(_decided(self))

    def sealed(self) -> tuple[Any, ...]:
        """What the seal of a checkpoint is about."""
        return (*_decided(self), self.chain)

    def linked(self, previous: bytes) -> bytes:
        return hashlib.sha256(previous + self.decided().encode()).digest()

    def follows(self, previous: bytes) -> bool:
        try:
            return self.linked(previous) == self.chain
        except TypeError:  # bytes where text was
            return False

    def restored(self) -> Outcome | None:
        """The outcome, where a worker was asked for it."""
        return None if self.outcome is None else decode_outcome(json.loads(self.outcome), self.seconds, self.detail)


_COLUMNS = tuple(Row.__dataclass_fields__)
_DECIDED = ("number", "phase", "parent", "mutation", "program", "key", "status", "reason", "same_as", "outcome")
_TEXT = "\0".join(["%s"] * len(_DECIDED))
_values, _decided = attrgetter(*_COLUMNS), attrgetter(*_DECIDED)


@dataclass(frozen=True)
class Checkpoint:
    """What the search knew after its first `number` candidates; `evolve.checkpoint` makes and reads it."""

    number: int
    since: int  # number of the checkpoint before; 0 for the first
    records: bytes  # of the candidates since then
    state: str  # JSON
    seal: bytes


# Before the first one. Another number for other contents: checkpoints of older software then fit no rows, and all
# candidates are bred again.
NO_SEAL = hashlib.sha256(b"checkpoints 1").digest()


class Seal:
    """The hash of a checkpoint: over the seal before, the rows since then, and the checkpoint itself.

    Like the chain it says that nothing was changed since it was written, at a third of the time: no JSON is made.
    """

    def __init__(self, before: bytes):
        self.hash = hashlib.sha256(before)

    def add(self, row: tuple[Any, ...]) -> None:
        """row: what was decided, and the link."""
        self.hash.update((_TEXT % row[:-1]).encode())
        self.hash.update(row[-1])

    def close(self, records: bytes, state: str) -> bytes:
        self.hash.update(records)
        self.hash.update(state.encode())
        return self.hash.digest()


class Journal:
    """An open journal. Not for use by two processes at once; `Lock` sees to that."""

    def __init__(self, path: Path, *, read_only: bool = False):
        self.path = path
        try:
            if read_only:
                self.db = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, isolation_level=None)
            else:
                _read_through(path)
                self.db = sqlite3.connect(path, isolation_level=None)
                self._prepare()
            self.db.execute("SELECT COUNT(*) FROM meta").fetchone()
        except sqlite3.Error as fault:
            raise JournalError(f"{path}: cannot be opened as a journal: {fault}") from None

    def _prepare(self) -> None:
        for pragma, want in (("journal_mode=WAL", "wal"), ("synchronous=FULL", 2)):
            self.db.execute(f"PRAGMA {pragma}")
            (got,) = self.db.execute(f"PRAGMA {pragma.split('=')[0]}").fetchone()
            if got != want:
                raise JournalError(
                    f"{self.path}: this file system does not give {pragma} (got {got}); use a local disk"
                )
        (sound,) = self.db.execute("PRAGMA quick_check(1)").fetchone()
        if sound != "ok":
            raise JournalError(f"{self.path}: damaged: {sound}")
        self.db.executescript(_SCHEMA)

    def rows(self, since: int = 0) -> Iterator[Row]:
        """All rows in order, the chain checked link by link."""
        previous = self.link_before(since)
        found = self._ask(f"SELECT {', '.join(_COLUMNS)} FROM candidate WHERE number >= ? ORDER BY number", since)
        for expected in itertools.count(since):
            damaged = f"{self.path}: row {expected} is damaged: "
            try:
                values = next(found, None)
            except sqlite3.Error as fault:
                raise JournalError(f"{damaged}{fault}") from None
            if values is None:
                return
            row = Row(*values)
            if row.number != expected or not row.follows(previous):
                raise JournalError(f"{damaged}its hash does not follow from the one before")
            previous = row.chain
            yield row

    def link_before(self, number: int) -> bytes:
        found = self._ask("SELECT chain FROM candidate WHERE number = ?", number - 1).fetchone()
        return found[0] if found else bytes(32)

    def count(self) -> int:
        (last,) = self._ask("SELECT MAX(number) FROM candidate").fetchone()
        return 0 if last is None else last + 1

    def row(self, number: int) -> Row:
        """One row, its place in the chain unchecked."""
        return Row(*self._ask(f"SELECT {', '.join(_COLUMNS)} FROM candidate WHERE number = ?", number).fetchone())

    def checkpoints(self, until: int) -> Iterator[Checkpoint]:
        """Those after at most so many candidates, in order; whether they fit the rows, `fits` says."""
        found = self._ask(
            "SELECT number, since, records, state, seal FROM checkpoint WHERE number <= ? ORDER BY number", until
        )
        return itertools.starmap(Checkpoint, found)

    def fits(self, until: int) -> bool:
        """Whether the checkpoints after at most so many candidates, and the rows before them, are what was written.

        False where the rows are sound and a checkpoint is not. Raises `JournalError` that names a damaged row.
        """
        query = f"SELECT {', '.join(_DECIDED)}, chain FROM candidate WHERE number >= ? AND number < ? ORDER BY number"
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
        except (sqlite3.Error, TypeError, AttributeError):  # not even text where text was
            pass
        for _ in self.rows():  # the chain knows which row it is
            pass
        return False

    def _ask(self, query: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self.db.execute(query, values)
        except sqlite3.Error as fault:
            raise JournalError(f"{self.path}: cannot be read: {fault}") from None

    def get(self, name: str, default: Any = None) -> Any:
        found = self._ask("SELECT value FROM meta WHERE name = ?", name).fetchone()
        return json.loads(found[0]) if found else default

    def put(self, rows: list[Row], checkpoint: Checkpoint | None = None, **meta: Any) -> None:
        """Commit rows, a checkpoint after them and facts together. On return they survive a kill.

        Raises `JournalError`, nothing then written.
        """
        marks = ", ".join("?" * len(_COLUMNS))
        try:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.executemany(
                f"INSERT INTO candidate ({', '.join(_COLUMNS)}) VALUES ({marks})",
                map(_values, rows),
            )
            if checkpoint is not None:
                self.db.execute("DELETE FROM checkpoint WHERE number > ?", (checkpoint.since,))  # of a life before
                self.db.execute(
                    "INSERT INTO checkpoint (number, since, records, state, seal) VALUES (?, ?, ?, ?, ?)",
                    astuple(checkpoint),
                )
            self.db.executemany(
                "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)",
                [(name, canonical(value)) for name, value in meta.items()],
            )
            self.db.execute("COMMIT")
        except sqlite3.Error as fault:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            full = "full" in str(fault)
            remedy = "free some space, then resume" if full else "see to the disk, then resume"
            raise JournalError(
                f"{self.path}: cannot be written: {fault}. What was recorded before is intact; {remedy}."
            ) from None

    def close(self) -> None:
        self.db.close()


def _read_through(path: Path) -> None:
    """Bring a file into memory, as far as it fits: SQLite, page by page, takes four times as long.

    To be done before SQLite opens it: closing a file gives up all locks that the process holds on it.
    """
    if path.is_file():
        piece = bytearray(1 << 20)
        with path.open("rb", buffering=0) as file:
            while file.readinto(piece):
                pass


def _quoted(path: Path) -> str:
    return str(path.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


class RunIsLive(RuntimeError):
    """Another driver holds the run."""


class Lock:
    """Keeps a second driver out. The kernel frees it the instant its holder dies."""

    def __init__(self, path: Path):
        self.file: TextIO = path.open("a+")
        try:
            for _ in range(4):  # `is_held` has it for an instant
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(0.05)
            else:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            self.file.seek(0)
            holder = self.file.read(200).strip()
            self.file.close()
            if fault.errno in (errno.EAGAIN, errno.EACCES):
                raise RunIsLive(
                    f"{path.parent} is being run by another driver ({holder}); wait for it, or stop it"
                ) from None
            raise
        self.file.truncate(0)
        self.file.write(f"pid {os.getpid()} on {os.uname().nodename}")
        self.file.flush()

    def release(self) -> None:
        self.file.close()


def is_held(path: Path) -> bool:
    """Whether a driver holds this lock; changes nothing."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def replace_file(path: Path, text: str) -> None:
    """Write a file so that a reader or a kill never sees half of it."""
    new = path.with_name(path.name + ".new")
    with new.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must reach the disk
    finally:
        os.close(folder)
