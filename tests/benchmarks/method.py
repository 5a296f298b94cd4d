"""Is the method of comparisons right? AdamW against itself, and against what is truly worse.

AdamW is compared with itself under another name, tuned and trained independently each time: the
two must not be called different in more than 5 % of the repeats. And an AdamW that stops after a
tenth of the steps must be found worse every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import Figure

from evolve.comparison.cell import Cell
from evolve.comparison.compared import Compared
from evolve.config.schema import TaskSettings
from evolve.scoring.optimizers import known
from evolve.scoring.suite import make_suite
from evolve.tuning.effort import Effort
from evolve.tuning.pieces import Piece, tune_pieces
from evolve.tuning.processes import Named, TaskFacts
from evolve.tuning.reference import kept
from proxy_tasks import Task

TASKS = (
    ("noisy_quadratic", {"dim": 16, "steps": 100}),
    ("table_dense", {"steps": 100}),
    ("matrix_factorisation", {"steps": 100}),
    ("logistic_regression", {"steps": 100}),
)
TRAININGS, TUNINGS, SEEDS = 128, 2, 10


STOPS = Named(
    "stops",
    str(known("adamw")).replace(
        "return update",
        "alive = less_equal(t, 10.0)\n    update = update * alive\n    return update",
    ),
)
ADAMW = Named("adamw")


def tuned_cell(who: Named, task: Task, first: int, draw: int, place: Path) -> dict:
    """Tune an optimizer on a task, some times from a number on, and train it for a table."""
    values = []
    for scramble in range(first, first + TUNINGS):
        into = place / str(scramble)
        piece = Piece(who.name, (task,), "", who.text)
        tune_pieces([piece], Effort(TRAININGS, scramble), into)
        entry = kept(into, task.kind, task.fingerprint)[who.name]
        values.append(tuple(sorted(entry["values"].items())))
    work = Cell(who.name, TaskFacts.of(task), who, tuple(values), SEEDS, draw)
    return work.do(lambda done: None)


def method(repeats: int) -> Iterator[Figure]:
    """Repeat both comparisons; yields how often each said what is true."""
    suite = make_suite("method", [TaskSettings(kind=kind, fields=f) for kind, f in TASKS])
    different, worse = 0, 0
    with TemporaryDirectory() as folder:
        for draw in range(repeats):
            place, first = Path(folder), 2 * TUNINGS * draw
            contestants = ((ADAMW, first), (ADAMW, first + TUNINGS), (STOPS, first))
            rows = tuple(
                tuple(tuned_cell(who, task, number, draw, place) for task in suite)
                for who, number in contestants
            )
            labels = tuple(suite.labels)
            both = Compared(("adamw", "again"), ("", ""), labels, rows[:2])
            different += both.differences[0].distinguishable
            low = Compared(("adamw", "stops"), ("", ""), labels, (rows[0], rows[2]))
            worse += low.differences[0].low > 0
    of = f"of {repeats} repeats"
    yield Figure(
        f"AdamW against itself, {of}: called different", 100 * different / repeats, "%", 5, True
    )
    yield Figure(f"AdamW that stops early, {of}: found worse", 100 * worse / repeats, "%", 100)
