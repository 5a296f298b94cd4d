"""Where the learning rate and the decoupled weight decay stand in a step.

Optimizers of libraries multiply by the learning rate and add the decay outside of
the rule, where a schedule, a mask or another rule can be put in their place.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from primitives.kinds import TENSOR, Kind
from primitives.program import Program
from primitives.registry import PRIMITIVES
from primitives.statements import INPUTS
from primitives.writing.listing import Line, Listing, Number, Value

DECAY = "weight_decay"  # what a decay is called that the program writes as a bare number
ONE = Number("1.0")


def without_learning_rate(code: Listing) -> Listing | None:
    """Return the direction d of `update = lr · d`, or None where lr stands elsewhere too.

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
    """Return the power of lr in a result, from those in its arguments; None where there is none.

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
    """Return the d and the c of a direction `d + w · c` with a constant c.

    None where w stands elsewhere too. The whole may be multiplied by a literal, which is then a
    factor of d and of c.
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
                assert isinstance(code.update, int)  # the factor comes from this line
                name = code.lines[code.update].name
                scaled = Line(name, "multiply", (direction, Number(repr(factor.value))), TENSOR)
                split = replace(code, lines=(*code.lines, scaled), update=len(code.lines))
            entries = split.live()[1]
            if "w" in entries or c in entries or (literal and DECAY in entries):
                continue
            return split, Number(repr(c.value * factor.value)) if literal else c
    return None
