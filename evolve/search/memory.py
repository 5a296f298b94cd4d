"""What a search remembers of every candidate: which programs it has seen, and how they scored.

A long run has millions of candidates. Of each, only what stands here stays in memory: 16 bytes,
and 48 more for a program that is new.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from evolve.scoring.job import WORST
from evolve.search.candidate import Candidate
from evolve.search.index import Index


@dataclass
class Seen:
    """Which candidate is scored for a program, for all programs that were bred so far."""

    keys: Index = field(default_factory=Index)  # of programs that compute the same
    probes: Index = field(default_factory=Index)  # of those that do so up to rounding

    def add(self, candidate: Candidate) -> None:
        """Let later programs that compute the same share the outcome of this one."""
        if not candidate.reason:
            self.keys[candidate.key] = candidate.owner
        if candidate.probe:
            self.probes[candidate.probe] = candidate.owner


@dataclass
class Scores:
    """The scores of all committed candidates, by their number."""

    fitness: array[float] = field(default_factory=lambda: array("d"))
    # The score in the first seed, for the hurdle; inf where it was stopped before its end.
    first: array[float] = field(default_factory=lambda: array("d"))
    # Numbers below the last one committed whose own outcome has not come.
    missing: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        """Return how many candidates are committed."""
        return len(self.fitness) - len(self.missing)

    def __contains__(self, number: int) -> bool:
        """Tell whether a candidate is committed."""
        return number < len(self.fitness) and number not in self.missing

    def keep(self, number: int, fitness: float, first: float) -> None:
        """Enter the scores of one candidate, in any order of the numbers."""
        end = len(self.fitness)
        if number >= end:
            self.missing.update(range(end, number))
            for values in (self.fitness, self.first):
                values.extend([WORST] * (number + 1 - end))
        self.missing.discard(number)
        self.fitness[number], self.first[number] = fitness, first

    def best(self, numbers: Iterable[int]) -> float:
        """Return the best fitness among those of these numbers that are committed."""
        return max((self.fitness[n] for n in numbers if n in self), default=WORST)
