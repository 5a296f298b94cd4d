"""What a tuning has found."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evolve.comparison.contest import AS_IT_STANDS
from evolve.comparison.statistics import LEVEL, interval
from evolve.files import read_json
from evolve.reporting.tables import preformatted
from primitives import Program


@dataclass(frozen=True)
class Tuned:
    """The hyperparameters that a tuning chose, and how a program does with them.

    Unit    `score` is log(loss of the reference / loss) on the test part, a mean over fresh seeds
            that nothing was chosen by, with its 95 % interval from `low` to `high`.

    against: what 0 is; values: the chosen ones by name; before: those of the program as it stood;
    trials: how many points ended how; path: the tuned program's file; facts: all that the tuning
    wrote down.
    """

    program: Program
    values: dict[str, float]
    before: dict[str, float]
    score: float
    low: float
    high: float
    seeds: int
    against: str
    trials: dict[str, int]
    path: Path
    facts: dict[str, Any]

    @classmethod
    def of(cls, program: Program, facts: dict[str, Any], folder: Path, against: str) -> Tuned:
        """Make it from what a tuning wrote down."""
        values, scores = facts["values"], facts["test"]
        low, high = interval(scores, LEVEL)
        return cls(
            program=program.with_values(values),
            values=values,
            before={name: program.values[name] for name in values},
            score=sum(scores) / len(scores),
            low=low,
            high=high,
            seeds=len(scores),
            against=against,
            trials=facts["trials"],
            path=folder / "program.py",
            facts=facts,
        )

    def __repr__(self) -> str:
        ended = ", ".join(f"{count} {status}" for status, count in self.trials.items())
        lines = [f"{self.program.name}: {ended}"]
        for name, value in self.values.items():
            lines.append(f"  {name} = {value:g}  (was {self.before[name]:g})")
        lines.append(
            f"{self.score:+.4f} ({self.low:+.4f} to {self.high:+.4f}) on the test part, in "
            f"{self.seeds} fresh seeds; 0 is {self.against}"
        )
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return preformatted(repr(self))


def tuning_of(file: Path, program: Program) -> str:
    """Say how the hyperparameters in a program's file were chosen: by the tuning beside it?"""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        found = read_json(file.parent / "tuned.json")
        if program.values | found["values"] == program.values:
            return f"{sum(found['trials'].values()):,} trials"
    return AS_IT_STANDS
