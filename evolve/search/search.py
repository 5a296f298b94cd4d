"""Regularized evolution, as a function of config and seed alone.

    population = copies of the initial programs
    for i = 0, 1, 2, ...:
        commit the outcome of candidate i - lag     # in this order, whenever it arrived
        parent = best of a random tournament
        child  = mutate(parent)                     # drawn with a generator keyed by (seed, i)
        score it, unless an equal program has been scored or a cheap test rejects it
        when it is committed: add it to the population, remove the oldest

Candidate i depends on the outcomes of candidates up to i - lag and on nothing else, so any number
of workers in any order give the same run, and resuming is replaying. (In the order of arrival, a
setting for clusters with stragglers, it depends on the first i - lag outcomes that came: on config,
seed and that order, which is recorded.)

The sequence is cut into phases: the first ones start again from the initial programs (other local
optima), the later ones from the best so far.

Source: Real et al. 2019, arXiv:1802.01548; Chen et al. 2023, arXiv:2302.06675, section 2.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evolve.config.schema import Config
from evolve.scoring.job import EARLY, WORST, Job, Outcome
from evolve.search.candidate import (
    ASCENT,
    CACHED,
    NO_GRADIENT,
    REJECTED,
    Candidate,
    Committed,
    Member,
    Tally,
    generator,
    in_all_uses,
)
from evolve.search.controls import random_program, tweak
from evolve.search.hall_of_fame import HallOfFame
from evolve.search.hurdles import Hurdles
from evolve.search.memory import Scores, Seen
from evolve.search.mutation import Child, mutate, space_of
from primitives import Program
from primitives.canonical.graph import graph
from primitives.canonical.liveness import prune
from primitives.canonical.probe import probe


class Search:
    """The state of a search: a function of the config and of the outcomes committed so far."""

    def __init__(self, config: Config, initial: Sequence[Program]):
        """initial: what the first phases start from; the tasks of the config are written out.

        Raises `ConfigError` for a mutation that nobody knows.
        """
        settings, scoring = config.search, config.scoring
        assert not isinstance(config.suite, str), "a search needs the tasks, not their name"
        self.config, self.settings = config, settings

        # What a docstring says of a program is not true of its children.
        programs = [replace(program, doc="") for program in initial]
        self.initial = [] if settings.kind == "random" else programs
        self.like = programs[0]  # whose state the `random` control takes
        # A known optimizer that first moves after many steps does not descend on the probe; nor do
        # its children.
        self.rejects_ascent = all(probe(graph(program)).descends for program in programs)

        self.space = space_of(settings)
        self.seeds = tuple(f"{config.seed}:search:{k}" for k in range(scoring.seeds))
        self.select_seeds = tuple(f"{config.seed}:select:{k}" for k in range(scoring.select_seeds))
        self.hurdles = Hurdles(scoring, len(config.suite))

        self.phase = -1
        self.population: deque[Member] = deque(maxlen=settings.population)
        self.hall_of_fame = HallOfFame(scoring.hall_of_fame, given=len(self.initial))
        self.seen = Seen()
        self.scores = Scores()
        self.tally = Tally()

    @property
    def commits(self) -> int:
        """How many outcomes are committed."""
        return len(self.scores)

    def needed(self, number: int) -> int:
        """Return how many outcomes must be committed before this candidate can be drawn."""
        if number == len(self.initial):
            return number
        return max(0, number - self.settings.lag)

    # --- breeding ---------------------------------------------------------------------------------

    def draw(self, number: int) -> Candidate:
        """Breed candidate `number` from what is committed."""
        if number < len(self.initial):
            candidate = self.judge(number, 0, None, Child(self.initial[number], "initial"))
        else:
            phase = number // self.settings.phase
            if phase != self.phase:
                self.begin(phase)
            parent, child = self.breed(generator(self.config.seed, number))
            candidate = self.judge(number, phase, parent, child)
        self.seen.add(candidate)
        return candidate

    def begin(self, phase: int) -> None:
        """Fill the population with the programs that the phase starts from."""
        self.phase = phase
        self.population.clear()
        if self.settings.kind == "random":
            return

        if phase >= self.settings.repeats and self.hall_of_fame:
            best = self.hall_of_fame.best
            starts = [(best.number, best.program)]
        else:
            starts = list(enumerate(self.initial))
        for k in range(self.settings.population):
            number, program = starts[k % len(starts)]
            self.population.append(self.member(number, program))

    def breed(self, rng: np.random.Generator) -> tuple[int | None, Child]:
        """Draw a child, and the number of its parent where it has one."""
        if self.settings.kind == "random":
            return None, random_program(self.like, self.space, rng)
        parent = self.tournament(rng)
        if self.settings.kind == "constants":
            return parent.number, tweak(parent.program, rng)
        return parent.number, mutate(parent.program, self.space, rng)

    def tournament(self, rng: np.random.Generator) -> Member:
        """Return the fittest of a few members drawn at random; the first drawn among equals."""
        picks = rng.integers(len(self.population), size=self.settings.tournament)
        return max((self.population[p] for p in picks), key=lambda m: m.fitness)

    def judge(self, number: int, phase: int, parent: int | None, child: Child) -> Candidate:
        """Name the program, look it up, and try to reject it cheaply."""
        values = graph(child.program)
        key = in_all_uses(child.program, values.key)

        def candidate(**found: Any) -> Candidate:
            name = child.mutation
            return Candidate(number, phase, parent, name, child.program, key, **found)

        same = self.seen.keys.get(key)
        if same is not None:
            return candidate(same_as=same)
        if not values.uses("g"):
            return candidate(reason=NO_GRADIENT)

        moves = probe(values)
        if self.rejects_ascent and not moves.descends:
            return candidate(reason=ASCENT)
        behaviour = in_all_uses(child.program, moves.key)
        same = self.seen.probes.get(behaviour)
        if same is not None:
            return candidate(same_as=same)
        return candidate(probe=behaviour, job=self.job(child.program))

    def job(self, program: Program) -> Job:
        """Say what a worker shall do with a program: which seeds, and where it may stop."""
        return Job(
            str(prune(program)),
            self.seeds,
            at=self.config.scoring.early,
            early=self.hurdles.early(self.population),
            hurdle=self.hurdles.first_seed(self.population),
            select=self.select_seeds,
            bar=self.hall_of_fame.bar(start=self.scores.best(range(len(self.initial)))),
            schedule=self.config.schedule,
        )

    # --- committing -------------------------------------------------------------------------------

    def commit(self, candidate: Candidate, outcome: Outcome | None) -> Committed:
        """Take the next outcome, in the order of the settings.

        `outcome` is None where no worker was asked.
        """
        number, program = candidate.number, candidate.program
        if number in self.scores:
            raise RuntimeError(f"candidate {number} has an outcome already")
        status, fitness, first = self.result(candidate, outcome)
        self.scores.keep(number, fitness, first)

        if candidate.phase == self.phase and status != REJECTED:
            self.population.append(self.member(number, program, outcome))  # the oldest leaves
        best = self.hall_of_fame.admit(candidate, status, outcome)

        committed = Committed(candidate, status, outcome, fitness, best)
        self.tally.add(committed)
        return committed

    def result(self, candidate: Candidate, outcome: Outcome | None) -> tuple[str, float, float]:
        """Return the status of a candidate, its fitness, and its score in the first seed."""
        if candidate.reason:
            return REJECTED, WORST, WORST
        same = candidate.same_as
        if same is not None:
            return CACHED, self.scores.fitness[same], self.scores.first[same]

        assert outcome is not None
        if outcome.status == EARLY:
            first = math.inf
        else:
            first = float(np.mean(outcome.scores[0])) if any(outcome.scores[:1]) else WORST
        return outcome.status, outcome.fitness, first

    def member(self, number: int, program: Program, outcome: Outcome | None = None) -> Member:
        """Make a member of the population of a candidate whose scores are known."""
        early = outcome.early if outcome else ()
        scores = outcome.scores[0] if outcome and outcome.scores else ()
        fitness, first = self.scores.fitness[number], self.scores.first[number]
        return Member(number, program, fitness, first, early, scores)
