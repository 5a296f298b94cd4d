"""Where the learning rate and the decoupled weight decay stand in a step.

Optimizers of libraries multiply by the learning rate and add the decay outside of
the rule, where a schedule, a mask or another rule can be put in their place.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import replace
from typing import Any

import numpy as np

from primitives.kinds import SCALAR, TENSOR, Kind
from primitives.program import Program
from primitives.registry import ELEMENTWISE, PRIMITIVES
from primitives.statements import INPUTS
from primitives.writing.listing import FIRST, Line, Listing, Number, Value

DECAY = "weight_decay"  # what a decay is called that the program writes as a bare number
ONE = Number("1.0")
STEPS = np.asarray([*range(1, 2**16), *(2**n for n in range(16, 31))], np.float32)
"""Steps in which a number of hyperparameters and t is looked at: all of a short training, few of a
long one.
"""


def without_learning_rate(code: Listing) -> Listing | None:
    """Return the direction d of `update = lr · d`, or None where lr stands elsewhere too.

    Counts the power of lr in every value. Where the update has power 1 and all that is
    remembered has power 0, the update is lr times its own value at lr = 1.
    """
    power = powers_of("lr", code)
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


def powers_of(variable: str, code: Listing) -> Callable[[Value], int | None]:
    """Return the function that gives the power of a variable in a value; None where there is none.

    A value of power n is the n-th power of the variable times what does not depend on it.
    """
    powers: dict[int, int | None] = {}

    def power(value: Value) -> int | None:
        return powers[value] if isinstance(value, int) else int(value == variable)

    for number in code.live()[0]:
        line = code.lines[number]
        given = [power(a) for a in line.args]
        powers[number] = None if None in given else _power(line.op, given)
    return power


def _power(op: str, given: list[Any]) -> int | None:
    """Return the power of a variable in a result, from those in its arguments; None without one.

    A factor common to a group of arguments in which the primitive is linear comes out of the call.
    """
    if not any(given):
        return 0
    left = dict(enumerate(given))
    power = 0
    for group in ((1, 2),) if op == FIRST else PRIMITIVES[op].linear:
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
    kinds = _kinds(code, program)
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


def decays_inside(code: Listing, program: Program) -> set[str]:
    """Return the hyperparameters that shrink w inside of a step: those that are a factor of a
    number, which w is multiplied by before it meets the gradient.
    """
    kinds = _kinds(code, program)
    of_w, of_g = powers_of("w", code), powers_of("g", code)
    products = [
        (weights, number)
        for n in code.live()[0]
        for weights, number in code.pairs(n, "multiply")
        if kinds.get(weights) is TENSOR and (of_w(weights), of_g(weights)) == (1, 0)
        if kinds.get(number) is SCALAR
    ]
    powers = {name: powers_of(name, code) for name in program.values}
    return {
        name
        for name, power in powers.items()
        if any((power(weights), power(number)) == (0, 1) for weights, number in products)
    }


def _kinds(code: Listing, program: Program) -> dict[Value, Kind]:
    """Return the kind of each value but literals."""
    lines = {n: line.kind for n, line in enumerate(code.lines)}
    return {**INPUTS, **program.entry_kinds, **lines}


def nonzero_numbers(code: Listing, program: Program, except_for: Container[str]) -> set[Value]:
    """Return the numbers made of hyperparameters and t alone that keep one sign in all steps, at
    the program's own values.

    Adam's 1 - beta2^t is one. Where other values make it 0, the language's x / 0 = 0 would leave
    eps alone below the line, and a step would leap.
    """
    known: dict[Value, Any] = {"t": STEPS}
    known |= {h: np.float32(x) for h, x in program.values.items() if h not in except_for}
    with np.errstate(all="ignore"):
        for number in code.live()[0]:
            line = code.lines[number]
            given = [
                np.float32(a.value) if isinstance(a, Number) else known.get(a) for a in line.args
            ]
            if line.scope == ELEMENTWISE and not any(x is None for x in given):
                known[number] = PRIMITIVES[line.op].apply(np, *given)
    return {value for value, x in known.items() if np.all(x > 0.0) or np.all(x < 0.0)}
