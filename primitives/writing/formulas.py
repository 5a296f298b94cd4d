"""The rule of a program line by line, in the names of the program: for the docstring of an export.

    m[t] = (1 - beta1)·g + beta1·m[t-1]
    w ← w - lr·m[t]

`mathematics.py` writes the same rule as a paper would: it chooses letters, writes
values into each other, and drops what is written twice. Here every line of the
program has its line and every variable keeps its name, so that a reader can go
back and forth between the formulas, the arguments and the code below them. What
the two share is `listing.py`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from primitives.program import Program
from primitives.registry import PRIMITIVES
from primitives.statements import INPUTS
from primitives.writing.listing import FIRST, Listing, Number, Value
from primitives.writing.source import Definitions, in_place, parameters

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def formulas(code: Listing, program: Program) -> list[str]:
    """Write one line for each value: `m[t] = (1.0 - beta1)·g + beta1·m[t-1]`."""
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


def term(op: str, args: list[str]) -> str:
    """Write one call in the notation of mathematics."""
    primitive = PRIMITIVES[op]
    if primitive.infix == "**":
        return f"({args[0]})^{args[1]}" if args[0].startswith("-") else f"{args[0]}^{args[1]}"
    if primitive.infix and primitive.family == "logic":
        return f"[{args[0]} {primitive.infix} {args[1]}]"
    if primitive.infix in ("/", "%", "@"):
        return f"{args[0]} {primitive.infix} {args[1]}"
    if _is_arithmetic(op):
        return Definitions().call(op, args).replace(" * ", "·").replace("1.0 - ", "1 - ")
    return f"{op}({', '.join(args)})"


def explained(ops: Iterable[str]) -> list[str]:
    """Say what primitives do, where a formula does not say it."""
    lines = []
    for op in ops:
        primitive = PRIMITIVES[op]
        if _is_arithmetic(op):
            continue
        if primitive.infix and primitive.family == "logic":
            text = f"[x {primitive.infix} y]: {primitive.summary}"
        elif primitive.infix == "/":
            text = primitive.summary
        elif primitive.infix:
            sign = "x^y" if primitive.infix == "**" else f"x {primitive.infix} y"
            text = f"{sign}: {primitive.summary}"
        else:
            text = f"{op}({', '.join(parameters(primitive.apply))}): {primitive.summary}"
        lines.append(text)
    return lines


def _is_arithmetic(op: str) -> bool:
    """Tell whether a primitive is nothing but arithmetic on its arguments."""
    formula = in_place(op)
    return formula is not None and not any(
        isinstance(n, ast.Call | ast.Attribute) for n in ast.walk(formula)
    )
