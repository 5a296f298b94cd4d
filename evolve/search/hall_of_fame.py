"""The hall of fame: the best programs, ranked by seeds that played no part in finding them.

It holds one of a kind. Variants of the same operations, which differ in constants or wiring, share
the place of the best of them. People see it without repetitions: what scores the same, to the last
bit in every seed, is one program that was found twice, and the shorter of the two is it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from evolve.scoring.job import OK, Outcome
from evolve.search.candidate import Candidate
from primitives import Program
from primitives.canonical.graph import graph

Scores = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Entry:
    """A program in the hall of fame, with its score on the selection seeds."""

    number: int
    program: Program
    score: float
    operations: tuple[str, ...]  # what it is made of, see `operations`
    selected: Scores  # [seed][task], of which `score` is the mean

    @classmethod
    def of(cls, number: int, program: Program, score: float, selected: Scores) -> Entry:
        """Make the entry of a candidate."""
        return cls(number, program, score, operations(program), selected)


def operations(program: Program) -> tuple[str, ...]:
    """Return the primitives that a program applies, sorted, without those that do not matter."""
    return tuple(sorted(node.op for node in graph(program).nodes))


@dataclass
class HallOfFame:
    """Entries in the order of their scores, best first."""

    places: int
    given: int  # candidates below this number are programs that the search was given
    entries: list[Entry] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    @property
    def best(self) -> Entry:
        """The first of them. Raises `IndexError` where there is none yet."""
        return self.entries[0]

    def admit(self, candidate: Candidate, status: str, outcome: Outcome | None) -> bool:
        """Enter a candidate if it is good enough. Tell whether it is the new best."""
        if outcome is None or status != OK or (score := outcome.select_score) is None:
            return False
        entry = Entry.of(candidate.number, candidate.program, score, outcome.selected)

        rival = next((e for e in self.entries if e.operations == entry.operations), None)
        if rival is not None:
            if rival.score >= entry.score:
                return False
            self.entries.remove(rival)
        self.entries.append(entry)
        self.entries.sort(key=lambda e: (-e.score, e.number))

        # Of the programs that the search was given, only the best has a place: they are known, and
        # the other places are for what is found.
        del self.entries[1 if candidate.number < self.given else self.places :]
        return self.best is entry

    def bar(self, start: float) -> float:
        """Return the score above which a candidate is tried on the selection seeds.

        start: that of the best program the search was given, which counts until all places are
        taken.
        """
        return self.entries[-1].score if len(self.entries) >= self.places else start

    def distinct(self) -> list[Entry]:
        """Return the entries that behave differently: of those that score alike, the shortest."""
        shortest: dict[Scores, Entry] = {}
        for entry in self.entries:
            rival = shortest.setdefault(entry.selected, entry)
            if len(entry.operations) < len(rival.operations):
                shortest[entry.selected] = entry  # at the place of the other
        return list(shortest.values())

    def found(self) -> list[Entry]:
        """Return the distinct entries without the programs that the search was given."""
        return [e for e in self.distinct() if e.number >= self.given]
