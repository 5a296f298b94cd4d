"""What is recorded of a candidate, and how rows are chained and sealed, so that a change shows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from evolve.files import parse_json
from evolve.record.errors import JournalError
from evolve.scoring.job import Outcome
from evolve.scoring.wire import canonical, decode_outcome


@dataclass(frozen=True)
class Row:
    """A candidate as it is recorded."""

    number: int
    phase: int
    parent: int | None
    mutation: str
    program: str
    key: str
    status: str
    reason: str
    same_as: int | None
    outcome: str | None  # JSON of `wire.encode_outcome`; None where no worker was asked
    score: float  # for queries only; the bits are in `outcome`
    seconds: float
    detail: str
    chain: bytes  # the link: a hash over all that was decided up to here

    def decided(self) -> str:
        """Return what the link is about: everything but the seconds and the words for people."""
        return canonical(_decided(self))

    def sealed(self) -> tuple[Any, ...]:
        """Return what the seal of a checkpoint is about: what was decided, and the link."""
        return (*_decided(self), self.chain)

    def linked(self, previous: bytes) -> bytes:
        """Compute the link of this row from the link of the row before."""
        return hashlib.sha256(previous + self.decided().encode()).digest()

    def follows(self, previous: bytes) -> bool:
        """Tell whether the recorded link is the one that follows from the row before."""
        try:
            return self.linked(previous) == self.chain
        except (TypeError, ValueError):  # bytes where text was, a number that is infinite
            return False

    def restored(self) -> Outcome | None:
        """Decode the outcome; None where no worker was asked for one.

        Raises  `JournalError` where what is recorded is no outcome.
        """
        try:
            if self.outcome is None:
                return None
            return decode_outcome(parse_json(self.outcome), self.seconds, self.detail)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as fault:
            raise JournalError(
                f"row {self.number} is damaged: its outcome is none ({fault})"
            ) from None


COLUMNS = tuple(Row.__dataclass_fields__)
DECIDED = COLUMNS[: COLUMNS.index("outcome") + 1]  # what the search decided, or decides by
row_values = attrgetter(*COLUMNS)
_decided = attrgetter(*DECIDED)


@dataclass(frozen=True)
class Checkpoint:
    """What the search knew after its first `number` candidates.

    `checkpoint.py` makes and reads it.
    """

    number: int
    since: int  # number of the checkpoint before; 0 for the first
    records: bytes  # of the candidates since then
    state: str  # JSON
    seal: bytes


NO_SEAL = hashlib.sha256(b"checkpoints 1").digest()
"""What stands for the seal before the first one.

Other contents of checkpoints get another number here. Checkpoints of older software then fit no
rows, and all candidates are bred again.
"""

_SEALED_TEXT = "\0".join(["%s"] * len(DECIDED))


class Seal:
    """The hash of a checkpoint: over the seal before it, the rows since then, and its contents.

    Like the chain it tells that nothing was changed since it was written. It takes a third of the
    time, for no JSON is made.
    """

    def __init__(self, before: bytes):
        self.hash = hashlib.sha256(before)

    def add(self, row: tuple[Any, ...]) -> None:
        """Take in a row, as `Row.sealed` gives it."""
        self.hash.update((_SEALED_TEXT % row[:-1]).encode())
        self.hash.update(row[-1])

    def close(self, records: bytes, state: str) -> bytes:
        """Take in the contents of the checkpoint, and return the hash."""
        self.hash.update(records)
        self.hash.update(state.encode())
        return self.hash.digest()
