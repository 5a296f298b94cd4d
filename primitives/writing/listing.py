"""The listing of a plain program: one step in which every value is assigned once.

Names that a program gives twice are two values here, and a copy is none. Whoever
writes a program in another language begins here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from primitives.canonical.liveness import reached
from primitives.kinds import TENSOR, Kind
from primitives.program import Program
from primitives.registry import ELEMENTWISE, MODEL, ORACLE, PRIMITIVES
from primitives.writing.source import meets_number

FIRST = "first gradient"  # a listing's own operation (t, g, state): g in step 1, then the state


@dataclass(frozen=True)
class Number:
    """A literal, by its text: in a dictionary 1.0 would be line 1, and -0.0 would be 0.0."""

    text: str

    @property
    def value(self) -> float:
        return float(self.text)

    def __str__(self) -> str:
        return self.text


Value = int | str | Number
"""The result of a line, a variable at the start of the step, or a literal."""


@dataclass(frozen=True)
class Line:
    """One call; `name` is what the program calls its result."""

    name: str
    op: str
    args: tuple[Value, ...]
    kind: Kind

    @property
    def scope(self) -> str:
        return ELEMENTWISE if self.op == FIRST else PRIMITIVES[self.op].scope

    @property
    def whole(self) -> bool:
        """Whether it sees the whole model at once."""
        return self.scope in (MODEL, ORACLE)

    def array_slots(self) -> set[int]:
        """Return the slots in which a literal must be an array.

        Python would compute with the bare literal in double precision.
        """
        literal = {slot for slot, a in enumerate(self.args) if isinstance(a, Number)}
        if self.whole or not literal:
            return set()
        return literal if len(literal) == len(self.args) else literal & meets_number(self.op)


@dataclass(frozen=True)
class Listing:
    """A step.

    update: what is subtracted from w; states: what each becomes; evaluate_at: where the model is
    evaluated after the step.
    """

    lines: tuple[Line, ...]
    update: Value
    states: dict[str, Value]
    evaluate_at: Value | None = None  # None: at the new w

    def live(self) -> tuple[list[int], set[str]]:
        """Return the numbers of the lines that matter, in order, and the variables they read.

        Every state counts as needed: a listing is made of a program without dead states.
        """
        found = reached(
            [self.update, *self.remembered()],
            lambda value: self.lines[value].args if isinstance(value, int) else (),
        )
        lines = sorted(value for value in found if isinstance(value, int))
        return lines, {value for value in found if isinstance(value, str)}

    def remembered(self) -> list[Value]:
        """Return what outlives the step beside the update."""
        return [*self.states.values(), *([] if self.evaluate_at is None else [self.evaluate_at])]

    def live_lines(self) -> list[Line]:
        """Return the lines that matter, in order."""
        return [self.lines[number] for number in self.live()[0]]

    def pairs(self, value: Value, op: str) -> Iterator[tuple[Value, Value]]:
        """Yield the two arguments of a value that `op` computes, in both orders.

        Yields nothing for any other value.
        """
        if isinstance(value, int) and self.lines[value].op == op:
            x, y = self.lines[value].args
            yield x, y
            yield y, x


def listing(program: Program) -> Listing:
    """Return the listing of a program, where calls without arguments are numbers."""
    env: dict[str, Value] = {name: name for name in program.entry_kinds}
    lines: list[Line] = []
    for state in program.states:
        if state.start == "g":
            env[state.name] = len(lines)
            lines.append(Line(state.name, FIRST, ("t", "g", state.name), TENSOR))
    for instruction, kind in zip(program.body, program.kinds, strict=True):
        args = tuple(env[a] if isinstance(a, str) else Number(repr(a)) for a in instruction.args)
        if instruction.op == "copy":
            env[instruction.target] = args[0]
        elif not args:
            env[instruction.target] = Number(repr(float(PRIMITIVES[instruction.op].apply(np))))
        else:
            env[instruction.target] = len(lines)
            lines.append(Line(instruction.target, instruction.op, args, kind))
    states = {s.name: env[s.name] for s in program.states}
    return Listing(
        tuple(lines),
        env[program.output],
        states,
        env[program.evaluate_at] if program.evaluate_at else None,
    )
