"""Scores side by side: a table of verdicts, for a terminal, a notebook and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evolve.comparison.contest import Verdict
from evolve.reporting.tables import Grid
from evolve.scoring.job import OK


@dataclass(frozen=True)
class Scores(Sequence[Verdict]):
    """Optimizers that were scored together, in the order in which they were given.

    Unit    a score is log(loss of the reference / loss): 0 is the reference, 0.1 is 10 % less loss.

    against: what 0 is, such as "tuned AdamW"; schedule: of the learning rate of all, empty for that
    of each task; note: what the title of the table adds.
    """

    verdicts: tuple[Verdict, ...]
    suite: str
    seeds: int
    against: str
    schedule: str = ""
    note: str = ""

    def __len__(self) -> int:
        return len(self.verdicts)

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.verdicts)

    def __getitem__(self, at: Any) -> Any:
        """Return a verdict by its number, or by the optimizer's name: `scores["lion"]`."""
        if not isinstance(at, str):
            return self.verdicts[at]
        for verdict in self.verdicts:
            if at in (verdict.name, verdict.name.split(" (")[0]):
                return verdict
        raise KeyError(f"{at}: was not scored; there are: {', '.join(v.name for v in self)}")

    def __repr__(self) -> str:
        return str(self.grid())

    def _repr_html_(self) -> str:
        return self.grid().html()

    @property
    def title(self) -> str:
        """Say what was scored on what."""
        under = f", {self.schedule}" if self.schedule else ""
        note = f" ({self.note})" if self.note else ""
        return f"{self.suite}: {self.seeds} fresh seeds, test part{under}{note}"

    def facts(self) -> dict[str, Any]:
        """Return plain data, which JSON can hold."""
        return {
            "suite": self.suite,
            "seeds": self.seeds,
            "part": "test",
            "schedule": self.schedule,
            "verdicts": [verdict.facts() for verdict in self.verdicts],
        }

    def grid(self) -> Grid:
        """Rank them, the best first."""
        numbers = ("score", "95 % interval", "statements", "state buffers", "operations")
        ranked = sorted(self.verdicts, key=lambda verdict: -verdict.score)
        return Grid(
            columns=("program", *numbers),
            rows=tuple(map(_row, ranked)),
            title=self.title,
            caption=(
                f"score: log(loss of {self.against} / loss); higher is better, 0.1 is 10 % less "
                "loss\n"
                "state buffers and operations (cost of a step, in additions): per parameter\n"
                f"*: above {self.against}, with allowance for the number of finalists"
            ),
            numbers=frozenset(numbers),
        )


def _row(verdict: Verdict) -> tuple[str, ...]:
    fine = verdict.status == OK
    score = f"{verdict.score:+.4f}" if fine else verdict.status
    return (
        verdict.name,
        score + (" *" if verdict.beats_reference else ""),
        f"{verdict.low:+.4f} to {verdict.high:+.4f}" if fine else "",
        str(verdict.statements or ""),
        verdict.state,
        f"{verdict.operations:g}" if verdict.statements else "",
    )
