"""The optimizers people invented, as programs: one file each in `programs/`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from primitives import Program, ProgramError, load
from primitives.registry import nearest

PROGRAMS = Path(__file__).parent / "programs"


@cache
def names() -> tuple[str, ...]:
    """Names of all known programs, sorted."""
    return tuple(sorted(path.stem for path in PROGRAMS.glob("*.py")))


@cache
def get(name: str) -> Program:
    """A known program. Raises `ProgramError` for a name that nobody knows."""
    if name not in names():
        near = nearest(name, names())
        hint = f"Did you mean {near!r}? " if near else ""
        raise ProgramError(
            f"no optimizer is called {name!r}", hint=hint + "`evolve list optimizers` shows all; a file ends in .py."
        )
    return load(PROGRAMS / f"{name}.py")


def find(name_or_file: str | Path) -> Program:
    """A known program by name, or the program in a file. Raises `ProgramError`."""
    text = str(name_or_file)
    if text in names() or not ("/" in text or text.endswith(".py")):
        return get(text)
    return load(text)
