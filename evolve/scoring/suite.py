"""Suites: named lists of tasks, as data; and the references that their scores are relative to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import baselines
from baselines import handwritten
from evolve.config.errors import ConfigError
from evolve.config.presets import load_suite
from evolve.config.schema import TaskSettings
from evolve.files import read_json
from evolve.scoring.trial import Optimizer
from primitives import Program
from proxy_tasks import Task, make_task

REFERENCE = "adamw"  # scores are relative to it, tuned on the task
REFERENCES = Path(__file__).parents[1] / "references"
LOCAL_REFERENCES = Path("references")  # of the folder in which a command is run


@dataclass(frozen=True)
class Suite:
    """Tasks and their names in tables."""

    name: str
    tasks: tuple[Task, ...]

    @property
    def fingerprints(self) -> tuple[str, ...]:
        return tuple(task.fingerprint for task in self.tasks)


def make_suite(name: str, settings: list[TaskSettings]) -> Suite:
    """Build the tasks. Raises `ConfigError` with the words of the task for an impossible one."""
    tasks = []
    for number, entry in enumerate(settings):
        try:
            tasks.append(make_task(entry.kind, **entry.fields))
        except ValueError as fault:
            raise ConfigError(f"suite {name}, task {number + 1}: {fault}") from None
    if not tasks:
        raise ConfigError(
            f"suite {name} has no task: give at least one, such as - kind: digits_dense"
        )
    return Suite(name, tuple(tasks))


def suite(name_or_file: str) -> Suite:
    """A suite by the name of a preset, or from a YAML file."""
    name, settings = load_suite(name_or_file)
    return make_suite(name, settings)


_taken: dict[str, dict[str, dict[str, float]]] = {}


def take_references(references: dict[str, dict[str, dict[str, float]]]) -> None:
    """In a worker: use the tuned values, by fingerprint, of whoever asks, and not what lies on this
    machine.
    """
    _taken.update(references)


@cache
def tuned_values(fingerprint: str) -> dict[str, dict[str, float]]:
    """Tuned hyperparameters by optimizer for the task with this fingerprint; empty where nobody
    tuned it.
    """
    if fingerprint in _taken:
        return _taken[fingerprint]
    for folder in (LOCAL_REFERENCES, REFERENCES):
        path = folder / f"{fingerprint}.json"
        if path.is_file():
            try:
                stored = read_json(path)
                found = {name: entry["values"] for name, entry in stored["optimizers"].items()}
                if not all(
                    type(x) in (int, float) for values in found.values() for x in values.values()
                ):
                    raise TypeError("values that are no numbers")
            except (OSError, ValueError, TypeError, KeyError, AttributeError) as fault:
                raise ConfigError(
                    f"{path}: is no reference: {fault}. Make it again: `evolve reference`."
                ) from None
            return found
    return {}


def known_names() -> tuple[str, ...]:
    """Names of all optimizers that can be scored by name: programs, and those written by hand."""
    return tuple(sorted((*baselines.names(), *handwritten.names())))


def known(name: str) -> Optimizer:
    """A known optimizer. Raises `ProgramError` for a name that nobody knows."""
    return handwritten.get(name) if name in handwritten.names() else baselines.get(name)


def tuned(name: str, task: Task) -> Optimizer | None:
    """A known optimizer with the hyperparameters tuned on this task; None where nobody tuned it."""
    values = tuned_values(task.fingerprint).get(name)
    return None if values is None else known(name).with_values(values)


def reference(task: Task) -> Program:
    """What the scores of a task are relative to.

    Raises `ConfigError` where it has not been tuned.
    """
    program = tuned(REFERENCE, task)
    if not isinstance(program, Program):
        raise ConfigError(
            f"nobody has tuned {REFERENCE} on {task.kind} with these fields and data (fingerprint "
            f"{task.fingerprint}), so it has no score. Run `evolve reference SUITE` with this "
            f"suite first."
        )
    return program
