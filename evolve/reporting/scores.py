"""Scores side by side: a table of verdicts, for a terminal, a notebook and for machines."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evolve.comparison.contest import AS_IT_STANDS, UNTUNED, Verdict
from evolve.reporting.progress import command
from evolve.reporting.tables import Grid
from evolve.scoring.job import OK


@dataclass(frozen=True)
class Scores(Sequence[Verdict]):
    """Optimizers that were scored together, in the order in which they were given.

    Unit    a score is log(loss of the reference / loss): 0 is the reference, 0.1 is 10 % less loss.

    against: what 0 is, such as "tuned AdamW"; schedule: of the learning rate of all, empty for that
    of each task; note: what the title of the table adds; suite_given: what the user called the
    suite, a preset or a file, empty for tasks that stand in a config.
    """

    verdicts: tuple[Verdict, ...]
    suite: str
    seeds: int
    against: str
    schedule: str = ""
    note: str = ""
    suite_given: str = ""

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
        return "\n".join(map(str, self.grids()))

    def _repr_html_(self) -> str:
        return "".join(grid.html() for grid in self.grids())

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
            "against": self.against,
            "verdicts": [verdict.facts() for verdict in self.verdicts],
        }

    @property
    def ranked(self) -> list[Verdict]:
        """Rank them, the best first."""
        return sorted(self.verdicts, key=lambda verdict: -verdict.score)

    def grids(self) -> list[Grid]:
        """Return all that people see: the table, and where there are several tasks one by task."""
        several = any(len(verdict.tasks) > 1 for verdict in self.verdicts)
        return [self.grid(), self.by_task()] if several else [self.grid()]

    def print(self) -> None:
        """Print to standard output."""
        for grid in self.grids():
            grid.print()

    def grid(self) -> Grid:
        """Show the means over tasks, the best first."""
        numbers = ("score", "95 % interval", "size", "state", "cost")
        return Grid(
            columns=("program", "score", "95 % interval", "tuning", *numbers[2:]),
            rows=tuple(map(_row, self.ranked)),
            title=self.title,
            caption="\n".join(
                [
                    f"score: log(loss of {self.against} / loss); higher is better, 0.1 is 10 % "
                    "less loss",
                    "interval: of the seeds, and of the luck of tuning what 0 is and each row that "
                    "was tuned too; the command `compare` tunes all alike and measures it",
                    f"*: above {self.against}, with allowance for the number of finalists",
                    "tuning: how many points or candidates its hyperparameters are the best of",
                    "size: statements; state: buffers per parameter; cost: of a step, in additions "
                    "per parameter",
                    *self._how_to_tune(),
                ]
            ),
            numbers=frozenset(numbers),
        )

    def by_task(self) -> Grid:
        """Show the score on each task, in the order of the table."""
        labels = tuple(dict.fromkeys(t.task for verdict in self.verdicts for t in verdict.tasks))
        rows = []
        for verdict in self.ranked:
            found = {t.task: f"{t.score:+.4f}" for t in verdict.tasks if verdict.status == OK}
            rows.append((verdict.name, *(found.get(label, "") for label in labels)))
        return Grid(
            columns=("program", *labels),
            rows=tuple(rows),
            title=f"{self.suite}: the score by task",
            numbers=frozenset(labels),
        )

    def _how_to_tune(self) -> Iterator[str]:
        """Say who was scored beside tuned ones without having been tuned, and what to do."""
        suite = shlex.quote(self.suite_given or "SUITE")
        if any(_tuning(verdict) == AS_IT_STANDS for verdict in self.verdicts):
            yield (
                "as it stands: with the hyperparameters that it states; "
                f"{command()} tune FILE --suite {suite} tunes them"
            )
        names = [v.name for v in self.verdicts if any(t.tuning == UNTUNED for t in v.tasks)]
        if names:
            yield (
                "untuned: with the hyperparameters that it was published with, which says little "
                "beside tuned ones. Tune first:"
            )
        if plain := [name for name in names if "+" not in name]:
            yield f"  {command()} reference {suite} --optimizers {','.join(plain)}"
        for name in names:
            if "+" in name:
                yield f"  {command()} tune {name} --suite {suite}"


def _tuning(verdict: Verdict) -> str:
    """Say in a cell how the hyperparameters were chosen on all tasks."""
    said = [task.tuning for task in verdict.tasks]
    if UNTUNED in said and set(said) != {UNTUNED}:
        return f"{UNTUNED} on {said.count(UNTUNED)} of {len(said)} tasks"
    return ", ".join(dict.fromkeys(said))


def _row(verdict: Verdict) -> tuple[str, ...]:
    fine = verdict.status == OK
    score = f"{verdict.score:+.4f}" if fine else verdict.status
    return (
        verdict.name,
        score + (" *" if verdict.beats_reference else ""),
        f"{verdict.low:+.4f} to {verdict.high:+.4f}" if fine else "",
        _tuning(verdict),
        str(verdict.statements or ""),
        verdict.state,
        f"{verdict.operations:g}" if verdict.statements else "",
    )
