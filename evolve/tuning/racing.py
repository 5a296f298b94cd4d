"""Racing: the best of many points, told apart by as few trainings as it takes.

Points are tried in stages: the first over the whole ranges, each later one in a box around the best
so far. In a stage all points are trained on one seed, the best third of them on two more, a third
of those on five more, and so on: everybody who is compared is compared on the same seeds. Those
that come to the end of their stage are finalists, and race again on seeds that nobody has seen,
because the best of many noisy means is a lucky one.

A training that diverges is the worst there is, and its point is trained no more. All comes from the
budget, the ranges and a number, `scramble`, and nothing from a clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from evolve.tuning.model import Model
from evolve.tuning.ranges import around, ends, is_inside, points, position_of
from primitives import Hyperparameter

ROUNDS = (1, 3, 8, 16)  # seeds on which a point has been trained at the end of each round
FINAL_ROUNDS = (8, 16, 32)  # the same in the race of the finalists
DRAWN = 16  # of so many points one is trained, once there is something to tell them apart by
KEPT = 3  # of so many points one goes on to the next round

SEARCH, SELECT = "search", "select"  # what seeds are for


class Stage(NamedTuple):
    """Points that are trained together, against each other."""

    share: float  # of the budget
    boxes: int  # around so many of the best so far
    narrower: float  # a box of this stage is such a share of one of the stage before


STAGES = (Stage(0.28, 1, 1.0), Stage(0.22, 1, 1.5), Stage(0.18, 4, 0.5), Stage(0.17, 2, 0.5))
"""What is left of the budget is for the finalists."""

Loss = Callable[[dict[str, float], str, int], float]
"""The log loss of values in the seed of some number that is for something; inf for divergence."""


@dataclass
class Trial:
    """One point, and the log losses that it came to, by seed."""

    box: int  # in which it lies
    number: int  # in there
    values: dict[str, float]
    losses: list[float] = field(default_factory=list[float])
    final: list[float] = field(default_factory=list[float])  # in the race of the finalists


@dataclass(frozen=True)
class Raced:
    """What came out of a race."""

    best: Trial
    boxes: list[list[Hyperparameter]]  # in which points lie, the first of them the whole ranges
    trials: list[Trial]  # all of them
    trainings: int  # that were spent

    @property
    def explored(self) -> list[Hyperparameter]:
        """The ranges from the lowest to the highest end of all boxes."""
        return [
            replace(h[0], low=min(ends(x)[0] for x in h), high=max(ends(x)[1] for x in h))
            for h in zip(*self.boxes, strict=True)
        ]

    @property
    def interior(self) -> dict[str, bool]:
        """Tell of each hyperparameter whether its best value lies inside what was explored."""
        return _interior(self.explored, self.best.values)


class Hopeless(ValueError):
    """No point can be chosen, and what is raised says why."""


def race(
    ranges: Sequence[Hyperparameter],
    loss: Loss,
    budget: int,
    scramble: int = 0,
    done: Callable[[int], object] = lambda count: None,
) -> Raced:
    """Choose values for hyperparameters with a budget of trainings.

    After the first stage, points are not taken as they are drawn: of `DRAWN` times as many, those
    are trained that a smooth model of all losses so far holds for best.
    Where the best value lies at an edge of what was explored, the next box is as wide as the last
    one and is centred there, so that it reaches beyond: a range is widened within the budget.

    done: is told how many trainings there were. Raises `Hopeless`.
    """
    spent = 0

    def train(trials: Sequence[Trial], upto: int, what: str) -> None:
        nonlocal spent
        for trial in trials:
            losses = trial.losses if what == SEARCH else trial.final
            for seed in range(len(losses), upto):
                losses.append(loss(trial.values, what, seed))
                spent += 1
                done(spent)
                if math.isinf(losses[-1]):
                    break

    def rounds(trials: list[Trial], upto: Sequence[int], what: str) -> list[Trial]:
        """Return those that come to the last round, the best first."""
        for number, seeds in enumerate(upto):
            if number:
                trials = trials[: math.ceil(len(trials) / KEPT)]
            train(trials, seeds, what)
            trials = _ranked(trials, what)
        return trials

    tried: list[Trial] = []
    arrived: list[Trial] = []
    boxes: list[list[Hyperparameter]] = []
    widths = {h.name: 1.0 for h in ranges}
    least = min(stage.share for stage in STAGES)
    upto = _worthwhile(round(least * budget), ROUNDS)
    share = 0.0
    for stage in STAGES:
        share += stage.share
        count = _affordable(round(share * budget) - spent, upto)
        if boxes and not count:
            continue
        new, model = [list(ranges)], None
        if arrived:
            inside = Raced(arrived[0], boxes, tried, spent).interior
            widths = {n: w * stage.narrower if inside[n] else w for n, w in widths.items()}
            new = [
                [around(h, centre.values[h.name], widths[h.name]) for h in ranges]
                for centre in arrived[: min(stage.boxes, count)]
            ]
            model = Model(ranges, [t.values for t in tried], [t.losses for t in tried])
        count = max(1, count // len(new))
        trials: list[Trial] = []
        for box in new:
            drawn = points_of(box, count * (DRAWN if model else 1), scramble, len(boxes))
            chosen = model.best(drawn, count) if model else range(count)
            trials += [Trial(len(boxes), number, drawn[number]) for number in chosen]
            boxes.append(box)
        tried += trials
        arrived = _ranked(arrived + rounds(trials, upto, SEARCH), SEARCH)
        _see_that_they_differ(tried)
    if not arrived:
        raise Hopeless("training diverges at every point that was tried")

    left = budget - spent
    upto = _worthwhile(left, FINAL_ROUNDS)
    count = _affordable(left, upto)
    best = rounds(arrived[:count], upto, SELECT) if count else arrived
    others = [t for t in arrived + _ranked(tried, SEARCH) if not t.final]
    while not best and others:  # rare blow-ups of all finalists: dearer than the budget
        best = rounds(others[: max(1, count)], upto, SELECT)
        others = others[max(1, count) :]
    if not best:
        raise Hopeless("training diverges now and then at each of the best points")
    return Raced(best[0], boxes, tried, spent)


def points_of(
    box: Sequence[Hyperparameter], count: int, scramble: int, number: int
) -> list[dict[str, float]]:
    """Return the points of a race in the box of some number."""
    return points(box, count, (scramble, number) if scramble or number else ())


def _ranked(trials: Sequence[Trial], what: str) -> list[Trial]:
    """Return those that never diverged, by their mean log loss, so that no seed dominates."""

    def key(trial: Trial) -> tuple[float, int, int]:
        losses = trial.losses if what == SEARCH else trial.final
        return math.fsum(losses) / len(losses), trial.box, trial.number

    return sorted((t for t in trials if math.isfinite(key(t)[0])), key=key)


def _affordable(budget: int, rounds: Sequence[int]) -> int:
    """Return how many points can start on some rounds with a budget of trainings."""
    count = 0
    while _price(count + 1, rounds) <= budget:
        count += 1
    return count


def _worthwhile(budget: int, rounds: Sequence[int]) -> Sequence[int]:
    """Return the first of some rounds, so many that at least one point is dropped in each."""
    some = len(rounds)
    while some > 1 and _affordable(budget, rounds[:some]) < KEPT ** (some - 1):
        some -= 1
    return rounds[:some]


def _price(count: int, rounds: Sequence[int]) -> int:
    """Return the trainings of so many points, where none diverges."""
    price, before = 0, 0
    for seeds in rounds:
        price += count * (seeds - before)
        before, count = seeds, math.ceil(count / KEPT)
    return price


def _interior(ranges: Sequence[Hyperparameter], values: dict[str, float]) -> dict[str, bool]:
    return {h.name: is_inside(position_of(h, values[h.name])) for h in ranges}


def _see_that_they_differ(trials: Sequence[Trial]) -> None:
    """Raise `Hopeless` where the loss is the same at all of several points."""
    losses = {trial.losses[0] for trial in trials}
    if len(losses) == 1 and len(trials) >= 4 and math.isfinite(loss := losses.pop()):
        raise Hopeless(
            f"the loss is {math.exp(loss):.6g} at every point that was tried, so no log ratio "
            "tells optimizers apart: let `evaluate` depend on what is trained"
        )
