"""How far a run is: facts from its record, while it runs or later."""

from __future__ import annotations

import math
from typing import Any

from evolve.folder import RunFolder
from evolve.journal import FINISHED, STOPPED, Journal, JournalError, is_held
from evolve.untrusted import read_json

RUNNING = "running"
ENTRY = {"candidate", "score", "program"}  # of the hall of fame


def status(folder: RunFolder) -> dict[str, Any]:
    """The facts of a run, running or not."""
    if not folder.journal.is_file():
        nothing: dict[str, Any] = dict.fromkeys(("candidates", "evaluated", "cached", "seconds"), 0)
        nothing |= {"rejected": {}, "statuses": {}, "best": None, "hash_chain": bytes(32).hex()}
        nothing["repeatable"] = folder.config().search.order == "number"
        return {"run": str(folder.path), "state": RUNNING if _is_live(folder) else STOPPED} | nothing
    journal = Journal(folder.journal, read_only=True)
    try:
        db = journal.db
        statuses = dict(db.execute("SELECT status, COUNT(*) FROM candidate GROUP BY status").fetchall())
        reasons = dict(
            db.execute("SELECT reason, COUNT(*) FROM candidate WHERE reason != '' GROUP BY reason").fetchall()
        )
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
    except (JournalError, Exception) as fault:  # a damaged file shows as one clear sentence
        raise JournalError(f"{folder.journal}: cannot be read: {fault}") from None
    finally:
        journal.close()
    if _is_live(folder):
        state = RUNNING
    return {
        "run": str(folder.path),
        "state": state,
        "candidates": count,
        "evaluated": count - statuses.get("cached", 0) - statuses.get("rejected", 0),
        "cached": statuses.get("cached", 0),
        "rejected": reasons,
        "statuses": statuses,
        "best": _best_facts(folder),
        "seconds": elapsed,
        "hash_chain": chain,
        "repeatable": journal.repeatable,
    }


def _best_facts(folder: RunFolder) -> dict[str, Any] | None:
    path = folder.path / "hall_of_fame.json"
    if not path.is_file():
        return None
    try:
        entries = read_json(path)
        if not (isinstance(entries, list) and all(isinstance(e, dict) and set(e) == ENTRY for e in entries)):
            raise ValueError("no list of programs")
    except (OSError, ValueError) as fault:
        raise JournalError(f"{path}: is damaged: {fault}. `evolve resume` writes it again.") from None
    return entries[0] if entries else None


def _is_live(folder: RunFolder) -> bool:
    path = folder.path / "run.lock"
    if not path.is_file():
        return False
    try:
        return is_held(path)
    except OSError:
        return False
