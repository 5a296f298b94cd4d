"""What things are called in an exported file."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable

from primitives.errors import ProgramError

BUILTINS = frozenset(dir(builtins))


class Names:
    """The names of one file: of the program's variables, and of all else that has one there.

    Calling it gives the name of a variable.
    """

    def __init__(self, taken: Iterable[str]):
        self.taken = set(taken)
        self.variables: dict[str, str] = {}

    def __call__(self, variable: str) -> str:
        return self.variables[variable]

    def add(self, variables: Iterable[str]) -> None:
        """Give each variable of a program that has no name yet a name: its own, if possible."""
        for variable in variables:
            if variable not in self.variables:
                name = variable.lstrip("_")
                name = name if name.isidentifier() else f"x{name}"
                self.variables[variable] = self.fresh(name + "_" * keyword.iskeyword(name))

    def fresh(self, name: str) -> str:
        """Take a name, with an underscore or more where it is taken already."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def numbered(self, stem: str, number: int) -> str:
        """Take a stem with this number, or with a larger one where that is taken already."""
        while f"{stem}{number}" in self.taken:
            number += 1
        self.taken.add(f"{stem}{number}")
        return f"{stem}{number}"


def checked(name: str, taken: Iterable[str]) -> str:
    """Return a name that a Python function can have. Raises `ProgramError` for any other.

    taken: names that the file needs itself.
    """
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        raise ProgramError(
            f"{name!r} cannot name a Python function",
            hint="Give another name: letters, digits and _, not first a digit, and no keyword of "
            "Python.",
        )
    if name in taken or name.startswith("_"):
        hint = f"Name it {name.strip('_')}_opt."
        raise ProgramError(f"an exported file needs the name {name!r} itself", hint=hint)
    return name
