"""A comparison for people: tables, plain sentences, figures, and files for machines."""

from __future__ import annotations

import csv
import html
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from evolve.comparison.cell import RATES
from evolve.comparison.compared import Compared, Standing
from evolve.comparison.contest import AS_IT_STANDS, finite
from evolve.files import replace_file
from evolve.reporting import figures
from evolve.reporting.tables import Grid
from primitives.statements import LEARNING_RATE

NUMBERS = frozenset(
    (
        "score",
        "interval",
        "quartile mean",
        "steps",
        "time",
        "profile",
        "seconds",
        "state",
        "rate",
        "ahead",
    )
)


@dataclass(frozen=True)
class Comparison:
    """What a comparison found, for a terminal, a notebook and files.

    against: what 0 is; notes: what has to be said of how it came about; path: the folder with all
    that was trained.
    """

    compared: Compared
    suite: str
    against: str
    notes: tuple[str, ...]
    path: Path

    def __repr__(self) -> str:
        return "\n".join([*map(str, self.grids()), *self.sentences()])

    def _repr_html_(self) -> str:
        said = "".join(f"<p>{html.escape(line)}</p>" for line in self.sentences())
        return "".join(grid.html() for grid in self.grids()) + said

    def __getitem__(self, name: str) -> Standing:
        """Return how a contestant stands."""
        for standing in self.compared.standings:
            if standing.name == name:
                return standing
        raise KeyError(f"{name}: took no part; there are: {', '.join(self.compared.names)}")

    # --- tables -----------------------------------------------------------------------------------

    def grids(self) -> list[Grid]:
        """Return all tables."""
        tables = [self.grid(), self.by_task(), self.pairs()]
        return tables + [self.translation()] * bool(self.compared.translation())

    def grid(self) -> Grid:
        """Show how everybody stands, the best first."""
        return Grid(
            columns=(
                "optimizer", "score", "interval", "quartile mean", "steps", "time", "profile",
                "seconds", "state", "rate", "ahead", "diverged",
            ),
            rows=tuple(map(_row, self.compared.standings)),
            title=(
                f"{self.suite}: {len(self.compared.tasks)} tasks, {self.compared.seeds} fresh "
                "seeds, test part"
            ),
            caption="\n".join(
                [
                    f"score: log(loss of {self.against} / loss), mean over tasks; 0.1 is 10 % less "
                    "loss; interval: 95 %, of seeds and of the luck of tuning",
                    "quartile mean: of the middle half of all tasks and seeds",
                    f"steps: equivalent ones: 1.25 needs 1/1.25 of the steps of {self.against} for "
                    "its loss; ≥ or ≤ where a task gives only a bound",
                    f"time: the same in seconds, where a step takes as many of {self.against}'s as "
                    "`seconds` says (small tasks, this machine)",
                    "profile: integral of the performance profile in steps up to 4 times the best, "
                    "1 is first everywhere",
                    "state: numbers kept for each parameter; rate: by what factor the learning "
                    "rate may vary within 5 % of the best loss",
                    "ahead: tasks on which the interval lies above 0 : below 0, allowing for all "
                    "tasks and contestants",
                    *(f"{s.name}: {s.tuning}" for s in self.compared.standings[:1]),
                ]
            ),
            numbers=NUMBERS,
        )  # fmt: skip

    def by_task(self) -> Grid:
        """Show the scores on each task, and what of them is luck."""
        names = [s.name for s in self.compared.standings if s.name != self.compared.names[0]]
        rows = []
        for task, label in enumerate(self.compared.tasks):
            cells = []
            for name in names:
                score, low, high = self.compared.on_task(name, task)
                cells.append(f"{score:+.3f}{'*' if low > 0 or high < 0 else ''}")
            noise = self.compared.scores[names[0]][:, task].std(ddof=1) if names else math.nan
            luck = self.compared.lucks[task].error
            rows.append((label, *cells, f"{luck:.3f}", f"{noise:.3f}"))
        return Grid(
            columns=("task", *names, "luck", "noise"),
            rows=tuple(rows),
            title=f"{self.suite}: the score on each task",
            caption=(
                "*: the 95 % interval of this one number does not hold 0; luck: standard deviation "
                "of one tuning; noise: of one seed, first column"
            ),
            numbers=frozenset((*names, "luck", "noise")),
        )

    def pairs(self) -> Grid:
        """Show all pairwise differences: the row minus the column."""
        order = [standing.name for standing in self.compared.standings]
        found = {(d.one, d.other): (d.mean, d.distinguishable) for d in self.compared.differences}
        found |= {(b, a): (-mean, sure) for (a, b), (mean, sure) in found.items()}

        def cell(one: str, other: str) -> str:
            if one == other:
                return ""
            mean, sure = found[one, other]
            return f"{mean:+.3f}{'*' if sure else ''}"

        return Grid(
            columns=("minus", *order),
            rows=tuple((one, *(cell(one, other) for other in order)) for one in order),
            title=f"{self.suite}: all differences",
            caption="*: distinguishable, with allowance for the number of pairs",
            numbers=frozenset(order),
        )

    def translation(self) -> Grid:
        """Show how tuned rates and decays relate to the reference's."""
        return Grid(
            columns=("optimizer", "hyperparameter", "ratio", "spread", "tasks"),
            rows=tuple(
                (who, name, f"{ratio:.3g}", f"×÷ {spread:.2g}", str(count))
                for who, name, ratio, spread, count in self.compared.translation()
            ),
            title=f"what is tuned, over that of {self.against}",
            caption="ratio: geometric mean over tasks; spread: its geometric standard deviation",
            numbers=frozenset(("ratio", "spread", "tasks")),
        )

    # --- sentences --------------------------------------------------------------------------------

    def sentences(self) -> list[str]:
        """Say in plain words what the data show, and what they do not."""
        compared = self.compared
        others = [s for s in compared.standings if s.name != compared.names[0]]
        found = {s.name: compared.against_reference(s.name) for s in others}
        said = []
        for word, chosen in (
            ("better than", [s for s in others if found[s.name].low > 0]),
            ("worse than", [s for s in others if found[s.name].high < 0]),
        ):
            if chosen:
                listed = ", ".join(
                    f"{s.name} ({s.score:+.3f}, {found[s.name].low:+.3f} to "
                    f"{found[s.name].high:+.3f}; ahead on {s.ahead}, behind on {s.behind} of "
                    f"{len(compared.tasks)})"
                    for s in chosen
                )
                said.append(f"On {self.suite}, {word} {self.against}: {listed}.")
        level = [s for s in others if found[s.name].low <= 0 <= found[s.name].high]
        if level:
            listed = ", ".join(
                f"{s.name} ({s.score:+.3f}, {found[s.name].low:+.3f} to {found[s.name].high:+.3f})"
                for s in level
            )
            said.append(f"Not distinguishable from {self.against}: {listed}.")
        said += self._first_two()
        said.append(self._limits())
        return said + [f"Note: {note}." for note in self.notes]

    def _first_two(self) -> list[str]:
        first, *others = self.compared.standings
        alike = [
            other.name
            for other in others
            if not any(
                d.distinguishable
                for d in self.compared.differences
                if {d.one, d.other} == {first.name, other.name}
            )
        ]
        if first.name == self.compared.names[0] or not others:
            return []
        if not alike:
            return [f"{first.name} is first, and distinguishable from all others."]
        return [f"{first.name} comes first and cannot be told from {', '.join(alike)}."]

    def _limits(self) -> str:
        cells = [cell for row in self.compared.cells for cell in row]
        sizes, steps = ([cell[what] for cell in cells] for what in ("parameters", "steps"))
        tunings = sorted({s.tuning for s in self.compared.standings} - {AS_IT_STANDS})
        how = f"each with {'; '.join(tunings)} on each task" if tunings else "none of them tuned"
        few = "one task" if len(self.compared.tasks) == 1 else f"{len(self.compared.tasks)} tasks"
        more = ""
        if len(self.compared.tasks) < 3:
            more += " So few tasks say nothing of others."
        if self.compared.seeds < 5:
            more += (
                f" {self.compared.seeds} seeds make intervals that are hardly more than guesses."
            )
        return (
            f"That holds for {few} of {_range(sizes)} parameters and {_range(steps)} steps, "
            f"{how}; larger models and longer trainings are not in it.{more}"
        )

    # --- files ------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Return plain data, which JSON can hold."""
        compared = self.compared
        return {
            "suite": self.suite,
            "against": self.against,
            "seeds": compared.seeds,
            "tasks": list(compared.tasks),
            "standings": [finite(asdict(s)) for s in compared.standings],
            "scores": {name: rows.tolist() for name, rows in compared.scores.items()},
            "differences": [finite(d._asdict()) for d in compared.differences],
            "luck": [luck.error for luck in compared.lucks],
            "values": {
                name: {
                    label: cell["tunings"][cell["chosen"]]
                    for label, cell in zip(compared.tasks, row, strict=True)
                }
                for name, row in zip(compared.names, compared.cells, strict=True)
            },
            "notes": list(self.notes),
            "sentences": self.sentences(),
        }

    def write(self) -> list[Path]:
        """Write the tables, the facts and the figures into the folder; returns the files."""
        texts = {
            "result.json": json.dumps(self.facts(), indent=1) + "\n",
            "table.csv": _csv(self.grid()),
            "by_task.csv": _csv(self.by_task()),
            "differences.csv": _csv(self.pairs()),
            "README.md": self.markdown(),
        }
        for name, text in texts.items():
            replace_file(self.path / name, text)
        compared = self.compared
        rows = [(s.name, s.score, s.low, s.high) for s in compared.standings]
        order = [s.name for s in compared.standings]
        scores = np.array([compared.scores[name].mean(axis=0) for name in order])
        rates = {
            label: {
                name: (_rates(compared, who, task), compared.rate_curve(who, task))
                for who, name in enumerate(compared.names)
                if compared.cells[who][task]["rates"]
            }
            for task, label in enumerate(compared.tasks)
        }
        drawn = {
            "scores.svg": partial(figures.forest, rows, self.against),
            "profiles.svg": partial(figures.profiles, compared.profiles),
            "by_task.svg": partial(figures.heat, order, compared.tasks, scores),
            "rates.svg": partial(figures.rates, rates),
        }
        for name, draw in drawn.items():
            draw(self.path / name)
        return [self.path / name for name in (*texts, *drawn)]

    def markdown(self) -> str:
        """Write all tables and sentences for a page."""
        parts = [f"# {self.suite}: {', '.join(self.compared.names)}", *self.sentences()]
        parts += [_markdown(grid) for grid in self.grids()]
        return "\n\n".join(parts) + "\n"


