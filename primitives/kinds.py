"""Kinds: what shape a value has, seen beside one parameter leaf.

A leaf is read as an r x c matrix. A kind names the extent of a value along the
two axes; values of different kinds combine as numpy broadcasts, axis by axis.
One more kind (a row is `("1", "c")`) is one more line here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any


@dataclass(frozen=True, eq=False)  # there is one object a kind, compared by identity: checks ask a lot
class Kind:
    """The extent of a value along the rows and the columns of its leaf."""

    name: str
    axes: tuple[str, str]

    def __str__(self) -> str:
        return self.name


SCALAR = Kind("scalar", ("1", "1"))
TENSOR = Kind("tensor", ("r", "c"))

KINDS = {kind.axes: kind for kind in (SCALAR, TENSOR)}


@cache
def join(*kinds: Kind) -> Kind | None:
    """The kind that values of these kinds have once combined elementwise; None where they do not fit."""
    axes = []
    for extents in zip(*(kind.axes for kind in kinds), strict=True):
        wide = set(extents) - {"1"}
        if len(wide) > 1:
            return None
        axes.append(wide.pop() if wide else "1")
    return KINDS.get((axes[0], axes[1]))


# Annotations of a primitive's definition. `Value` is any kind; all `Value`s of one call are joined.
ANY = None
Value = Annotated[Any, ANY]
Tensor = Annotated[Any, TENSOR]
Scalar = Annotated[Any, SCALAR]
