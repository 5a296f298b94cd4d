"""How far a run is: facts from its record, while it runs or later."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any

from evolve.files import read_json
from evolve.record.errors import JournalError, NothingYet
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.lock import is_held
from evolve.search.candidate import CACHED, REJECTED

# What a run can be. Its journal says which of the last two it is, its lock whether it is running.
RUNNING, STOPPED, FINISHED = "running", "stopped", "finished"
ENTRY = {"candidate", "score", "program"}  # of the hall of fame


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
        statuses, reasons = _counted(journal)
        count = journal.count()
        state = journal.get("status", STOPPED)
        if state not in (STOPPED, FINISHED):
            raise JournalError(f"no run can be {state!r}")
        chain = journal.link_before(count).hex()
        elapsed = journal.get("elapsed", 0.0)
        if not (isinstance(elapsed, int | float) and math.isfinite(elapsed)):
            raise JournalError(f"{elapsed!r} are no seconds")
        if not all(isinstance(word, str) for word in (*statuses, *reasons)):
            raise JournalError("a status is no text")
    except Exception as fault:  # a damaged file shows as one clear sentence
        raise JournalError(f"{folder.journal}: cannot be read: {fault}") from None
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


def _counted(journal: Journal) -> tuple[Counter[str], Counter[str]]:
    """Count each status and each reason: the last checkpoint's tally, and the rows since then.

    To count all rows is to read the whole file, a gigabyte for a million candidates.
    """
    last = journal.db.execute(
        "SELECT number, state FROM checkpoint ORDER BY number DESC LIMIT 1"
    ).fetchone()
    since, state = last or (0, '{"tally": {"statuses": {}, "reasons": {}}}')
    statuses, reasons = (
        Counter(json.loads(state)["tally"][name]) for name in ("statuses", "reasons")
    )
    rows = f"{journal.ordered} WHERE {journal.place} >= ?"
    query = f"SELECT status, reason, COUNT(*) FROM {rows} GROUP BY status, reason"
    for status, reason, count in journal.db.execute(query, (since,)):
        statuses[status] += count
        if reason:
            reasons[reason] += count
    return statuses, reasons


def best_facts(folder: RunFolder) -> dict[str, Any] | None:
    """Return the best program: the confirmed one, which is shown and exported too, else that of
    the hall of fame; None where nothing is written yet.
    """
    return _confirmed(folder) or _best_so_far(folder)


def _confirmed(folder: RunFolder) -> dict[str, Any] | None:
    """Return the best program of the last confirmation, with its score there and the interval."""
    path = folder.summary
    if not (path.is_file() and folder.best_program.is_file()):
        return None
    try:
        said = read_json(path)
        if said["best"] is None:
            return None
        verdict = next(v for v in said["verdicts"] if v["name"] == said["best"])
        if verdict["score"] is None:  # it did badly on the fresh seeds, like all others
            return None
        return {
            "candidate": int(verdict["name"].rpartition("_")[2]),
            "score": float(verdict["score"]),
            "program": folder.best_program.read_text(),
            "confirmed": True,
            "low": float(verdict["low"]),
            "high": float(verdict["high"]),
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, StopIteration) as fault:
        raise JournalError(
            f"{path}: is damaged: {fault}. `evolve resume` writes it again."
        ) from None


def _best_so_far(folder: RunFolder) -> dict[str, Any] | None:
    """Return the first entry of the hall of fame, with its score on the selection seeds."""
    path = folder.hall_of_fame
    if not path.is_file():
        return None
    try:
        entries = read_json(path)
        if not (
            isinstance(entries, list)
            and all(isinstance(e, dict) and set(e) == ENTRY for e in entries)
        ):
            raise ValueError("no list of programs")
    except (OSError, ValueError) as fault:
        raise JournalError(
            f"{path}: is damaged: {fault}. `evolve resume` writes it again."
        ) from None
    return entries[0] | {"confirmed": False} if entries else None


def _is_live(folder: RunFolder) -> bool:
    """Tell whether a driver holds the run."""
    if not folder.lock.is_file():
        return False
    try:
        return is_held(folder.lock)
    except OSError:
        return False
