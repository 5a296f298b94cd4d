"""The registry of tasks: a class enters by being defined; `make_task` builds one by its kind."""

from __future__ import annotations

import dataclasses
import hashlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxy_tasks.sentences import listed, nearest

if TYPE_CHECKING:
    from proxy_tasks.task import Task

TASKS: dict[str, type[Task]] = {}  # kind -> class


def make_task(kind: str, **fields: Any) -> Task:
    """Build the task that a suite's line names; fields left out keep their defaults.

    Raises  ValueError, one sentence, for an unknown kind, an unknown field or an impossible value,
            and for a class that is no complete task.

    >>> make_task("noisy_quadratic", dim=32, schedule="cosine").steps
    400
    """
    if not isinstance(kind, str) or kind not in TASKS:
        raise ValueError(
            f"no task is called {kind!r}{nearest(kind, TASKS)}; there are {listed(sorted(TASKS))}."
        )
    cls = TASKS[kind]
    if lacking := sorted(getattr(cls, "__abstractmethods__", ())):
        raise ValueError(f"{kind} does not define {listed(lacking)}: write {cls.__name__}'s own.")
    if "__dataclass_params__" not in cls.__dict__:
        raise ValueError(f"{kind} is no dataclass: write @dataclass(frozen=True) above its class.")

    declared = dataclasses.fields(cls)
    known = [field.name for field in declared]
    for name in fields:
        if name not in known:
            raise ValueError(
                f"{kind} has no field {name!r}{nearest(name, known)}; it has {listed(known)}."
            )
    needed = [f.name for f in declared if f.default is dataclasses.MISSING]
    if missing := [name for name in needed if name not in fields]:
        raise ValueError(
            f"{kind} has no value for {listed(missing)}: give a default in its class, such as "
            f"{missing[0]}: int = 100, or a value in the suite."
        )
    return cls(**fields)


def register(cls: type[Task]) -> None:
    """Enter a task into `TASKS`.

    A class that is defined again, as in a notebook, replaces the one it was.
    """
    if not isinstance(cls.kind, str) or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", cls.kind):
        raise TypeError(
            f"{cls.__qualname__}: a kind is a name of letters, digits and underscores, not "
            f"{cls.kind!r}"
        )
    taken = TASKS.get(cls.kind)
    if taken and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
        raise TypeError(f"{cls.__qualname__} and {taken.__qualname__} are both {cls.kind!r}")
    TASKS[cls.kind] = cls


def snake_case(name: str) -> str:
    """Write the name of a class as kinds are written.

    >>> snake_case("NoisyQuadratic"), snake_case("XORTask")
    ('noisy_quadratic', 'xor_task')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def hash_of_file(module: str) -> str:
    """Return 64 hex digits of the text that a module comes from.

    It is read while the module is being imported, so that it is the text that runs. A plug-in's is
    with its loader, for in a worker no file has it. Empty for the modules of this package, and
    where there is no text.
    """
    if module.partition(".")[0] == __name__.partition(".")[0]:
        return ""
    found = sys.modules.get(module)
    loader: Any = getattr(getattr(found, "__spec__", None), "loader", None)
    file = getattr(found, "__file__", None)
    if hasattr(loader, "get_source"):
        text = loader.get_source(module) or ""
    elif file and Path(file).is_file():
        text = Path(file).read_text(encoding="utf-8")
    else:
        return ""
    return hashlib.sha256(text.encode()).hexdigest()
