"""Is the method of comparisons right? AdamW against itself, and against what is truly worse.

AdamW is compared with itself under another name, tuned and trained independently each time: the
two must not be called different in more than 5 % of the repeats. And gradient descent, which a
condition number of a thousand slows down a thousand times, must be found worse every time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from measure import Figure

from evolve.comparison.cell import Cell
from evolve.comparison.compared import Compared
from evolve.scoring.suite import make_suite
from evolve.config.schema import TaskSettings
from evolve.tuning.effort import Effort
from evolve.tuning.pieces import Piece, tune_pieces
from evolve.tuning.processes import Named, TaskFacts
from evolve.tuning.reference import kept
from proxy_tasks import Task

TASKS = (
    ("quadratic", {"dim": 16, "steps": 100}),
    ("noisy_quadratic", {"dim": 16, "steps": 100}),
    ("logistic_regression", {"steps": 100}),
)
TRAININGS, TUNINGS, SEEDS = 64, 2, 10


def tuned_cell(name: str, task: Task, first: int, draw: int, place: Path) -> dict:
    """Tune a known optimizer on a task, some times from a number on, and train it for a table."""
    values = []
    for scramble in range(first, first + TUNINGS):
        into = place / str(scramble)
        piece = Piece(name, (task,))
        tune_pieces([piece], Effort(TRAININGS, scramble), into)
        entry = kept(into, task.kind, task.fingerprint)[name]
        values.append(tuple(sorted(entry["values"].items())))
    work = Cell(name, TaskFacts.of(task), Named(name), tuple(values), SEEDS, draw)
    return work.do(lambda done: None)


def method(repeats: int) -> Iterator[Figure]:
    """Repeat both comparisons; yields how often each said what is true."""
    suite = make_suite("method", [TaskSettings(kind=kind, fields=f) for kind, f in TASKS])
    different, worse = 0, 0
    with TemporaryDirectory() as folder:
        for draw in range(repeats):
            place, first = Path(folder), 2 * TUNINGS * draw
            contestants = (("adamw", first), ("adamw", first + TUNINGS), ("sgd", first))
            rows = tuple(
                tuple(tuned_cell(name, task, number, draw, place) for task in suite)
                for name, number in contestants
            )
            labels = tuple(suite.labels)
            both = Compared(("adamw", "again"), ("", ""), labels, rows[:2])
            different += both.differences[0].distinguishable
            low = Compared(("adamw", "sgd"), ("", ""), labels, (rows[0], rows[2]))
            worse += low.differences[0].low > 0
    of = f"of {repeats} repeats"
    yield Figure(
        f"AdamW against itself, {of}: called different", 100 * different / repeats, "%", 5, True
    )
    yield Figure(f"gradient descent, {of}: found worse", 100 * worse / repeats, "%", 100)
