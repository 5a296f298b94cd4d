"""What a program computes, as data: values in the order in which they can be computed."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import NamedTuple

from primitives.kinds import LEFT, RIGHT, Kind
from primitives.registry import (
    AXIS,
    ELEMENTWISE,
    LEAF,
    MACHINE,
    MATRIX,
    MODEL,
    PRIMITIVES,
    per_registry,
)

CONSTANT = "constant"
STATE = "state"
MATRIX_LEAF = "matrix leaf"  # 1 on a leaf that is read as a matrix, 0 on one that is the fallback's

FLAT = frozenset(("w", "g", "lr", "t", "loss", MATRIX_LEAF, CONSTANT, STATE))
"""Nodes without arguments that the machine and the probe can be given.

They hold all leaves in one flat vector. Noise is not among these nodes: every program of a batch
would pay for drawing it.
"""


class Node(NamedTuple):
    """A value: an input, a constant, a state at its old value, or a primitive applied to earlier
    nodes.

    `value` is the number of a constant, the peak of the learning rate for "lr", the number of a
    state; of a reduction over the model it is the group of leaves, 1 or 2, where the program has a
    fallback.
    """

    op: str
    args: tuple[int, ...]
    value: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A state: where it starts ("w", "identity" or a number) and the node that it becomes."""

    kind: Kind
    start: float | str
    next: int


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can be computed; `update` is the node that is subtracted from
    w.

    evaluation: the node at which the model is evaluated, None for the new w; kernels: how leaves of
    more than two axes are read, empty where it does not matter.
    """

    nodes: tuple[Node, ...]
    update: int
    states: tuple[Recurrence, ...]
    evaluation: int | None = None
    kernels: str = ""

    def __hash__(self) -> int:
        return hash(self.serial)

    @functools.cached_property
    def ops(self) -> frozenset[str]:
        """The operations of its nodes."""
        return frozenset([node.op for node in self.nodes])

    def uses(self, leaf: str) -> bool:
        """Tell whether an input reaches the update, in this step or in a later one."""
        return leaf in self.ops

    def unflat(self) -> str:
        """Say why the graph cannot run on flat vectors, as the machine and the probe do; empty
        where it can.
        """
        if self.ops <= _plainly_flat() and not self.kernels:  # as most are
            return ""
        grouped = self.uses(MATRIX_LEAF)
        for node in self.nodes:
            if node.op in PRIMITIVES:
                primitive = PRIMITIVES[node.op]
                if MACHINE not in primitive.readings or _is_square(node.kind):
                    return f"{node.op} is no operation of the machine"
                if primitive.scope == MODEL and grouped:
                    return f"{node.op} reduces over the matrices alone, or over the other leaves"
                if primitive.scope in (AXIS, MATRIX) and self.kernels == "first_axis":
                    return f"the machine's rows are not those that {node.op} is to see"
            elif node.op not in FLAT:
                return f"{node.op} is no input of the machine"
        if any(_is_square(s.kind) for s in self.states):
            return "a square state does not fit into a register"
        return "stacked matrices are not flat" if self.kernels == "stack" else ""

    @functools.cached_property
    def serial(self) -> bytes:
        """The graph as bytes, which are equal for programs that say the same."""
        parts = [f"{op}{args}{value!r}" for op, args, value, _ in self.nodes]
        parts += [f"{s.kind}{s.start!r}>{s.next}" for s in self.states]
        parts.append(str(self.update))
        if self.evaluation is not None or self.kernels:
            parts.append(f"{self.evaluation} {self.kernels}")
        return "\n".join(parts).encode()

    @functools.cached_property
    def key(self) -> bytes:
        """The identity of a program, in 16 bytes: equal where the serials are.

        Journals and tables show it as 32 hex digits, `key.hex()`.
        """
        return hashlib.blake2b(self.serial, digest_size=16).digest()


@per_registry
def _plainly_flat() -> frozenset[str]:
    """Return operations that run on flat vectors in any graph."""
    scopes = (ELEMENTWISE, LEAF, MODEL)
    known = [p.name for p in PRIMITIVES.values() if p.scope in scopes and MACHINE in p.readings]
    return (FLAT - {MATRIX_LEAF}).union(known)


def _is_square(kind: Kind) -> bool:
    return kind in (LEFT, RIGHT)
