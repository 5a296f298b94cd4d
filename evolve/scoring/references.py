"""References: the hyperparameters of known optimizers that somebody has tuned on a task.

They lie in one file a task, `<kind>-<fingerprint>.json`, and scores are relative to one of them.
Files of the user's own add to those that are shipped, optimizer by optimizer. A run keeps the
values that it began with, and a worker is told them by whoever asks it: neither reads a file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ConfigDict, TypeAdapter, ValidationError

from evolve.config.errors import ConfigError
from evolve.files import read_json
from evolve.scoring.optimizers import Optimizer, is_known, known
from primitives import Hyperparameter
from primitives.errors import printable
from primitives.statements import LEARNING_RATE
from proxy_tasks import Task

SHIPPED = Path(__file__).parents[1] / "references"
LOCAL = Path("references")  # of the folder in which a command is run; added to what is shipped

FLOAT32 = float(np.finfo(np.float32).max)  # in which everything is computed

Values = dict[str, dict[str, float]]
"""Tuned hyperparameters by the name of the optimizer."""

ONE_KIND = "one_configuration"  # stands for the kind of a task where a file is for a whole suite

References = Mapping[str, Values]
"""Tuned values by the fingerprint of a task."""

_VALUES = TypeAdapter(Values, config=ConfigDict(strict=True, allow_inf_nan=False))


# --- files ----------------------------------------------------------------------------------------


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
    return shipped_values(task) | local_values(task)


def suite_fingerprint(tasks: Iterable[Task]) -> str:
    """Tell a set of tasks from others, in 16 hex digits, whatever its name and order."""
    prints = "\n".join(sorted(task.fingerprint for task in tasks))
    return hashlib.sha256(prints.encode()).hexdigest()[:16]


@cache
def one_configuration(tasks: tuple[Task, ...]) -> Values:
    """Return, by the names of optimizers, the one configuration for all of some tasks.

    Raises `ConfigError` for a file that is no reference.
    """
    name = file_name(ONE_KIND, suite_fingerprint(tasks))
    return _read(SHIPPED / name) | _read(LOCAL / name)


def shipped_values(task: Task) -> Values:
    """Return the values on a task that come with this software. Raises `ConfigError`."""
    shipped, _, _ = _files(task)
    return _read(shipped)


def local_values(task: Task) -> Values:
    """Return the values on a task that lie in the folder of now. Raises `ConfigError`."""
    _, old, new = _files(task)
    return _read(old) | _read(new)


def local_line(tasks: Iterable[Task]) -> str:
    """Say which values of the folder of now are used, and whether instead of others.

    Empty where there is none.
    """
    instead: set[str] = set()
    beside: set[str] = set()
    for task in tasks:
        here, shipped = local_values(task), shipped_values(task)
        instead |= {name for name in here.keys() & shipped if here[name] != shipped[name]}
        beside |= here.keys() - shipped
    said = [f"{', '.join(sorted(instead))} instead of the shipped values"] * bool(instead)
    said += [f"{', '.join(sorted(beside))} beside the shipped ones"] * bool(beside)
    return f"values tuned in {LOCAL}/ of this folder are used: {'; '.join(said)}" if said else ""


def _files(task: Task) -> tuple[Path, Path, Path]:
    """Return where values on a task may lie; what a later one says counts before the others."""
    name = file_name(task.kind, task.fingerprint)
    return SHIPPED / name, LOCAL / old_file_name(task.fingerprint), LOCAL / name


def _read(path: Path) -> Values:
    return read_reference(path) if path.is_file() else {}


def read_reference(path: Path) -> Values:
    """Read the tuned values in a reference file. Raises `ConfigError`."""
    return {name: entry["values"] for name, entry in read_stored(path)["optimizers"].items()}


def read_stored(path: Path) -> dict[str, Any]:
    """Read all that a reference file says, its values checked. Raises `ConfigError`."""
    try:
        stored = read_json(path)
        if (said := stored["fingerprint"]) != path.stem.rpartition("-")[2]:
            raise ValueError(f"its name is that of another task than {said!r}, which it says it is")
        values = {name: entry["values"] for name, entry in stored["optimizers"].items()}
        for name, checked in checked_values(values).items():
            stored["optimizers"][name]["values"] = checked
        return stored
    except KeyError as fault:
        raise _no_reference(path, f"the key {fault} is missing") from None
    except OSError as fault:
        raise _no_reference(path, fault.strerror) from None
    except (ValueError, TypeError, AttributeError) as fault:
        raise _no_reference(path, fault) from None


def checked_values(said: Any) -> Values:
    """Return tuned values of somebody who may mean harm, or who made a mistake.

    Raises `ValueError` where one is no number, or is none that its hyperparameter can have.
    """
    try:
        values = _VALUES.validate_python(said)
    except ValidationError as fault:
        first = fault.errors()[0]
        raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for name in filter(is_known, values):
        declared = {h.name: h for h in known(name).hyperparameters}
        for key, value in values[name].items():
            if key not in declared:
                raise ValueError(f"{name} has no hyperparameter called {key!r}")
            if why := _outside(declared[key], value):
                raise ValueError(f"{key} of {name} is {value:g}, which is not {why}")
    return values


def _outside(h: Hyperparameter, value: float) -> str:
    """Say what a hyperparameter must be, where a value is not; its scale tells."""
    if abs(value) > FLOAT32:
        return "a number in float32"
    if h.name == LEARNING_RATE and value <= 0:
        return "above 0"
    if h.scale == "log" and value < 0:
        return "0 or above"
    return "from 0 to below 1" if h.scale == "log1m" and not 0 <= value < 1 else ""


def _no_reference(path: Path, why: object) -> ConfigError:
    said = printable(str(why), 300)
    return ConfigError(f"{path}: is no reference: {said}. Make it again: `evolve reference`.")


# --- what they are for ----------------------------------------------------------------------------


def tuned(name: str, task: Task, values: Values | None = None) -> Optimizer | None:
    """Return a known optimizer with the values tuned on a task; None where nobody tuned it.

    values: those tuned there; None for what the files of here say.
    """
    found = (tuned_values(task) if values is None else values).get(name)
    return None if found is None else known(name).with_values(found)


def effort_of(name: str, task: Task, tasks: Iterable[Task], values: Values) -> str:
    """Say by how many trials or trainings the values in use were found; empty where no file does.

    tasks: those of the suite, for which a configuration may be the only one.
    """
    one = file_name(ONE_KIND, suite_fingerprint(tasks))
    for path in (*reversed(_files(task)), LOCAL / one, SHIPPED / one):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
            stored = read_json(path)
            entry = stored["optimizers"][name]
            if entry["values"] != values.get(name):
                continue
            for what in ("trainings", "trials"):
                if type(count := entry.get(what)) is int:
                    alone = "one configuration, " if stored["task"]["kind"] == ONE_KIND else ""
                    return f"{alone}{count:,} {what}"
    return ""


def reference(
    name: str, task: Task, values: Values | None = None, suite: str = "SUITE"
) -> Optimizer:
    """Return what scores on a task are relative to: a known optimizer, tuned there.

    values: see `tuned`. suite: what to type for the suite. Raises `ConfigError` where nobody has
    tuned it, `ProgramError` where it is not known.
    """
    optimizer = tuned(name, task, values)
    if optimizer is None:
        known(name)
        raise ConfigError(
            f"nobody has tuned {name} on {task.kind} with these fields and data (fingerprint "
            f"{task.fingerprint}), so it has no score{_changed(name, task)}. Run `evolve reference "
            f"{suite} --optimizers {name}` first."
        )
    return optimizer


def _changed(name: str, task: Task) -> str:
    """Say which file has values for the same fields, where data or the task itself were others."""
    fields = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}
    for folder in (LOCAL, SHIPPED):
        for path in sorted(folder.glob(f"{task.kind}-*.json")):
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
                stored = read_json(path)
                same = stored["task"]["fields"].items() <= fields.items()
                other = stored["fingerprint"] != task.fingerprint
                if same and other and name in stored["optimizers"]:
                    return (
                        f": {path} has values for the same fields, but the data or the task have "
                        "changed since they were tuned"
                    )
    return ""
