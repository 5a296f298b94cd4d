"""A candidate: a program that was bred, what came of it, and its place in the population."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from evolve.scoring.job import Job, Outcome
from primitives import Program
from primitives.canonical.liveness import prune

# What becomes of a candidate for which no worker is asked. The other statuses are those of an
# outcome, in `evolve/scoring/job.py`.
CACHED, REJECTED = "cached", "rejected"

# Why a cheap test rejects a program: its gradient plays no part, or its first step goes up.
NO_GRADIENT, ASCENT = "no_gradient", "ascent"


@dataclass(frozen=True)
class Candidate:
    """A program that has been bred, and what is known of it before it is scored."""

    number: int
    phase: int
    parent: int | None
    mutation: str
    program: Program
    key: bytes  # 16 of them, the same for programs that compute the same
    # The same for programs that compute the same up to rounding; empty for one that is not scored.
    probe: bytes = b""
    reason: str = ""  # why a cheap test rejects it
    same_as: int | None = None  # the candidate whose outcome it shares
    job: Job | None = None  # what a worker is asked; None where the outcome is known without one

    @property
    def owner(self) -> int:
        """The number of the candidate that is scored for this program."""
        return self.number if self.same_as is None else self.same_as


def in_all_uses(program: Program, key: bytes) -> bytes:
    """Return a key that tells programs apart by their values on each task too.

    key: of what the program computes with its defaults. It stays where these serve all tasks.
    """
    if not program.uses:
        return key
    tuned = [(h.name, h.tuned) for h in prune(program).hyperparameters if h.tuned]
    return hashlib.sha256(key + repr(tuned).encode()).digest()[: len(key)]


@dataclass(frozen=True)
class Committed:
    """A candidate with its outcome, as it enters the record."""

    candidate: Candidate
    status: str
    outcome: Outcome | None  # where a worker was asked
    fitness: float
    best: bool  # whether it became the best of the hall of fame


@dataclass(frozen=True)
class Member:
    """One of the population."""

    number: int
    program: Program
    fitness: float
    first: float  # score in the first seed, for the hurdle; inf where it was stopped before its end
    early: tuple[float, ...] = ()  # scores at the first hurdle, of those that were trained
    scores: tuple[float, ...] = ()  # of the same training, at its end


@dataclass
class Tally:
    """How many candidates came to which end, for which reason, by which mutation."""

    candidates: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    mutations: Counter[str] = field(default_factory=Counter)

    @property
    def evaluated(self) -> int:
        """How many were scored by a worker."""
        return self.candidates - self.statuses[CACHED] - self.statuses[REJECTED]

    def add(self, committed: Committed) -> None:
        """Count one more."""
        candidate = committed.candidate
        self.candidates += 1
        self.statuses[committed.status] += 1
        self.mutations[candidate.mutation] += 1
        if candidate.reason:
            self.reasons[candidate.reason] += 1


def generator(seed: int, number: int) -> np.random.Generator:
    """Make the random numbers of one candidate: a stream of its own, whatever came before."""
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))
