"""How a program sees the leaves of a tree: matrices by its body, the others by its fallback.

A program that needs no matrices and has no fallback sees every leaf as it is.
Otherwise a leaf of two axes is a matrix, one of more is read as the program's
rule for kernels says, and vectors and numbers are the fallback's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from primitives.errors import ProgramError
from primitives.printing import print_instruction
from primitives.program import Program

Shape = tuple[int, ...]


MATRICES = {
    "flatten": "A leaf of two axes or more is a matrix; the rows of a kernel are all its axes "
    "but the last.",
    "stack": "A leaf of two axes is a matrix, one of more a stack of matrices, each with states "
    "of its own.",
    "fallback": "A leaf of two axes is a matrix; one of more is none.",
    "first_axis": "A leaf of two axes or more is a matrix; the columns of a kernel are all its "
    "axes but the first.",
}
"""What is a matrix, by the rule for kernels, in words."""


def is_matrix(shape: Shape, kernels: str = "flatten") -> bool:
    """Tell whether a leaf is read as a matrix, or as several."""
    return len(shape) == 2 or (len(shape) > 2 and kernels != "fallback")


def as_matrix(shape: Shape, kernels: str = "flatten") -> tuple[int, int]:
    """Return the rows and columns of a leaf that is read as one matrix.

    A vector is one column.
    """
    if len(shape) < 2:
        return math.prod(shape), 1
    rows = 1 if kernels == "first_axis" else len(shape) - 1
    return math.prod(shape[:rows]), math.prod(shape[rows:])


class Views:
    """The leaves of a tree, by their shapes, as the parts of a program see them.

    names: of the leaves, for errors.
    kernels: the program's rule for them; "flatten" where all rules say the same of these leaves.

    Raises `ProgramError` where a leaf is no matrix and the program has no rule for it.
    """

    def __init__(self, program: Program, shapes: Sequence[Shape], names: Sequence[str] = ()):
        self.parts = program.parts
        self.shapes = [tuple(shape) for shape in shapes]
        self.plain = program.fallback is None and program.matrix_statement is None
        ruled = not self.plain and any(len(shape) > 2 for shape in self.shapes)
        self.kernels = program.kernels if ruled else "flatten"
        self.group = [0 if self.plain or is_matrix(s, self.kernels) else 1 for s in self.shapes]
        if 1 in self.group and program.fallback is None:
            number = self.group.index(1)
            assert program.matrix_statement is not None
            leaf = names[number] if names else f"leaf {number}"
            raise ProgramError(
                f"{program.matrix_statement.op} needs a matrix, and {leaf} has the shape "
                f"{self.shapes[number]}",
                file=program.file,
                line=program.lines.get(program.matrix_statement, 0),
                text=print_instruction(program.matrix_statement),
                hint="Say what becomes of such leaves: write `def fallback(w, g, lr): ...` after "
                "step.",
            )

    def stacked(self, shape: Shape) -> bool:
        """Tell whether a leaf is read as a stack of matrices."""
        return self.kernels == "stack" and len(shape) > 2

    def split(self, leaves: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return, for each part of the program, what it sees of the leaves."""
        seen: list[list[Any]] = [[] for _ in self.parts]
        for leaf, shape, group in zip(leaves, self.shapes, self.group, strict=True):
            if self.plain or group == 1:
                seen[group].append(leaf)
            elif self.stacked(shape):
                count = math.prod(shape[:-2])
                many = leaf.reshape((count, *shape[-2:]))
                seen[0] += [many[i] for i in range(count)]
            else:
                seen[0].append(leaf.reshape(as_matrix(shape, self.kernels)))
        return [tuple(part) for part in seen]

    def join(self, seen: Sequence[Sequence[Any]], xp: Any) -> list[Any]:
        """Return the leaves, from what each part of the program sees: the inverse of `split`."""
        rest = [iter(part) for part in seen]
        leaves = []
        for shape, group in zip(self.shapes, self.group, strict=True):
            if group == 0 and self.stacked(shape):
                many = [next(rest[0]) for _ in range(math.prod(shape[:-2]))]
                leaves.append(xp.stack(many).reshape(shape) if many else xp.zeros(shape))
            else:
                leaves.append(next(rest[group]).reshape(shape))
        return leaves
