"""Suites: lists of tasks with a name, as data, and what a score of 0 means on them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import jax
from jaxtyping import PRNGKeyArray

from evolve.config.errors import ConfigError
from evolve.config.presets import load_suite
from evolve.config.schema import TaskSettings
from evolve.environment import available_memory
from evolve.scoring.optimizers import Optimizer, known, title
from evolve.scoring.references import References, Values, reference, tuned, tuned_values
from proxy_tasks import TASKS, Task, make_task

REFERENCE = "adamw"  # what scores are relative to, unless a run says otherwise


@dataclass(frozen=True)
class Suite:
    """Tasks under one name, and the known optimizer that scores on them are relative to.

    given: tuned values of known optimizers, where they are not to be those in the files of here.
    """

    name: str
    tasks: tuple[Task, ...]
    reference: str = REFERENCE
    given: References | None = None

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Tell the tasks apart from all others: see `Task.fingerprint`."""
        return tuple(task.fingerprint for task in self.tasks)

    @property
    def labels(self) -> list[str]:
        """Name the tasks for people: by their kinds, numbered where there are several of one."""
        kinds = [task.kind for task in self.tasks]
        return [
            kind if kinds.count(kind) == 1 else f"{kind} {kinds[: n + 1].count(kind)}"
            for n, kind in enumerate(kinds)
        ]

    @property
    def settings(self) -> list[TaskSettings]:
        """Describe the tasks as plain data, with every field, for who builds them elsewhere."""
        return [TaskSettings(kind=task.kind, fields=task_fields(task)) for task in self.tasks]

    @property
    def reference_label(self) -> str:
        """Say for people what 0 is: "tuned AdamW"."""
        return f"tuned {title(known(self.reference))}"

    @property
    def references(self) -> dict[str, Values]:
        """The tuned values on all tasks, by fingerprint. Raises `ConfigError`."""
        return {task.fingerprint: self.values_on(task) for task in self.tasks}

    def values_on(self, task: Task) -> Values:
        """Return the tuned values on one of the tasks. Raises `ConfigError`."""
        return tuned_values(task) if self.given is None else self.given.get(task.fingerprint, {})

    def tuned(self, name: str, task: Task) -> Optimizer | None:
        """Return a known optimizer as it is tuned on one of the tasks; None where nobody has."""
        return tuned(name, task, self.values_on(task))

    def reference_on(self, task: Task) -> Optimizer:
        """Return what is 0 on one of the tasks. Raises `ConfigError` where nobody has tuned it."""
        return reference(self.reference, task, self.values_on(task))


def task_fields(task: Task) -> dict[str, int | float | str]:
    """Return the configuration of a task: its fields by name."""
    return {field.name: getattr(task, field.name) for field in fields(task)}


def make_suite(
    name: str,
    settings: Sequence[TaskSettings],
    reference: str = REFERENCE,
    given: References | None = None,
) -> Suite:
    """Build the tasks. Raises `ConfigError` with the words of the task for an impossible one."""
    tasks = []
    for number, entry in enumerate(settings):
        try:
            tasks.append(make_task(entry.kind, **entry.fields))
        except ValueError as fault:
            hint = "" if entry.kind in TASKS else " One of your own comes with --plugin FILE."
            raise ConfigError(f"suite {name}, task {number + 1}: {fault}{hint}") from None
        try:
            tasks[-1].data()
        except Exception as fault:  # of the user's own code, and of files that are elsewhere here
            said = (
                str(fault) if isinstance(fault, ValueError) else f"{type(fault).__name__}: {fault}"
            )
            raise ConfigError(
                f"suite {name}, task {number + 1}: {entry.kind} cannot give its data: {said}"
            ) from None
        needed, there = least_memory(tasks[-1]), available_memory()
        if needed > there:
            raise ConfigError(
                f"suite {name}, task {number + 1}: {entry.kind} needs at least "
                f"{needed / 2**30:,.1f} GiB for its parameters and what is drawn for a training, "
                f"and this machine has {there / 2**30:,.1f} GiB; make it smaller"
            )
    if not tasks:
        raise ConfigError(
            f"suite {name} has no task: give at least one, such as - kind: digits_dense"
        )
    return Suite(name, tuple(tasks), reference, given)


@functools.cache
def least_memory(task: Task) -> int:
    """Estimate the bytes that training on a task needs at least, without building any of it.

    Four times the parameters, for their gradient, a state and the update, and all that is drawn.
    """

    def began(key: PRNGKeyArray) -> tuple[Any, Any]:
        return task.init(key), task.draws(key)

    try:
        shapes = jax.eval_shape(began, jax.random.key(0))
    except Exception:  # of the user's own code; the contract says what is wrong with it
        return 0
    params, draws = (
        sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(part))
        for part in shapes
    )
    return 4 * params + draws


def suite_of(name_or_file: str, reference: str = REFERENCE) -> Suite:
    """Build the suite of a preset's name, or of a YAML file. Raises `ConfigError`."""
    return make_suite(*load_suite(name_or_file), reference)
