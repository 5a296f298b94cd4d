"""Regularized evolution, as a function of config and seed alone.

    population = copies of the initial program
    for i = 0, 1, 2, ...:
        commit the outcome of candidate i - lag        # in order, whoever scored it, whenever it
        arrived parent = best of a random tournament child  = mutate(parent)
        # drawn with a generator keyed by (seed, i) score it, unless an equal program has been
        scored or a cheap test rejects it add the child to the population, remove the oldest

Candidate i depends on the outcomes of candidates up to i - lag and on nothing
else, so any number of workers in any order give the same run, and resuming is
replaying. (In the order of arrival, a setting for clusters with stragglers, it
depends on the first i - lag outcomes that came: on config, seed and that
order, which is recorded.) The sequence is cut into phases: the first ones start again from the
initial programs (other local optima), the later ones from the best so far.
Source: Real et al. 2019, arXiv:1802.01548; Chen et al. 2023, arXiv:2302.06675, section 2.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from evolve.config.schema import Config
from evolve.scoring.job import EARLY, OK, WORST, Job, Outcome
from evolve.search.index import Index
from evolve.search.mutation import Child, Space, mutate, random_program, tweak
from primitives import Program
from primitives.canonical import probe as identity
from primitives.canonical.graph import graph
from primitives.canonical.liveness import prune

CACHED, REJECTED = "cached", "rejected"
NO_GRADIENT, ASCENT = "no_gradient", "ascent"

FORESIGHT = 0.5  # rank correlation from which on early scores may stop a training ...
ENOUGH = 16  # ... over at least as many members of the population


@dataclass(frozen=True)
class Candidate:
    """A program that has been bred, and what is known of it before it is scored."""

    number: int
    phase: int
    parent: int | None
    mutation: str
    program: Program
    key: str
    # What it shares with programs that compute the same up to rounding; only where it is scored
    probe: str = ""
    reason: str = ""  # why a cheap test rejects it
    same_as: int | None = None  # the candidate whose outcome it shares
    job: Job | None = None  # what a worker is asked; None where the outcome is known without one

    @property
    def owner(self) -> int:
        """The candidate whose outcome is its own."""
        return self.number if self.same_as is None else self.same_as


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


@dataclass(frozen=True)
class Entry:
    """One of the hall of fame: ranked by seeds on which nothing was selected before."""

    number: int
    program: Program
    score: float
    operations: tuple[str, ...]  # what it is made of


def operations(program: Program) -> tuple[str, ...]:
    """The primitives that a program applies once everything that does not matter is left out,
    sorted.
    """
    return tuple(sorted(node.op for node in graph(program).nodes))


@dataclass
class Tally:
    """What has happened so far, by kind."""

    candidates: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    mutations: Counter[str] = field(default_factory=Counter)

    @property
    def evaluated(self) -> int:
        return self.candidates - self.statuses[CACHED] - self.statuses[REJECTED]


def generator(seed: int, number: int) -> np.random.Generator:
    """The random numbers of one candidate: a stream of its own, whatever came before."""
    digest = hashlib.sha256(f"{seed}:{number}".encode()).digest()[:16]
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


class Search:
    """The state of a search: a function of the config and of the outcomes committed so far."""

    def __init__(self, config: Config, initial: list[Program]):
        settings = config.search
        assert not isinstance(config.suite, str), "a search needs the tasks, not their name"
        self.config, self.settings = config, settings
        initial = [
            replace(program, doc="") for program in initial
        ]  # what it says is not true of its children
        self.initial = [] if settings.kind == "random" else initial
        self.like = initial[0]
        # A known optimizer that first moves after many steps does not descend on the probe; nor do
        # its children.
        self.rejects_ascent = all(identity.probe(graph(program)).descends for program in initial)
        self.space = Space(
            tuple(settings.families),
            settings.max_statements,
            settings.insert,
            settings.delete,
            settings.modify,
        )
        self.seeds = tuple(f"{config.seed}:search:{k}" for k in range(config.scoring.seeds))
        self.select_seeds = tuple(
            f"{config.seed}:select:{k}" for k in range(config.scoring.select_seeds)
        )
        self.population: deque[Member] = deque(maxlen=settings.population)
        self.phase = -1
        # A long run has millions of candidates: of each, only what follows here stays in memory.
        self.keys = Index()  # identity -> the candidate that was scored for it
        self.probes = Index()  # the same, up to rounding
        self.committed = array("d")  # fitness by number
        self.first = array(
            "d"
        )  # score in the first seed by number, for the hurdle; inf where it was stopped early
        self.out: set[int] = (
            set()
        )  # numbers before the last one committed that are not committed themselves
        self.hall_of_fame: list[Entry] = []
        self.tally = Tally()

    @property
    def commits(self) -> int:
        """How many outcomes are committed."""
        return len(self.committed) - len(self.out)

    def is_committed(self, number: int) -> bool:
        return number < len(self.committed) and number not in self.out

    def needed(self, number: int) -> int:
        """How many outcomes must be committed before this candidate can be drawn."""
        if number == len(self.initial):
            return number
        return max(0, number - self.settings.lag)

    def draw(self, number: int) -> Candidate:
        """Breed candidate `number` from what is committed."""
        phase = 0 if number < len(self.initial) else number // self.settings.phase
        parent, child = None, None
        if number < len(self.initial):
            child = Child(self.initial[number], "initial")
        else:
            if phase != self.phase:
                self.begin(phase)
            rng = generator(self.config.seed, number)
            if self.settings.kind == "random":
                child = random_program(self.like, self.space, rng)
            else:
                parent = self.tournament(rng)
                evolving = self.settings.kind == "evolution"
                child = (
                    mutate(parent.program, self.space, rng)
                    if evolving
                    else tweak(parent.program, rng)
                )
        candidate = self.judge(number, phase, parent.number if parent else None, child)
        self.remember(candidate)
        return candidate

    def begin(self, phase: int) -> None:
        """Fill the population with the program that the phase starts from."""
        self.phase = phase
        self.population.clear()
        if self.settings.kind == "random":
            return
        if phase >= self.settings.repeats and self.hall_of_fame:
            starts = [(self.hall_of_fame[0].number, self.hall_of_fame[0].program)]
        else:
            starts = list(enumerate(self.initial))
        for k in range(self.settings.population):
            number, program = starts[k % len(starts)]
            self.population.append(self.member(number, program))

    def tournament(self, rng: np.random.Generator) -> Member:
        """The fittest of a few members drawn at random; the first drawn among equals."""
        picks = rng.integers(len(self.population), size=self.settings.tournament)
        return max((self.population[p] for p in picks), key=lambda m: m.fitness)

    def judge(self, number: int, phase: int, parent: int | None, child: Child) -> Candidate:
        """Name the program, look it up, and try to reject it cheaply."""
        values = graph(child.program)
        key = identity.key(values)

        def candidate(**known) -> Candidate:
            return Candidate(number, phase, parent, child.mutation, child.program, key, **known)

        same = self.keys.get(bytes.fromhex(key))
        if same is not None:
            return candidate(same_as=same)
        if not values.uses("g"):
            return candidate(reason=NO_GRADIENT)
        probe = identity.probe(values)
        if self.rejects_ascent and not probe.descends:
            return candidate(reason=ASCENT)
        same = self.probes.get(bytes.fromhex(probe.key))
        if same is not None:
            return candidate(same_as=same)
        job = Job(
            str(prune(child.program)),
            self.seeds,
            at=self.config.scoring.early,
            early=self.early() if self.config.scoring.early else (),
            hurdle=self.hurdle(),
            select=self.select_seeds,
            bar=self.bar(),
            schedule=self.config.schedule,
        )
        return candidate(probe=probe.key, job=job)

    def remember(self, candidate: Candidate) -> None:
        """Later programs that compute the same will share its outcome."""
        if not candidate.reason:
            self.keys[bytes.fromhex(candidate.key)] = candidate.owner
        if candidate.probe:
            self.probes[bytes.fromhex(candidate.probe)] = candidate.owner

    def hurdle(self) -> float:
        """The score in the first seed below which no further seed is spent."""
        return self.percentile(m.first for m in self.population if m.first < math.inf)

    def percentile(self, scores: Iterable[float]) -> float:
        """The score that the hurdles stand at; the worst one where there is none."""
        ranked = sorted(scores)
        return (
            ranked[int(len(ranked) * self.config.scoring.hurdle_percentile / 100.0)]
            if ranked
            else WORST
        )

    def early(self) -> tuple[float, ...]:
        """The scores below which a first training is stopped early, task by task.

        Where early scores say little about those at the end, only a loss beyond the bound stops
        one.
        """
        bound = -math.log(self.config.scoring.bound)
        return tuple(
            max(bound, self.percentile(m.early[k] for m in self.population if len(m.early) > k))
            if self.foresight(k) >= FORESIGHT
            else bound
            for k in range(len(self.config.suite))
        )

    def foresight(self, task: int) -> float:
        """Rank correlation of early scores on a task with those at its end in the population; 0
        where few have both.
        """
        from scipy.stats import spearmanr  # takes half a second

        pairs = [(m.early[task], m.scores[task]) for m in self.population if m.scores and m.early]
        if len(pairs) < ENOUGH or any(len({pair[k] for pair in pairs}) == 1 for k in range(2)):
            return 0.0
        return float(spearmanr(*zip(*pairs, strict=True)).statistic)

    def bar(self) -> float:
        """The score above which the seeds of the hall of fame are spent."""
        if len(self.hall_of_fame) >= self.config.scoring.hall_of_fame:
            return self.hall_of_fame[-1].score
        return max(
            (self.committed[n] for n in range(len(self.initial)) if self.is_committed(n)),
            default=WORST,
        )

    def commit(self, candidate: Candidate, outcome: Outcome | None) -> Committed:
        """Take the next outcome, in the order of the settings.

        `outcome` is None where no worker was asked.
        """
        assert not self.is_committed(candidate.number), "an outcome is committed once"
        if candidate.reason:
            status, fitness, first = REJECTED, WORST, WORST
        elif candidate.same_as is not None:
            status, fitness, first = (
                CACHED,
                self.committed[candidate.same_as],
                self.first[candidate.same_as],
            )
        else:
            assert outcome is not None
            status, fitness = outcome.status, outcome.fitness
            first = float(np.mean(outcome.scores[0])) if any(outcome.scores[:1]) else WORST
            if status == EARLY:
                first = math.inf
        self.keep(candidate.number, fitness, first)
        if candidate.phase == self.phase and status != REJECTED:
            self.population.append(self.member(candidate.number, candidate.program, outcome))
        best = outcome is not None and status == OK and self.admit(candidate, outcome)
        self.count(candidate, status)
        return Committed(candidate, status, outcome, fitness, best)

    def keep(self, number: int, fitness: float, first: float) -> None:
        """Remember what later candidates may ask of this one."""
        known = len(self.committed)
        if number >= known:
            self.out.update(range(known, number))
            for values in (self.committed, self.first):
                values.extend([WORST] * (number + 1 - known))
        self.out.discard(number)
        self.committed[number], self.first[number] = fitness, first

    def member(self, number: int, program: Program, outcome: Outcome | None = None) -> Member:
        early = outcome.early if outcome else ()
        scores = outcome.scores[0] if outcome and outcome.scores else ()
        return Member(number, program, self.committed[number], self.first[number], early, scores)

    def admit(self, candidate: Candidate, outcome: Outcome) -> bool:
        """Enter the hall of fame if good enough; True for a new best."""
        score = outcome.select_score
        if score is None:
            return False
        entry = Entry(candidate.number, candidate.program, score, operations(candidate.program))
        rival = next((e for e in self.hall_of_fame if e.operations == entry.operations), None)
        if rival is not None:  # variants that differ in constants or wiring share one place
            if rival.score >= entry.score:
                return False
            self.hall_of_fame.remove(rival)
        self.hall_of_fame.append(entry)
        self.hall_of_fame.sort(key=lambda e: (-e.score, e.number))
        # Of the programs that it was given, only the best has a place: the others may be anything.
        places = 1 if candidate.number < len(self.initial) else self.config.scoring.hall_of_fame
        del self.hall_of_fame[places:]
        return self.hall_of_fame[0] is entry

    def found(self) -> list[Entry]:
        """The hall of fame without the programs that the search was given."""
        return [e for e in self.hall_of_fame if e.number >= len(self.initial)]

    def count(self, candidate: Candidate, status: str) -> None:
        self.tally.candidates += 1
        self.tally.statuses[status] += 1
        self.tally.mutations[candidate.mutation] += 1
        if candidate.reason:
            self.tally.reasons[candidate.reason] += 1
