"""The optimizers people invented, as programs: one file each in `programs/`.

`prologues/` holds what can stand before any of them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from primitives import Program, ProgramError, load
from primitives.compose import with_prologue
from primitives.errors import did_you_mean

PROGRAMS = Path(__file__).parent / "programs"
PROLOGUES = Path(__file__).parent / "prologues"


@cache
def names() -> tuple[str, ...]:
    """Return the names of all known programs, sorted."""
    return tuple(sorted(path.stem for path in PROGRAMS.glob("*.py")))


@cache
def prologues() -> tuple[str, ...]:
    """Return the names of what can stand before a program, sorted: `clip_by_norm+adam`."""
    return tuple(sorted(path.stem for path in PROLOGUES.glob("*.py")))


@cache
def get(name: str) -> Program:
    """Return a known program. Raises `ProgramError` for a name that nobody knows."""
    if name not in names():
        hint = (
            f"{did_you_mean(name, names())} `evolve list optimizers` shows all; a file ends in .py."
        )
        raise ProgramError(f"no optimizer is called {name!r}", hint=hint.strip())
    return load(PROGRAMS / f"{name}.py")


@cache
def prologue(name: str) -> Program:
    """Return a known prologue. Raises `ProgramError` for a name that nobody knows."""
    if name not in prologues():
        hint = f"{did_you_mean(name, prologues())} There are: {', '.join(prologues())}."
        raise ProgramError(f"no prologue is called {name!r}", hint=hint.strip())
    return load(PROLOGUES / f"{name}.py")


def find(name_or_file: str | Path) -> Program:
    """Return a known program by name, or the program in a file.

    `clip_by_norm+adam` puts a prologue before a program.

    Raises `ProgramError`.
    """
    text = str(name_or_file)
    first, plus, rest = text.partition("+")
    if plus and (first in prologues() or "/" not in first):
        return with_prologue(prologue(first), find(rest))
    if text in names() or not ("/" in text or text.endswith(".py")):
        return get(text)
    return load(text)
