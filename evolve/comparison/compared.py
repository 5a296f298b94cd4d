"""What a comparison found, computed from the cells: scores, intervals, steps, cost, verdicts.

Every contestant is relative to the first one, the reference, which was tuned like the others. A
score is log(loss of the reference / loss) in the same seed: 0.1 is 10 % less loss.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from evolve.comparison.cell import HORIZONS, RATES, counted
from evolve.comparison.equivalent import Equivalent, equivalent_steps, width_of_rates
from evolve.comparison.profile import geometric_mean, performance_profile, profile_score, ratios
from evolve.comparison.statistics import (
    LEVEL,
    NO_LUCK,
    Difference,
    Luck,
    interquartile_mean,
    interval,
    luck_of_mean,
    luck_on_task,
    pairwise,
    shared_level,
    tuning_variance,
)
from primitives.statements import LEARNING_RATE

DECAY = "weight_decay"
LENGTHS = (*HORIZONS, 1.0)  # of schedules, as shares of all steps


@dataclass(frozen=True)
class Standing:
    """How one contestant does on all tasks together.

    Unit    score, low, high, quartile: log(loss of the reference / loss), a mean over tasks.

    quartile: the interquartile mean over tasks and seeds. steps: equivalent ones, the geometric
    mean over tasks; bounded: on so many tasks it is only a bound. profile: the integral of the
    performance profile in steps. seconds: of a step, over the reference's, geometric mean. state:
    numbers kept for each parameter, median. width: by what factor the rate may vary within 5 % of
    the best loss, geometric mean. diverged: share of the trainings.
    """

    name: str
    tuning: str
    score: float
    low: float
    high: float
    quartile: float
    steps: float
    bounded: int
    profile: float
    seconds: float
    state: float
    width: float
    diverged: float
    ahead: int  # tasks on which its interval lies above 0, allowing for all tasks and contestants
    behind: int


@dataclass(frozen=True)
class Compared:
    """All that a comparison found.

    names: of the contestants, the reference first; tunings: how each came to its values; tasks:
    their labels; cells: what was trained, by contestant and task.
    """

    names: tuple[str, ...]
    tunings: tuple[str, ...]
    tasks: tuple[str, ...]
    cells: tuple[tuple[dict[str, Any], ...], ...]  # [contestant][task]

    @property
    def seeds(self) -> int:
        """Return how many seeds the table has."""
        return len(self.cells[0][0]["starts"])

    def log_losses(self, who: int, task: int) -> Float[np.ndarray, "tuning seed"]:
        """Return the log losses of all tunings; a diverged training counts as not training."""
        cell = self.cells[who][task]
        return np.array([counted(row, cell["starts"]) for row in cell["losses"]])

    def chosen(self, who: int, task: int) -> Float[np.ndarray, " seed"]:
        """Return the log losses of the better tuning."""
        return self.log_losses(who, task)[self.cells[who][task]["chosen"]]

    @cached_property
    def scores(self) -> dict[str, Float[np.ndarray, "seed task"]]:
        """Return the scores of all contestants."""
        tasks = range(len(self.tasks))
        reference = np.stack([self.chosen(0, task) for task in tasks], axis=1)
        return {
            name: reference - np.stack([self.chosen(who, task) for task in tasks], axis=1)
            for who, name in enumerate(self.names)
        }

    @cached_property
    def lucks(self) -> tuple[Luck, ...]:
        """Return the luck of tuning on each task, pooled over those that were tuned."""
        return tuple(map(self._luck, range(len(self.tasks))))

    def _luck(self, task: int) -> Luck:
        losses = [self.log_losses(who, task) for who in range(len(self.names))]
        several = [rows for rows in losses if len(rows) > 1]
        if not several:
            return NO_LUCK
        return luck_on_task([tuning_variance(rows) for rows in several], len(several[0]))

    @cached_property
    def differences(self) -> list[Difference]:
        """Return all pairs, with intervals that allow for how many they are."""
        return pairwise(self.scores, self.lucks)

    def against_reference(self, name: str) -> Difference:
        """Return how a contestant differs from the reference, with allowance for all pairs."""
        for found in self.differences:
            if {found.one, found.other} == {name, self.names[0]}:
                return found if found.one == name else reverse(found)
        raise KeyError(name)

    def on_task(self, name: str, task: int, level: float = LEVEL) -> tuple[float, float, float]:
        """Return the score on one task, and its interval with the luck of both tunings."""
        row = self.scores[name][:, task]
        if name == self.names[0]:
            return 0.0, 0.0, 0.0
        low, high = interval(row, level, luck_of_mean([self.lucks[task]]))
        return float(np.mean(row)), low, high

    @cached_property
    def standings(self) -> list[Standing]:
        """Return how everybody stands, the best first."""
        found = [self._standing(who) for who in range(len(self.names))]
        return sorted(found, key=lambda standing: -standing.score)

    def _standing(self, who: int) -> Standing:
        name, tasks, mine = self.names[who], range(len(self.tasks)), self.cells[who]
        scores = self.scores[name]
        means = scores.mean(axis=1)
        luck = luck_of_mean(self.lucks)
        low, high = interval(means, LEVEL, luck) if who else (0.0, 0.0)
        comparisons = len(self.tasks) * max(1, len(self.names) - 1)
        strict = [self.on_task(name, t, shared_level(LEVEL, comparisons)) for t in tasks]
        steps = [self.equivalent(who, task) for task in tasks]
        trained = [x for task in tasks for row in mine[task]["losses"] for x in row]
        return Standing(
            name=name,
            tuning=self.tunings[who],
            score=float(means.mean()),
            low=low,
            high=high,
            quartile=interquartile_mean(scores),
            steps=geometric_mean([x.factor for x in steps]),
            bounded=sum(x.censored for x in steps),
            profile=profile_score(self.ratios_of_times[who]),
            seconds=_middle([mine[task]["seconds"] for task in tasks])
            / _middle([cell["seconds"] for cell in self.cells[0]]),
            state=float(np.median([mine[task]["state"] for task in tasks])),
            width=_middle([w for task in tasks if (w := self.width(who, task)) is not None]),
            diverged=sum(x is None for x in trained) / len(trained),
            ahead=sum(at[1] > 0 for at in strict),
            behind=sum(at[2] < 0 for at in strict),
        )

    # --- steps and rates --------------------------------------------------------------------------

    def curve(self, who: int, task: int) -> Float[np.ndarray, " horizon"]:
        """Return the mean log loss at the end of schedules of all lengths, the whole one last."""
        cell = self.cells[who][task]
        rows = [counted(row, cell["starts"]) for row in cell["horizons"]]
        whole = float(self.chosen(who, task).mean())
        return np.array([*(float(np.mean(row)) for row in rows), whole])

    def equivalent(self, who: int, task: int) -> Equivalent:
        """Return the equivalent steps on a task: 1.25 where 1/1.25 of the reference's suffice."""
        ours, reference = self.curve(who, task), self.curve(0, task)
        if not len(ours) == len(reference) == len(LENGTHS):
            return Equivalent(math.nan, False)
        return equivalent_steps(np.array(LENGTHS), ours, reference)

    @cached_property
    def ratios_of_times(self) -> Float[np.ndarray, "contestant task"]:
        """Return the steps to the reference's final loss, over those of the fastest; inf for none.

        The reference needs all of its steps; whoever ends above it does not come there.
        """
        tasks = range(len(self.tasks))
        factors = [
            [self.equivalent(who, task).factor for task in tasks] for who in range(len(self.names))
        ]
        return ratios(np.array([[1 / x if x >= 1 else math.inf for x in row] for row in factors]))

    @property
    def profiles(self) -> dict[str, tuple[Any, Any]]:
        """Return the performance profiles in steps: (tau, share of the tasks) of each."""
        found = zip(self.names, self.ratios_of_times, strict=True)
        return {name: performance_profile(row) for name, row in found}

    def rate_curve(self, who: int, task: int) -> Float[np.ndarray, " rate"]:
        """Return the mean log losses at other learning rates, inf where a training diverges."""
        rows = self.cells[who][task]["rates"]
        return np.array([np.mean([math.inf if x is None else x for x in row]) for row in rows])

    def width(self, who: int, task: int) -> float | None:
        """Return by what factor the rate may vary within 5 % of the best; None without a rate."""
        if not self.cells[who][task]["rates"]:
            return None
        return width_of_rates(np.array(RATES), self.rate_curve(who, task)).ratio

    def tuned_ratios(self, who: int, name: str) -> list[float]:
        """Return a tuned hyperparameter over the reference's of that name, on each task.

        Empty where one of the two has none, and without tasks where one of the two is 0.
        """
        found = []
        for mine, its in zip(self.cells[who], self.cells[0], strict=True):
            ours, theirs = (cell["tunings"][cell["chosen"]].get(name) for cell in (mine, its))
            if ours and theirs:
                found.append(ours / theirs)
        return found

    def translation(self) -> list[tuple[str, str, float, float, int]]:
        """Translate hyperparameters: how rates and decays relate to the reference's.

        Lists (contestant, hyperparameter, geometric mean of the ratio, its geometric standard
        deviation over tasks, number of tasks).
        """
        rows = []
        for who, contestant in enumerate(self.names[1:], 1):
            for name in (LEARNING_RATE, DECAY):
                if len(found := np.log(self.tuned_ratios(who, name))) > 1:
                    spread = float(np.exp(np.std(found, ddof=1)))
                    rows.append((contestant, name, float(np.exp(found.mean())), spread, len(found)))
        return rows


def reverse(found: Difference) -> Difference:
    """Return the same difference seen from the other side."""
    one, other, mean, low, high, sure = found
    return Difference(other, one, -mean, -high, -low, sure)


def _middle(values: Sequence[float]) -> float:
    """Return the geometric mean of those that are finite and above 0; nan where none is."""
    found = [x for x in values if math.isfinite(x) and x > 0]
    return float(np.exp(np.mean(np.log(found)))) if found else math.nan
