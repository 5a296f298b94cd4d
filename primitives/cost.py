"""What one step of a program costs: statements that run, arithmetic and memory per parameter."""

from __future__ import annotations

from dataclasses import dataclass

from primitives.graph import graph
from primitives.kinds import TENSOR
from primitives.liveness import prune
from primitives.program import Program
from primitives.registry import PRIMITIVES


@dataclass(frozen=True)
class Cost:
    """statements: live ones; buffers: state kept per parameter, in parameters; operations: per parameter and
    step, in additions, as the registry counts them (a division is 4, a root 4, a sine 15)."""

    statements: int
    buffers: int
    operations: float


def cost(program: Program) -> Cost:
    """The cost of a program after everything that does not matter is left out."""
    values = graph(program)
    work = sum(PRIMITIVES[n.op].flops for n in values.nodes if n.op in PRIMITIVES and n.kind is TENSOR)
    buffers = sum(s.kind is TENSOR for s in values.states)
    statements = sum(map(len, prune(program).bodies))
    return Cost(statements, buffers, work + 1)  # + 1: w - update
