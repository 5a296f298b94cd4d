"""Do the references hold? An independent tuning of AdamW with four times the trainings tells.

`make references-check` does it for every task of all suites, and for two of `confirm`; with
ARGS="smoke --workers 2" for some of them. It prints a line a task: what the other tuning gains in
log loss on 32 fresh seeds, with its standard error. A reference holds if that is at most 0.02, or
two standard errors where those are larger. Exit code 1 if one does not.

The other tunings lie in evolve/references/check, so that what was interrupted goes on, and what was
done once is not done again. Their trials lie beside them, and are not kept.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

from evolve.environment import pin

if __name__ == "__main__":
    pin()  # before anything imports jax

import numpy as np

from evolve.config.presets import preset_names
from evolve.scoring.optimizers import known
from evolve.scoring.references import SHIPPED, file_name, read_stored
from evolve.scoring.suite import REFERENCE, suite_of
from evolve.scoring.trial import Trials
from evolve.tuning.effort import TRAININGS, Effort
from evolve.tuning.pieces import Piece, tune_pieces
from evolve.tuning.reference import log_loss
from proxy_tasks import Task

TIMES = 4  # as many trainings as the reference had
SEEDS = 32  # that nobody was tuned on
MOST = 0.02  # of log loss that more effort may gain, or two standard errors of the gain
OF = {"confirm": 2, "transfer": 0}  # so many tasks of these suites; all of the others
PLACE = SHIPPED / "check"


class Gain(NamedTuple):
    """What another tuning gains in log loss, a mean over seeds, and its standard error."""

    mean: float
    error: float

    @property
    def holds(self) -> bool:
        """Tell whether the reference is as good as tuning makes it."""
        return self.mean <= max(MOST, 2 * self.error)


def tasks_of(suites: list[str]) -> list[Task]:
    """List the tasks that are checked, none twice."""
    found = [task for name in suites for task in list(suite_of(name))[: OF.get(name)]]
    return list({task.fingerprint: task for task in found}.values())


def stored(folder: Path, task: Task) -> dict:
    """Read what a folder says of the reference on a task."""
    path = folder / file_name(task.kind, task.fingerprint)
    return read_stored(path)["optimizers"][REFERENCE]


def independent(before: dict) -> Effort:
    """Return the effort of a tuning that shares neither points nor seeds with a stored one."""
    trainings = TIMES * before.get("trainings", TRAININGS)
    return Effort(trainings, before.get("scramble", 0) + 1)


def gain(task: Task, shipped: Path = SHIPPED, place: Path = PLACE) -> Gain:
    """Tune the reference of a task again, otherwise, and compare on fresh seeds."""
    before = stored(shipped, task)
    tune_pieces([Piece(REFERENCE, (task,))], independent(before), place)
    compiled, seeds = Trials(task), [f"held-out:{number}" for number in range(SEEDS)]
    losses = [
        [log_loss(compiled, known(REFERENCE).with_values(values), seed) for seed in seeds]
        for values in (before["values"], stored(place, task)["values"])
    ]
    differences = np.array(losses[0]) - np.array(losses[1])
    return Gain(float(differences.mean()), float(differences.std(ddof=1) / np.sqrt(SEEDS)))


def main() -> None:
    """Check the tasks of suites; say of each whether its reference holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", default=preset_names("suites"))
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    tasks = tasks_of(given.suites)
    pieces: dict[Effort, list[Piece]] = {}
    for task in tasks:
        effort = independent(stored(SHIPPED, task))
        pieces.setdefault(effort, []).append(Piece(REFERENCE, (task,)))
    for effort, alike in pieces.items():  # first all that takes long, several at a time
        tune_pieces(alike, effort, PLACE, given.workers, say=lambda line: print(line, flush=True))
    found = [gain(task) for task in tasks]
    for task, it in zip(tasks, found, strict=True):
        verdict = "holds" if it.holds else "does not hold: tune it again, with more trainings"
        print(
            f"{task.kind} {task.fingerprint}, {task.steps} steps: "
            f"{it.mean:+.4f} ± {it.error:.4f}, {verdict}"
        )
    sys.exit(not all(it.holds for it in found))


if __name__ == "__main__":
    main()
