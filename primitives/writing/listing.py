"""The listing of a plain program: one step in which every value is assigned once.

From it we see where the learning rate and the decoupled weight decay stand, and
what the rule is as mathematics.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from primitives.kinds import TENSOR, Kind
from primitives.program import Program
from primitives.registry import ELEMENTWISE, MODEL, ORACLE, PRIMITIVES
from primitives.statements import INPUTS
from primitives.writing.source import meets_number, term

FIRST = "first gradient"  # a listing's own operation (t, g, state): g in step 1, then the state
DECAY = "weight_decay"  # what a decay is called that the program writes as a bare number


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

ONE = Number("1.0")


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
        """Slots in which a literal must be an array: Python would compute in double precision."""
        literal = {slot for slot, a in enumerate(self.args) if isinstance(a, Number)}
        if self.whole or not literal:
            return set()
        return literal if len(literal) == len(self.args) else literal & meets_number(self.op)


@dataclass(frozen=True)
class Listing:
    """A step: its lines, what is subtracted from w, what each state becomes, and where the model is
    evaluated.
    """

    lines: tuple[Line, ...]
    update: Value
    states: dict[str, Value]
    evaluate_at: Value | None = None  # None: at the new w

    def live(self) -> tuple[list[int], set[str]]:
        """Numbers of the lines that matter, in order, and the variables they read."""
        lines: set[int] = set()
        entries: set[str] = set()
        waiting = [self.update, *self.remembered()]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                entries.add(value)
            elif isinstance(value, int) and value not in lines:
                lines.add(value)
                waiting.extend(self.lines[value].args)
        return sorted(lines), entries

    def remembered(self) -> list[Value]:
        """What outlives the step beside the update."""
        return [*self.states.values(), *([] if self.evaluate_at is None else [self.evaluate_at])]

    def live_lines(self) -> list[Line]:
        return [self.lines[number] for number in self.live()[0]]

    def pairs(self, value: Value, op: str) -> Iterator[tuple[Value, Value]]:
        """The two arguments of a value that `op` computes, in both orders; nothing for any other
        value.
        """
        if isinstance(value, int) and self.lines[value].op == op:
            x, y = self.lines[value].args
            yield x, y
            yield y, x


def listing(program: Program) -> Listing:
    """The listing of a program; copies are gone, and calls without arguments are numbers."""
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


# --- the learning rate and the decay --------------------------------------------------------------


def without_learning_rate(code: Listing) -> Listing | None:
    """The direction d of `update = lr · d`, or None where lr stands elsewhere too.

    Counts the power of lr in every value. Where the update has power 1 and all that is
    remembered has power 0, the update is lr times its own value at lr = 1.
    """
    powers: dict[int, int | None] = {}

    def power(value: Value) -> int | None:
        return powers[value] if isinstance(value, int) else int(value == "lr")

    for number in code.live()[0]:
        line = code.lines[number]
        given = [power(a) for a in line.args]
        powers[number] = None if None in given else _power(line.op, given)
    if power(code.update) != 1 or any(power(v) != 0 for v in code.remembered()):
        return None
    moved: dict[Value, Value] = {"lr": ONE}
    lines: list[Line] = []
    for number, line in enumerate(code.lines):
        args = tuple(moved.get(a, a) for a in line.args)
        if line.op == "multiply" and ONE in args and ONE not in line.args:
            moved[number] = args[1] if args[0] == ONE else args[0]
        else:
            moved[number] = len(lines)
            lines.append(replace(line, args=args))
    states = {s: moved.get(v, v) for s, v in code.states.items()}
    point = (
        code.evaluate_at
        if code.evaluate_at is None
        else moved.get(code.evaluate_at, code.evaluate_at)
    )
    return Listing(tuple(lines), moved.get(code.update, code.update), states, point)


def _power(op: str, given: list[Any]) -> int | None:
    """Power of lr in a result, from those in its arguments; None where it is no plain power.

    A factor common to a group of arguments in which the primitive is linear comes out of the call.
    """
    if not any(given):
        return 0
    left = dict(enumerate(given))
    power = 0
    for group in PRIMITIVES[op].linear:
        powers = {left.pop(slot) for slot in group}
        if len(powers) > 1:
            return None
        power += powers.pop()
    return None if any(left.values()) else power


def without_decay(code: Listing, program: Program) -> tuple[Listing, Value] | None:
    """The d and the c of a direction `d + w · c` with a constant c; None where w stands elsewhere
    too.

    The whole may be multiplied by a literal, which is then a factor of d and of c.
    """
    total, factor = code.update, ONE
    for inner, outer in code.pairs(code.update, "multiply"):
        if isinstance(outer, Number):
            total, factor = inner, outer
    plain = factor.value == 1.0
    kinds: dict[Value, Kind] = {
        **INPUTS,
        **program.entry_kinds,
        **{n: x.kind for n, x in enumerate(code.lines)},
    }
    for direction, decay in code.pairs(total, "add"):
        if kinds.get(direction) is not TENSOR:
            continue  # a number is no direction
        for parameter, c in code.pairs(decay, "multiply"):
            literal = isinstance(c, Number)
            if parameter != "w" or not (literal or (plain and c in program.values)):
                continue
            split = replace(code, update=direction)
            if not plain:
                name = code.lines[code.update].name  # type: ignore[index]  # factor comes from this line
                scaled = Line(name, "multiply", (direction, Number(repr(factor.value))), TENSOR)
                split = replace(code, lines=(*code.lines, scaled), update=len(code.lines))
            entries = split.live()[1]
            if "w" in entries or c in entries or (literal and DECAY in entries):
                continue
            return split, Number(repr(c.value * factor.value)) if literal else c
    return None


# --- the rule as mathematics ----------------------------------------------------------------------

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def formulas(code: Listing, program: Program) -> list[str]:
    """One line a value: `m[t] = (1.0 - beta1)·g + beta1·m[t-1]`."""
    order = code.live()[0]
    names = [code.lines[n].name for n in order]
    becomes = {v: s for s, v in reversed(code.states.items()) if isinstance(v, int)}
    count: dict[str, int] = {}
    called: dict[Value, str] = {}
    for n in order:
        name = code.lines[n].name
        if n in becomes:
            called[n] = f"{becomes[n]}[t]"
            continue
        count[name] = count.get(name, 0) + 1
        again = names.count(name) > 1 or name in INPUTS
        called[n] = f"{name}{str(count[name]).translate(_SUBSCRIPTS)}" if again else name

    def shown(value: Value) -> str:
        if isinstance(value, Number):
            return f"{value.value:g}" if float(f"{value.value:g}") == value.value else value.text
        if isinstance(value, int):
            return called[value]
        return f"{value}[t-1]" if value in code.states else value

    lines = []
    for state in program.states:
        start = state.start if isinstance(state.start, str) else shown(Number(repr(state.start)))
        start = "g of the first step" if start == "g" else start
        lines.append(f"{state.name}[0] = {start}")
    for n in order:
        line = code.lines[n]
        if line.op == FIRST:
            called[n] = f"{line.name}[t-1]"  # the line above says where it starts
        else:
            lines.append(f"{called[n]} = {term(line.op, [shown(a) for a in line.args])}")
    for state, value in code.states.items():
        if not isinstance(value, int) or called[value] != f"{state}[t]":
            lines.append(f"{state}[t] = {shown(value)}")
    lines.append(f"w ← w - {shown(code.update)}")
    return (
        lines if code.evaluate_at is None else [*lines, f"evaluated at {shown(code.evaluate_at)}"]
    )
