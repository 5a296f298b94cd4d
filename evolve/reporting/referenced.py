"""What is tuned: known optimizers on the tasks of suites, how well they do, and what that cost.

`python -m evolve.reporting.referenced` prints the page `evolve/references/README.md`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evolve.config.presets import preset_names
from evolve.scoring.references import SHIPPED, file_name, read_stored
from evolve.scoring.suite import REFERENCE, Suite, suite_of
from proxy_tasks import Task

HEAD = """# References

Known optimizers, tuned on the tasks of suites by `evolve reference`: a file a task, and all trials
of a race in `trials/`. They were made on one machine, whose bits the losses have; as
hyperparameters they serve on any. This page is what `python -m evolve.reporting.referenced` prints.

A score is log(loss of tuned AdamW / loss) on the validation part, in seeds that chose nothing, with
its standard error; 0.1 is 10 % less loss. Everybody had the same number of trainings on a task.
What one tuning finds differs from what another finds by about 0.02 a task. Below each score stand
the seconds by the clock that the tuning took in one process (pieces of 950 to 1,200 seconds stood
still for ten minutes of them).
"""


@dataclass(frozen=True)
class Tuned:
    """An optimizer as it is tuned on a task.

    loss: the geometric mean over seeds, on the validation part; score, error: against tuned AdamW
    in the same seeds, a mean and its standard error, None where those seeds are others; trainings,
    seconds: what it cost, None in what older software wrote.
    """

    name: str
    loss: float
    score: float | None
    error: float | None
    trainings: int | None
    seconds: float | None


def tuned_on(task: Task, folder: Path = SHIPPED) -> list[Tuned]:
    """Read who is tuned on a task, by name; nobody where there is no file."""
    path = folder / file_name(task.kind, task.fingerprint)
    if not path.is_file():
        return []
    entries = read_stored(path)["optimizers"]
    zero = np.log(entries[REFERENCE]["validation"]) if REFERENCE in entries else None
    return [_tuned(name, entry, zero) for name, entry in sorted(entries.items())]


def _tuned(name: str, entry: dict[str, Any], zero: np.ndarray | None) -> Tuned:
    logs = np.log(entry["validation"])
    score = error = None
    if zero is not None and len(zero) == len(logs):
        gains = zero - logs
        score, error = float(gains.mean()), float(gains.std(ddof=1) / math.sqrt(len(gains)))
    return Tuned(
        name,
        math.exp(logs.mean()),
        score,
        error,
        entry.get("trainings"),
        entry.get("seconds"),
    )


def rows(folder: Path = SHIPPED) -> list[dict[str, Any]]:
    """List everybody who is tuned on a task of a suite, a row each."""
    found = []
    for suite in map(suite_of, preset_names("suites")):
        for label, task in zip(suite.labels, suite, strict=True):
            for tuned in tuned_on(task, folder):
                facts = {k: _short(v) for k, v in vars(tuned).items() if k != "name"}
                found.append({"suite": suite.name, "kind": label, "optimizer": tuned.name} | facts)
    return found


def _short(value: float | None) -> float | None:
    return float(f"{value:.4g}") if isinstance(value, float) else value


def page(folder: Path = SHIPPED) -> str:
    """Write the page: a table for each suite of which something is tuned."""
    tables = (_table(suite_of(name), folder) for name in preset_names("suites"))
    return "\n".join([HEAD, *(line for table in tables for line in table)])


def _table(suite: Suite, folder: Path) -> Iterator[str]:
    found = [{t.name: t for t in tuned_on(task, folder)} for task in suite]
    names = sorted({name for row in found for name in row} - {REFERENCE})
    if not any(found):
        return
    yield f"## {suite.name}"
    yield ""
    yield f"| task | steps | loss of {REFERENCE} | {' | '.join(names)} |"
    yield "|---" * (3 + len(names)) + "|"
    for label, task, row in zip(suite.labels, suite, found, strict=True):
        zero = row.get(REFERENCE)
        loss = "not tuned" if zero is None else f"{zero.loss:.4g}{_cost(zero)}"
        cells = [_cell(row.get(name)) for name in names]
        yield f"| `{label}` | {task.steps} | {loss} | {' | '.join(cells)} |"
    yield ""


def _cell(tuned: Tuned | None) -> str:
    if tuned is None:
        return ""
    if tuned.score is None:
        return f"loss {tuned.loss:.4g}{_cost(tuned)}"
    return f"{tuned.score:+.3f} ± {tuned.error:.3f}{_cost(tuned)}"


def _cost(tuned: Tuned) -> str:
    return "" if tuned.seconds is None else f"<br>{tuned.seconds:,.0f} s"


if __name__ == "__main__":
    print(page(), end="")
