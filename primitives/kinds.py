"""Kinds: what shape a value has, seen beside one parameter leaf.

A leaf is read as an r x c matrix. A kind names the extent of a value along the
two axes; values of different kinds combine as numpy broadcasts, axis by axis.
A column times a row is a tensor, a row times a right stays a right. One more
kind is one more line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any


# There is one object a kind, and it is compared by identity, because checks compare a lot.
@dataclass(frozen=True, eq=False)
class Kind:
    """The extent of a value along the rows and the columns of its leaf."""

    name: str
    axes: tuple[str, str]

    def __str__(self) -> str:
        return self.name


SCALAR = Kind("scalar", ("1", "1"))
TENSOR = Kind("tensor", ("r", "c"))
ROW = Kind("row", ("1", "c"))
COLUMN = Kind("column", ("r", "1"))
LEFT = Kind("left", ("r", "r"))
RIGHT = Kind("right", ("c", "c"))

KINDS = {kind.axes: kind for kind in (SCALAR, TENSOR, ROW, COLUMN, LEFT, RIGHT)}

OF_MATRICES = frozenset((ROW, COLUMN, LEFT, RIGHT))
"""Kinds of values that exist beside matrices only, and not beside vectors or numbers."""


@cache
def join(*kinds: Kind) -> Kind | None:
    """Return the kind of values of these kinds combined elementwise; None where they do not fit."""
    axes = []
    for extents in zip(*(kind.axes for kind in kinds), strict=True):
        wide = set(extents) - {"1"}
        if len(wide) > 1:
            return None
        axes.append(wide.pop() if wide else "1")
    return KINDS.get((axes[0], axes[1]))


@cache
def product(x: Kind, y: Kind) -> Kind | None:
    """Return the kind of the matrix product of two values; None where they do not fit."""
    if SCALAR in (x, y) or x.axes[1] != y.axes[0]:
        return None
    return KINDS.get((x.axes[0], y.axes[1]))


# --- annotations of a definition ------------------------------------------------------------------

# A slot takes one kind, one of some kinds, or any. The kinds of all arguments of one call whose
# slots leave a choice are joined.

ANY = None
Slot = Kind | tuple[Kind, ...] | None

Value = Annotated[Any, ANY]
Tensor = Annotated[Any, TENSOR]
Scalar = Annotated[Any, SCALAR]
Row = Annotated[Any, ROW]
Column = Annotated[Any, COLUMN]
Left = Annotated[Any, LEFT]
Right = Annotated[Any, RIGHT]
Square = Annotated[Any, (LEFT, RIGHT)]
Array = Annotated[Any, (TENSOR, ROW, COLUMN, LEFT, RIGHT)]


def takes(slot: Slot, kind: Kind) -> bool:
    """Tell whether a value of this kind fits into a slot."""
    return slot is ANY or slot is kind or (isinstance(slot, tuple) and kind in slot)


def shown(slot: Slot) -> str:
    """Return what a slot takes, for people."""
    return " or ".join(map(str, slot)) if isinstance(slot, tuple) else str(slot)
