"""What can be wrong with a record, in words that are ready to be shown."""

from __future__ import annotations

from pathlib import Path

from evolve.config.errors import MAX_MESSAGE
from primitives.errors import printable


class JournalError(RuntimeError):
    """The record cannot be read or written: what, where, what to do."""

    def __str__(self) -> str:
        return printable(super().__str__(), MAX_MESSAGE)


class NothingYet(JournalError):
    """The run was ended before its record had tables."""


class DiskFull(JournalError):
    """There is no room. Nothing was written, and it can be tried again."""

    def __init__(self, path: Path | str, reason: object):
        self.what = f"{path}: cannot be written: {reason}. What was recorded before is intact; "
        super().__init__(f"{self.what}free some space, then resume.")