def _row(s: Standing) -> tuple[str, ...]:
    bound = ("≥ " if s.steps >= 1 else "≤ ") * bool(s.bounded)
    return (
        s.name,
        f"{s.score:+.4f}",
        f"{s.low:+.4f} to {s.high:+.4f}",
        f"{s.quartile:+.4f}",
        f"{bound}{s.steps:.2f}",
        f"{bound}{s.steps / s.seconds:.2f}",
        f"{s.profile:.2f}",
        f"{s.seconds:.2f}",
        f"{s.state:.2g}",
        "" if math.isnan(s.width) else f"{s.width:.1f}",
        f"{s.ahead} : {s.behind}",
        f"{100 * s.diverged:.1f} %",
    )


def _rates(compared: Compared, who: int, task: int) -> Float[np.ndarray, " rate"]:
    cell = compared.cells[who][task]
    rate = cell["tunings"][cell["chosen"]].get(LEARNING_RATE, 1.0)
    return rate * np.array(RATES)


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _csv(grid: Grid) -> str:
    out = io.StringIO()
    csv.writer(out).writerows([grid.columns, *grid.rows])
    return out.getvalue()


def _markdown(grid: Grid) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = line(["---:" if name in grid.numbers else "---" for name in grid.columns])
    rows = [line(grid.columns), rule, *map(line, grid.rows)]
    return f"**{grid.title}**\n\n" + "\n".join(rows) + f"\n\n{grid.caption}"
