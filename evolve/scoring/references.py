"""References: the hyperparameters of known optimizers that somebody has tuned on a task.

They lie in one file a task, `<kind>-<fingerprint>.json`, and scores are relative to one of them. A
worker is told them by whoever asks it, and reads no file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from evolve.config.errors import ConfigError
from evolve.files import read_json
from evolve.scoring.optimizers import Optimizer, known
from proxy_tasks import Task

SHIPPED = Path(__file__).parents[1] / "references"
LOCAL = Path("references")  # of the folder in which a command is run; read first

Values = dict[str, dict[str, float]]
"""Tuned hyperparameters by the name of the optimizer."""

_taken: dict[str, Values] = {}  # by fingerprint


def take_references(references: dict[str, Values]) -> None:
    """Use, in a worker, the values of whoever asks, and not what lies on this machine.

    references: by the fingerprint of a task.
    """
    _taken.update(references)


def file_name(kind: str, fingerprint: str) -> str:
    """Name the file of a task so that people see which one it is for."""
    return f"{kind}-{fingerprint}.json"


def old_file_name(fingerprint: str) -> str:
    """Name the file as it was named before its name said the kind; users may have some."""
    return f"{fingerprint}.json"


@cache
def tuned_values(task: Task) -> Values:
    """Return the values that are tuned on a task; empty where nobody tuned it.

    Raises `ConfigError` for a file that is no reference.
    """
    fingerprint = task.fingerprint
    if fingerprint in _taken:
        return _taken[fingerprint]
    name = file_name(task.kind, fingerprint)
    for path in (LOCAL / name, LOCAL / old_file_name(fingerprint), SHIPPED / name):
        if path.is_file():
            return read_reference(path)
    return {}


def read_reference(path: Path) -> Values:
    """Read the tuned values in a reference file. Raises `ConfigError`."""
    try:
        stored = read_json(path)
        found = {name: entry["values"] for name, entry in stored["optimizers"].items()}
        if not all(type(x) in (int, float) for values in found.values() for x in values.values()):
            raise TypeError("values that are no numbers")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
        raise ConfigError(
            f"{path}: is no reference: {fault}. Make it again: `evolve reference`."
        ) from None
    return found


def references_of(tasks: Iterable[Task]) -> dict[str, Values]:
    """Return the tuned values of tasks by their fingerprints, as `take_references` takes them."""
    return {task.fingerprint: tuned_values(task) for task in tasks}


def tuned(name: str, task: Task) -> Optimizer | None:
    """Return a known optimizer with the values tuned on a task; None where nobody tuned it."""
    values = tuned_values(task).get(name)
    return None if values is None else known(name).with_values(values)


def trials_of(name: str, task: Task) -> int | None:
    """Return how many points were tried for the values in use; None where no file says so."""
    values = tuned_values(task).get(name)
    file = file_name(task.kind, task.fingerprint)
    for path in (LOCAL / file, LOCAL / old_file_name(task.fingerprint), SHIPPED / file):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            entry = read_json(path)["optimizers"][name]
            if entry["values"] == values and type(entry["trials"]) is int:
                return entry["trials"]
    return None


def reference(name: str, task: Task) -> Optimizer:
    """Return what scores on a task are relative to: a known optimizer, tuned there.

    Raises `ConfigError` where nobody has tuned it, `ProgramError` where it is not known.
    """
    optimizer = tuned(name, task)
    if optimizer is None:
        known(name)
        raise ConfigError(
            f"nobody has tuned {name} on {task.kind} with these fields and data (fingerprint "
            f"{task.fingerprint}), so it has no score. Run `evolve reference SUITE` with this "
            f"suite first."
        )
    return optimizer
