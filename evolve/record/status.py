"""How far a run is: facts from its record, while it runs or later."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from evolve.record.errors import JournalError, NothingYet
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.lock import is_held
from evolve.record.stored import (
    HALL_OF_FAME,
    STATE,
    SUMMARY,
    Famous,
    Summary,
    parse_stored,
    read_stored,
)
from evolve.search.candidate import CACHED, REJECTED

T = TypeVar("T")

# What a run can be. Its journal says which of the last two it is, its lock whether it is running.
RUNNING, STOPPED, FINISHED = "running", "stopped", "finished"


def status(folder: RunFolder) -> dict[str, Any]:
    """Return the facts of a run, running or not. Raises `JournalError` for a damaged record."""
    try:
        journal = Journal(folder.journal, read_only=True) if folder.journal.is_file() else None
    except NothingYet:
        journal = None
    if journal is None:
        return _nothing_yet(folder)

    try:
        journal.db.execute("BEGIN")  # all facts are of one moment
        statuses, reasons = counted(journal)
        count = journal.count()
        state = journal.get("status", STOPPED)
        elapsed = journal.get("elapsed", 0.0)
        chain = _last_link(journal, count)
        if statuses.total() != count or (state == FINISHED and not count):
            raise JournalError(f"it holds {count:,} rows, and had {statuses.total():,} or more")
        if state == FINISHED and (end := summary(folder)) is not None and end.chain != chain:
            raise JournalError(f"its chain ends in {chain}, and {folder.summary} has {end.chain}")
    except Exception as fault:  # a damaged file shows as one clear sentence
        raise JournalError(
            f"{folder.journal}: cannot be read: {fault}. `evolve verify {folder.path}` says more."
        ) from None
    finally:
        journal.close()

    return {
        "run": str(folder.path),
        "state": RUNNING if _is_live(folder) else state,
        "candidates": count,
        "evaluated": count - statuses[CACHED] - statuses[REJECTED],
        "cached": statuses[CACHED],
        "rejected": reasons,
        "statuses": statuses,
        "best": best_facts(folder),
        "seconds": elapsed,
        "hash_chain": chain,
        "repeatable": journal.repeatable,
    }


def _nothing_yet(folder: RunFolder) -> dict[str, Any]:
    """Return the facts of a run that has no record yet."""
    return {
        "run": str(folder.path),
        "state": RUNNING if _is_live(folder) else STOPPED,
        "candidates": 0,
        "evaluated": 0,
        "cached": 0,
        "seconds": 0,
        "rejected": {},
        "statuses": {},
        "best": None,
        "hash_chain": bytes(32).hex(),
        "repeatable": folder.config().search.order == "number",
    }


def counted(journal: Journal) -> tuple[Counter[str], Counter[str]]:
    """Count each status and each reason: the last checkpoint's tally, and the rows since then.

    To count all rows is to read the whole file, a gigabyte for a million candidates.
    """
    last = journal.db.execute(
        "SELECT number, state FROM checkpoint ORDER BY number DESC LIMIT 1"
    ).fetchone()
    since, statuses, reasons = 0, Counter[str](), Counter[str]()
    if last is not None:
        since, tally = last[0], parse_stored(last[1], STATE).tally
        statuses, reasons = Counter(tally.statuses), Counter(tally.reasons)
    rows = f"{journal.ordered} WHERE {journal.place} >= ?"
    query = f"SELECT status, reason, COUNT(*) FROM {rows} GROUP BY status, reason"
    for status, reason, count in journal.db.execute(query, (since,)):
        if not (isinstance(status, str) and isinstance(reason, str)):
            raise JournalError("a status is no text")
        statuses[status] += count
        if reason:
            reasons[reason] += count
    return statuses, reasons


def _last_link(journal: Journal, count: int) -> str:
    """Return the last link of the chain, which must follow from the one before it.

    That is all of the chain that is looked at here.
    """
    for _ in journal.rows(max(count - 1, 0)):
        pass
    return journal.link_before(count).hex()


def best_facts(folder: RunFolder) -> dict[str, Any] | None:
    """Return the best program: the confirmed one, which is shown and exported too, else that of
    the hall of fame; None where nothing is written yet.
    """
    if found := _confirmed(folder):
        return found
    entries = hall_of_fame(folder)
    return entries[0].model_dump() | {"confirmed": False} if entries else None


def _confirmed(folder: RunFolder) -> dict[str, Any] | None:
    """Return the best program of the last confirmation, with its score there and the interval."""
    said = summary(folder)
    if said is None or said.best is None or not folder.best_program.is_file():
        return None
    line = next((line for line in said.verdicts if line.name == said.best), None)
    number = said.best.rpartition("_")[2]
    if line is None or not number.isdecimal():
        raise rewritable(folder.summary, ValueError(f"{said.best!r} is no candidate in its table"))
    if line.score is None:  # it did badly on the fresh seeds, like all others
        return None
    try:
        program = folder.best_program.read_text(encoding="utf-8")
    except (OSError, ValueError) as fault:
        raise rewritable(folder.best_program, fault) from None
    return {
        "candidate": int(number),
        "score": line.score,
        "program": program,
        "confirmed": True,
        "low": line.low,
        "high": line.high,
    }


def hall_of_fame(folder: RunFolder) -> list[Famous]:
    """Read the hall of fame, the best first; none before there is one. Raises `JournalError`."""
    return _read(folder.hall_of_fame, HALL_OF_FAME) or []


def summary(folder: RunFolder) -> Summary | None:
    """Read how a run ended; None before it did. Raises `JournalError`."""
    return _read(folder.summary, SUMMARY)


def _read(path: Path, schema: TypeAdapter[T]) -> T | None:
    """Read a file that can be written again from the journal; None where it is not there."""
    try:
        return read_stored(path, schema)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as fault:
        raise rewritable(path, fault) from None


def rewritable(path: Path, fault: Exception) -> JournalError:
    """Say that a file is damaged which can be written again from the journal."""
    return JournalError(f"{path}: is damaged: {fault}. `evolve resume` writes it again.")


def _is_live(folder: RunFolder) -> bool:
    """Tell whether a driver holds the run."""
    if not folder.lock.is_file():
        return False
    try:
        return is_held(folder.lock)
    except OSError:
        return False
