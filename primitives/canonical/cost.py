"""What one step of a program costs: statements that run, arithmetic and memory per parameter."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from primitives.canonical.graph import graph
from primitives.canonical.liveness import prune
from primitives.kinds import KINDS, TENSOR
from primitives.program import Program
from primitives.registry import PRIMITIVES


@dataclass(frozen=True)
class Cost:
    """What a step of a program costs.

    statements: those that are live.
    buffers: state kept per parameter, in parameters; what grows slower does not count.
    state: all that is kept beside a matrix, for people: "2", or "1 + 1 row + 2 left".
    operations: per parameter and step, in additions, as the registry counts them (a division is 4,
    a root 4, a sine 15).
    """

    statements: int
    buffers: int
    state: str
    operations: float


def cost(program: Program) -> Cost:
    """Return the cost of a program after everything that does not matter is left out."""
    values = graph(program)
    work = sum(
        PRIMITIVES[n.op].flops for n in values.nodes if n.op in PRIMITIVES and n.kind is TENSOR
    )
    buffers = sum(s.kind is TENSOR for s in values.states)
    statements = sum(map(len, prune(program).bodies))
    kept = Counter(s.kind for s in values.states)
    state = [str(kept[TENSOR])] + [
        f"{kept[kind]} {kind}" for kind in KINDS.values() if kept[kind] and kind is not TENSOR
    ]
    words = " + ".join(state if kept[TENSOR] or len(state) == 1 else state[1:])
    return Cost(statements, buffers, words, work + 1)  # + 1: w - update
