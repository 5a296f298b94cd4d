"""The loop of a run: breed, hand out, commit in order, record.

What is decided, `Search` decides; here is only when.

The order is that of the numbers; or, in a run that is not repeatable, that in which outcomes
arrive, and is then recorded. Resuming is the same loop: a candidate whose row is stored takes its
outcome from the row instead of from a worker, and must come out as the same program. It begins at a
checkpoint that lies some candidates before the end of the record, so that these are bred again: if
this software breeds other programs than the one that wrote the record, that is found out.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from evolve.config.schema import Budget
from evolve.interrupt import Interrupted
from evolve.record.checkpoint import EVERY, Gathered, restore
from evolve.record.errors import JournalError
from evolve.record.journal import ROWS, SECONDS, Journal
from evolve.record.patience import patiently
from evolve.record.rows import Checkpoint, Row
from evolve.scoring.job import Outcome
from evolve.scoring.wire import canonical, encode_outcome
from evolve.search.candidate import Candidate, Committed
from evolve.search.search import Search
from evolve.workers.executor import Executor

BRED_AGAIN = 256  # candidates, at least, wherever a resume begins
POLL = 0.05  # seconds between looks at the clock and at an interrupt while waiting for workers


@dataclass
class Clock:
    """Seconds that the search has taken, over all its lives."""

    before: float = 0.0
    started: float | None = None

    def start(self) -> None:
        """Let the seconds of this life count from now on."""
        self.started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds up to now."""
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
        say: Callable[[str], None] = lambda line: None,
    ):
        """Read what earlier lives left.

        stop: whether the run shall end; asked again and again. begin: where to take a checkpoint,
        the last one after at most so many candidates; 0 breeds all again, to the same end. say: is
        told while the disk is full.
        Raises `JournalError`.
        """
        self.search, self.executor, self.journal = search, executor, journal
        self.budget, self.clock, self.stop, self.say = budget, clock, stop, say

        self.replaying = journal.count()  # rows that earlier lives left
        self.waiting: dict[int, Candidate] = {}  # bred, and not yet committed
        self.gathered = Gathered()
        self.sound = True  # whether the checkpoints fit the rows
        self.begin(self.replaying - search.settings.lag - BRED_AGAIN if begin is None else begin)
        self.began = search.commits

        # The candidates whose rows are still to come: their outcomes are in the record.
        numbers = journal.numbers(self.began, self.replaying)
        self.last_recorded = max(numbers, default=-1)
        self.recorded = numbers if journal.repeatable else frozenset(numbers)
        self.stored = journal.rows(self.began)
        self.next_row: Row | None = next(self.stored, None)
        self.chain = journal.link_before(self.began)

        self.arrived: dict[int, Outcome] = {}
        # For the order of arrival: the candidates that need no worker. `known` is a heap of those
        # whose outcome is known; `sharing` holds the others under the number of the candidate
        # whose outcome they will share.
        self.known: list[int] = []
        self.sharing: dict[int, list[int]] = {}

        self.unwritten: list[Row] = []
        self.last_write = time.monotonic()

    def begin(self, until: int) -> None:
        """Go to the last checkpoint after at most `until` candidates."""
        self.sound = self.journal.fits(until)
        if self.sound:
            self.waiting, self.gathered = restore(self.search, self.journal, until)

    def run(self) -> Generator[Committed, None, None]:
        """Yield each candidate as it is committed. Ends when the budget does."""
        search, waiting = self.search, self.waiting
        try:
            for candidate in waiting.values():
                self.hand_out(candidate)
            for number in itertools.count(self.began + len(waiting)):
                if number > self.last_recorded and self.over(number):
                    break
                while search.commits < search.needed(number):
                    yield self.commit(self.next())
                    # Only here, and not where the last ones are committed: with the budget spent,
                    # nobody new is in flight, and a longer budget would have had others.
                    if search.commits % EVERY == 0:
                        self.write(self.gathered.checkpoint(search, waiting.values()))

                waiting[number] = search.draw(number)
                self.hand_out(waiting[number])
            while waiting:
                yield self.commit(self.next())
        finally:
            self.write()

    def hand_out(self, candidate: Candidate) -> None:
        """Ask a worker, where one is needed."""
        if candidate.job is not None:
            if candidate.number not in self.recorded:
                self.executor.submit(candidate.number, candidate.job)
        elif not self.journal.repeatable:
            if self.is_known(candidate):
                heapq.heappush(self.known, candidate.number)
            else:
                self.sharing.setdefault(candidate.owner, []).append(candidate.number)

    def is_known(self, candidate: Candidate) -> bool:
        """Tell whether the outcome that it shares, if it shares one, is committed."""
        return candidate.same_as is None or candidate.same_as in self.search.scores

    def over(self, number: int) -> bool:
        """Tell whether the budget ends before this candidate. Raises `Interrupted`."""
        if self.stop():
            raise Interrupted
        candidates, seconds = self.budget.candidates, self.budget.seconds
        return (candidates is not None and number >= candidates) or (
            seconds is not None and self.clock.elapsed >= seconds
        )

    def next(self) -> Candidate:
        """Take the candidate whose outcome is committed next.

        That is the one that the record names; after its end, the lowest number or the first to
        come.
        """
        if self.next_row is not None:
            number = self.next_row.number
        else:
            number = self.search.commits if self.journal.repeatable else self.first_to_come()
        candidate = self.waiting.pop(number, None)
        if candidate is None or not self.is_known(candidate):
            raise self.unlike(number)
        return candidate

    def first_to_come(self) -> int:
        """Return who can be committed first, in the order of arrival; wait where nobody can yet.

        Those who need no worker come first, by their numbers; then the one whose outcome arrived
        first.
        """
        while self.known:
            number = heapq.heappop(self.known)
            if number in self.waiting:  # the others were committed from their rows
                return number
        while not self.arrived:
            self.listen()
        return next(iter(self.arrived))

    def commit(self, candidate: Candidate) -> Committed:
        """Take an outcome, from the record or from a worker, and record it."""
        row = self.next_row
        if row is not None:
            self.check(candidate, row)
            self.next_row = next(self.stored, None)
            committed = self.search.commit(candidate, row.restored())
        else:
            committed = self.search.commit(
                candidate, self.wait(candidate) if candidate.job is not None else None
            )
            row = self.record(committed)
        self.chain = row.chain
        self.gathered.add(row, candidate, self.search)
        for number in self.sharing.pop(candidate.number, ()):
            heapq.heappush(self.known, number)
        return committed

    def check(self, candidate: Candidate, row: Row) -> None:
        """Compare a candidate that was bred again with its row. Raises `JournalError`."""
        bred = (
            str(candidate.program),
            candidate.key.hex(),
            candidate.reason,
            candidate.same_as,
            candidate.job is None,
        )
        if bred != (row.program, row.key, row.reason, row.same_as, row.outcome is None):
            raise self.unlike(row.number)

    def unlike(self, number: int) -> JournalError:
        """Make the error that names a candidate which is not the one recorded."""
        return JournalError(
            f"{self.journal.path}: candidate {number} comes out as another program than the one "
            f"recorded. "
            "The run was made by another version of this software; resume it with that version."
        )

    def wait(self, candidate: Candidate) -> Outcome:
        """Wait for what a worker says of a candidate."""
        while candidate.number not in self.arrived:
            self.listen()
        return self.arrived.pop(candidate.number)

    def listen(self) -> None:
        """Take what has arrived, waiting an instant for it, and write what is due."""
        self.hear()
        if time.monotonic() - self.last_write > SECONDS:
            self.write()

    def hear(self) -> None:
        """Take what has arrived, waiting an instant for it. Raises `Interrupted`."""
        for number, outcome in self.executor.arrivals(POLL):
            self.arrived[number] = outcome
        if self.stop():
            raise Interrupted

    def record(self, committed: Committed) -> Row:
        """Make the row of a candidate, and write it with others when it is time."""
        candidate, outcome = committed.candidate, committed.outcome
        row = Row(
            number=candidate.number,
            phase=candidate.phase,
            parent=candidate.parent,
            mutation=candidate.mutation,
            program=str(candidate.program),
            key=candidate.key.hex(),
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
        """Commit to the journal what has been decided. After this, no kill can lose it."""
        rows, self.unwritten = self.unwritten, []
        if rows or checkpoint:
            self.patiently(lambda: self.journal.put(rows, checkpoint, elapsed=self.clock.elapsed))
        self.last_write = time.monotonic()
        if checkpoint:
            self.gathered = Gathered(checkpoint.number, checkpoint.seal)

    def patiently(self, write: Callable[[], object]) -> None:
        """Write into the run's folder.

        While the disk is full, nothing is bred; the workers are looked after.
        """

        def meanwhile() -> None:
            self.hear()
            time.sleep(POLL)

        patiently(write, self.say, meanwhile)
