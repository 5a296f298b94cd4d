"""The loop of a run: breed, hand out, commit in order, record. Everything it decides, `Search` decides.

Resuming is the same loop: a candidate whose row is stored takes its outcome from
the row instead of from a worker, and must come out as the same program. It begins
at a checkpoint, and all the same breeds some candidates again: software that
breeds others is found out.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from evolve.checkpoint import EVERY, Gathered, restore
from evolve.config import Budget
from evolve.job import Outcome
from evolve.journal import ROWS, SECONDS, Checkpoint, Journal, JournalError, Row
from evolve.pool import Interrupted
from evolve.search import Candidate, Committed, Search
from evolve.wire import canonical, encode_outcome
from evolve.workers import Executor

BRED_AGAIN = 256  # candidates, at least, wherever a resume begins
POLL = 0.05  # seconds between looks at the clock and at an interrupt while waiting for workers


@dataclass
class Clock:
    """Seconds that the search has taken, over all its lives."""

    before: float = 0.0
    started: float | None = None

    def start(self) -> None:
        self.started = time.monotonic()

    @property
    def elapsed(self) -> float:
        return self.before + (time.monotonic() - self.started if self.started is not None else 0.0)


class Driver:
    """One life of a run."""

    def __init__(
        self,
        search: Search,
        executor: Executor,
        journal: Journal,
        budget: Budget,
        clock: Clock,
        stop: Callable[[], bool] = lambda: False,
        begin: int | None = None,
    ):
        """begin: at the last checkpoint after at most so many candidates; 0 breeds all again, to the same end."""
        self.search, self.executor, self.journal = search, executor, journal
        self.budget, self.clock, self.stop = budget, clock, stop
        self.replaying = journal.count()  # rows that earlier lives left
        self.bred: dict[int, Candidate] = {}  # before the checkpoint that this life begins at, and not yet handed out
        self.gathered = Gathered()
        self.sound = True  # whether the checkpoints fit the rows
        self.begin(self.replaying - search.settings.lag - BRED_AGAIN if begin is None else begin)
        self.began = len(search.committed)
        self.stored = journal.rows(self.began)
        self.next_row: Row | None = next(self.stored, None)
        self.chain = journal.link_before(self.began)
        self.arrived: dict[int, Outcome] = {}
        self.unwritten: list[Row] = []
        self.last_write = time.monotonic()

    def begin(self, until: int) -> None:
        """Go to the last checkpoint after at most so many candidates."""
        self.sound = self.journal.fits(until)
        if self.sound:
            self.bred, self.gathered = restore(self.search, self.journal, until)

    def run(self) -> Generator[Committed, None, None]:
        """Yield each candidate as it is committed. Ends when the budget does."""
        search = self.search
        waiting: dict[int, Candidate] = {}
        try:
            for number in itertools.count(self.began):
                if number >= self.replaying and self.over(number):
                    break
                while len(search.committed) < search.needed(number):
                    yield self.commit(waiting.pop(len(search.committed)))
                    if len(search.committed) % EVERY == 0:  # not below: with the budget spent, nobody is in flight
                        self.write(self.gathered.checkpoint(search, waiting.values()))
                candidate = self.bred.pop(number, None) or search.draw(number)
                waiting[number] = candidate
                if candidate.job is not None and number >= self.replaying:
                    self.executor.submit(number, candidate.job)
            while waiting:
                yield self.commit(waiting.pop(len(search.committed)))
        finally:
            self.write()

    def over(self, number: int) -> bool:
        if self.stop():
            raise Interrupted
        candidates, seconds = self.budget.candidates, self.budget.seconds
        return (candidates is not None and number >= candidates) or (
            seconds is not None and self.clock.elapsed >= seconds
        )

    def commit(self, candidate: Candidate) -> Committed:
        """Take the next outcome in order, from the record or from a worker, and record it."""
        row = self.next_row
        if row is not None:
            self.check(candidate, row)
            self.next_row = next(self.stored, None)
            committed = self.search.commit(candidate, row.restored())
        else:
            committed = self.search.commit(candidate, self.wait(candidate) if candidate.job is not None else None)
            row = self.record(committed)
        self.chain = row.chain
        self.gathered.add(row, candidate, self.search)
        return committed

    def check(self, candidate: Candidate, row: Row) -> None:
        """What is bred again must be what was bred before."""
        bred = (str(candidate.program), candidate.key, candidate.reason, candidate.same_as)
        if bred != (row.program, row.key, row.reason, row.same_as):
            raise JournalError(
                f"{self.journal.path}: candidate {row.number} comes out as another program than the one recorded. "
                "The run was made by another version of this software; resume it with that version."
            )

    def wait(self, candidate: Candidate) -> Outcome:
        while candidate.number not in self.arrived:
            for number, outcome in self.executor.arrivals(POLL):
                self.arrived[number] = outcome
            if self.stop():
                raise Interrupted
            if time.monotonic() - self.last_write > SECONDS:
                self.write()
        return self.arrived.pop(candidate.number)

    def record(self, committed: Committed) -> Row:
        candidate, outcome = committed.candidate, committed.outcome
        row = Row(
            number=candidate.number,
            phase=candidate.phase,
            parent=candidate.parent,
            mutation=candidate.mutation,
            program=str(candidate.program),
            key=candidate.key,
            status=committed.status,
            reason=candidate.reason,
            same_as=candidate.same_as,
            outcome=canonical(encode_outcome(outcome)) if outcome is not None else None,
            score=committed.fitness,
            seconds=outcome.seconds if outcome is not None else 0.0,
            detail=outcome.detail if outcome is not None else "",
            chain=b"",
        )
        row = replace(row, chain=row.linked(self.chain))
        self.unwritten.append(row)
        if len(self.unwritten) >= ROWS or time.monotonic() - self.last_write > SECONDS:
            self.write()
        return row

    def write(self, checkpoint: Checkpoint | None = None) -> None:
        """Commit what has been decided. After this returns, no kill can lose it."""
        rows, self.unwritten = self.unwritten, []
        if rows or checkpoint:
            self.journal.put(rows, checkpoint, elapsed=self.clock.elapsed)
        self.last_write = time.monotonic()
        if checkpoint:
            self.gathered = Gathered(checkpoint.number, checkpoint.seal)


def tally_line(search: Search, elapsed: float) -> str:
    """`12,345 candidates, 2,010 scored, ...` for people."""
    tally = search.tally
    counts = [f"{tally.candidates:,} candidates", f"{tally.evaluated:,} scored"]
    counts += [f"{n:,} {status}" for status, n in sorted(tally.statuses.items()) if status not in ("ok", "rejected")]
    counts += [f"{n:,} rejected ({reason})" for reason, n in sorted(tally.reasons.items())]
    return f"{elapsed:.0f} s: {', '.join(counts)}"


__all__ = ["Clock", "Driver", "Interrupted", "tally_line"]
