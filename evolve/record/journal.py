"""The journal of a run: one row per candidate, in order, each with the next link of a hash chain.

The journal is the truth: population, caches and hall of fame are recomputed from
it. SQLite with one writer; what was committed survives a kill at any instant. Two
runs are the same when their chains end in the same hash.

The order is that of the candidates' numbers. In a run that is not repeatable it is
that of their arrival, which a table of its own keeps.

On a local disk SQLite keeps a write-ahead log, so that others read while we write.
The log needs memory that processes share, and a network file system gives none.
There the older rollback journal is kept, and a reader and the writer wait for each
other.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter

from evolve.record.disk import file_system, is_network, takes_no_more
from evolve.record.errors import DiskFull, JournalError, NothingYet
from evolve.record.rows import COLUMNS, DECIDED, NO_SEAL, Checkpoint, Row, Seal, row_values
from evolve.record.stored import FACTS, parse_stored
from evolve.record.untrusted import distrust, leads_out
from evolve.scoring.wire import canonical

FORMAT = 2  # of the tables below; in format 1 rows lay in the order of their numbers only
ROWS = 256  # rows that are committed together, at most
SECONDS = 0.2  # from one commit to the next, about
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
    facts: ClassVar[dict[str, TypeAdapter[Any]]] = FACTS

    def __init__(self, path: Path, *, read_only: bool = False, repeatable: bool = True):
        """Open a journal, or begin one.

        `repeatable` says whether a new journal keeps its rows in the order of their numbers instead
        of that of their arrival. One that exists knows it already. A journal of an older format is
        read as it is; the first thing that is written brings it to ours.

        Raises  `JournalError`, of which `NothingYet` for one without tables that is only to be
                read, and `DiskFull`.
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

        # Where rows lie in their order, and the column that counts their places in it from 0.
        self.ordered = (
            "candidate" if self.repeatable else "arrival CROSS JOIN candidate USING (number)"
        )
        self.place = "number" if self.repeatable else "position"

    def _open(self, mode: str) -> None:
        name = f"file:{_quoted(self.path)}?mode={mode}"
        self.db = sqlite3.connect(name, uri=True, isolation_level=None, timeout=BUSY)

    def _take_back(self) -> None:
        """Undo half a commit that a kill left in a rollback journal.

        Before that nobody can read the file, and a reader may not do it: it takes the right to
        write. In a folder where nobody may write, SQLite cannot make what readers of a write-ahead
        log share; a file beside which nothing waits to be taken in is read without.
        """
        try:
            self.db.execute("SELECT COUNT(*) FROM sqlite_schema")
        except sqlite3.OperationalError as fault:
            code = fault.sqlite_errorcode
            if code == sqlite3.SQLITE_READONLY_ROLLBACK:
                again = "rw"  # SQLite does it at the next look
            elif code & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) and not any(
                _is_filled(self.path.with_name(f"{self.path.name}-{left}"))
                for left in ("wal", "journal")
            ):
                again = "ro&immutable=1"
            else:
                raise
            self.db.close()
            self._open(again)

    def _prepare(self, repeatable: bool) -> None:
        """Set how SQLite keeps the file, see that it is sound, and make the tables of a new one."""
        pragmas: dict[str, Any] = {"journal_mode=WAL": "wal", "synchronous=FULL": 2}
        if self.network:
            # A run that began on a local disk has a write-ahead log, which cannot be shared here.
            # So nobody else may have the file open when we look at it for the first time.
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
        """Raise `JournalError` for tables that are not as we make them."""
        if odd := distrust(self.db, self.tables):
            raise JournalError(f"{self.path}: {odd}. Do not trust this run.")

    def _format(self) -> int:
        """Ask the file for its format. Raises `JournalError` for one that is newer than ours."""
        (said,) = self.db.execute("PRAGMA user_version").fetchone()
        if said > FORMAT:
            raise JournalError(
                f"{self.path}: a newer Pride wrote this (format {said}; this one knows "
                f"{FORMAT}). Update Pride."
            )
        return said or 1  # the first format did not say it

    def rows(self, since: int = 0) -> Iterator[Row]:
        """Yield all rows from the place `since` on, in order.

        The chain is checked link by link. Raises `JournalError` for the first row that is damaged.
        """
        previous = self.link_before(since)
        columns = ", ".join((self.place, *COLUMNS))
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
        """Return the link that the row at this place goes on from; zeros for the first."""
        found = self._ask(
            f"SELECT chain FROM {self.ordered} WHERE {self.place} = ?", place - 1
        ).fetchone()
        link = found[0] if found else bytes(32)
        if not isinstance(link, bytes):
            raise JournalError(f"{self.path}: row {place - 1} is damaged: its hash is none")
        return link

    def count(self) -> int:
        """Return how many rows there are."""
        last = self._ask(
            f"SELECT {self.place} FROM {self.ordered} ORDER BY {self.place} DESC LIMIT 1"
        ).fetchone()
        return last[0] + 1 if last else 0

    def numbers(self, since: int, until: int) -> Sequence[int]:
        """Return the numbers of the candidates at the places from `since` up to `until`."""
        if self.repeatable:
            return range(since, until)
        query = "SELECT number FROM arrival WHERE position >= ? AND position < ? ORDER BY position"
        return array("q", (number for (number,) in self._ask(query, since, until)))

    def row(self, number: int) -> Row:
        """Return the row of a candidate. Its place in the chain is not checked."""
        return Row(
            *self._ask(
                f"SELECT {', '.join(COLUMNS)} FROM candidate WHERE number = ?", number
            ).fetchone()
        )

    def checkpoints(self, until: int) -> Iterator[Checkpoint]:
        """Yield the checkpoints after at most `until` candidates, in order, unchecked.

        Whether they fit the rows, `fits` says.
        """
        found = self._ask(
            "SELECT number, since, records, state, seal FROM checkpoint WHERE number <= ? ORDER "
            "BY number",
            until,
        )
        return itertools.starmap(Checkpoint, found)

    def fits(self, until: int) -> bool:
        """Tell whether checkpoints and rows of the first `until` candidates are as written.

        False where the rows are sound and a checkpoint is not. Raises `JournalError` with the name
        of the row where one is damaged.
        """
        query = (
            f"SELECT {', '.join(DECIDED)}, chain FROM {self.ordered} "
            f"WHERE {self.place} >= ? AND {self.place} < ? ORDER BY {self.place}"
        )
        seal = NO_SEAL
        try:
            for checkpoint in self.checkpoints(until):
                made = Seal(seal)
                for row in self._ask(query, checkpoint.since, checkpoint.number):
                    made.add(row)
                if made.close(checkpoint.records, checkpoint.state) != checkpoint.seal:
                    break
                seal = checkpoint.seal
            else:
                return True
        except (sqlite3.Error, TypeError, ValueError, AttributeError):
            pass  # a value is not even of the type that was written

        for _ in self.rows():  # the chain knows which row is damaged
            pass
        return False

    def _ask(self, query: str, *values: Any) -> sqlite3.Cursor:
        try:
            return self.db.execute(query, values)
        except (sqlite3.Error, OverflowError) as fault:  # a number that is too large for SQLite
            raise JournalError(f"{self.path}: cannot be read: {fault}") from None

    def get(self, name: str, default: Any = None) -> Any:
        """Return a fact by its name. Raises `JournalError` for a damaged one."""
        try:
            found = self._ask("SELECT value FROM meta WHERE name = ?", name).fetchone()
            return parse_stored(found[0], self.facts[name]) if found else default
        except (sqlite3.Error, ValueError) as fault:
            raise JournalError(f"{self.path}: the fact {name!r} is damaged: {fault}") from None

    def put(self, rows: list[Row], checkpoint: Checkpoint | None = None, **meta: Any) -> None:
        """Commit rows, a checkpoint after them and facts together. On return they survive a kill.

        Raises  `JournalError`, nothing then written; `DiskFull` where it can be tried again.
        """
        marks = ", ".join("?" * len(COLUMNS))
        try:
            self.db.execute("BEGIN IMMEDIATE")
            if self.format < FORMAT:
                meta = {"decisive": self.get("decisive"), "repeatable": True} | meta
                self.db.execute(f"PRAGMA user_version = {FORMAT}")
            if not self.repeatable:
                places = enumerate((row.number for row in rows), self.count())
                self.db.executemany("INSERT INTO arrival (position, number) VALUES (?, ?)", places)
            self.db.executemany(
                f"INSERT INTO candidate ({', '.join(COLUMNS)}) VALUES ({marks})",
                map(row_values, rows),
            )
            if checkpoint is not None:
                # An earlier life may have left later ones, which did not fit.
                self.db.execute("DELETE FROM checkpoint WHERE number > ?", (checkpoint.since,))
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
        """Close the file."""
        self.db.close()


def _is_full(path: Path, fault: sqlite3.Error) -> bool:
    """Tell whether a fault came of a full disk.

    SQLite says so for the plainest case only. In the others it speaks of an input/output error.
    """
    code = getattr(fault, "sqlite_errorcode", sqlite3.SQLITE_OK)
    unclear = code & 0xFF in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN)
    return code == sqlite3.SQLITE_FULL or (unclear and takes_no_more(path))


def _is_filled(path: Path) -> bool:
    """Tell whether there is a file that holds anything."""
    return path.is_file() and path.stat().st_size > 0


def _read_through(path: Path) -> None:
    """Bring a file into memory, as far as it fits. SQLite, page by page, takes four times as long.

    This must be done before SQLite opens the file: closing it here gives up all locks that the
    process holds on it.
    """
    if path.is_file():
        piece = bytearray(1 << 20)
        with path.open("rb", buffering=0) as file, contextlib.suppress(OSError):  # no more data
            while True:
                # A hole of a terabyte takes no room, and here no time.
                file.seek(file.tell(), os.SEEK_DATA)
                file.readinto(piece)


def _quoted(path: Path) -> str:
    """Write a path as SQLite wants it within a URI."""
    return str(path.resolve()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
