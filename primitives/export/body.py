"""The body of a rule, as statements of Python on one leaf or on lists of all leaves."""

from __future__ import annotations

import ast
import math

from primitives.export.names import Names
from primitives.export.placement import nonzero_numbers
from primitives.export.rule import ExportedRule, Part
from primitives.registry import ORACLE
from primitives.writing.listing import FIRST, Line, Number, Value
from primitives.writing.source import Definitions

WIDTH = 88  # of a line in an exported file


class Body:
    """Writes the statements of one rule.

    It gets leaves, or lists of leaves where it needs the whole model, and returns the direction or
    the update, then what becomes of all states, then the parameters to evaluate at where no state
    holds them. A state that only the other rule knows comes out as it went in.

    called_dtype, called_leaves: names for the dtype of a leaf and for the number of leaves.
    """

    def __init__(
        self,
        rule: ExportedRule,
        part: Part,
        names: Names,
        definitions: Definitions,
        by_leaf: tuple[str, ...],
        called_dtype: str,
        called_leaves: str,
    ):
        self.rule, self.part, self.code = rule, part, part.code
        self.names, self.definitions = names, definitions
        self.dtype, self.leaves = called_dtype, called_leaves
        self.over_model = part.over_model
        self.order = self.code.live()[0]
        foreign = [s.name for s in rule.states if s.name not in self.code.states]

        self.returned = [
            self.code.update,
            *(self.code.states.get(s.name, s.name) for s in rule.states),
        ]
        if rule.program.evaluate_at and rule.evaluation_state is None:
            assert self.code.evaluate_at is not None
            self.returned.append(self.code.evaluate_at)

        # Over a model: values of which there is one a leaf
        self.many: set[Value] = {
            e for e in part.entries if e in ("w", "g", *by_leaf, *self.code.states)
        }
        self.many.update(foreign)
        self.last: dict[Value, float] = {}  # the last line that reads a value
        self.arrays: dict[Value, str] = {}  # literals that must be arrays, and what they are called
        for n in self.order:
            line = self.code.lines[n]
            self.last.update(dict.fromkeys(line.args, n))
            self.arrays.update((line.args[slot], "") for slot in line.array_slots())
            if line.whole or self.many.intersection(line.args):
                self.many.add(n)
        self.last.update(dict.fromkeys(self.returned, math.inf))
        for number, literal in enumerate(self.arrays, 1):
            self.arrays[literal] = names.numbered("c", number)

        self.nonzero = nonzero_numbers(self.code, part.program, except_for=rule.decays)

        self.called: dict[Value, str] = {e: names(e) for e in (*part.entries, *foreign)}
        self.holder: dict[str, Value] = {name: value for value, name in self.called.items()}

    def statements(self) -> list[str]:
        """Return the statements, in lines that fit."""
        lines = []
        for n in self.order:
            right = self.right(self.code.lines[n])
            lines += folded(f"{self.target(n)} = {right}")

        values = [self.listed(v) for v in self.returned]
        if not self.rule.rate_outside:
            update = values[0]
            values[0] = f"[-x for x in {update}]" if self.over_model else f"-{update}"
        lines.append(f"return {', '.join(values)}" if len(values) > 1 else f"return ({values[0]},)")

        top = []
        if self.arrays:
            g = self.names("g")
            top.append(f"{self.dtype} = {g}{'[0]' if self.over_model else ''}.dtype")
            array = f"{self.definitions.namespace}.asarray"
            top += [
                f"{name} = {array}({literal}, {self.dtype})"
                for literal, name in self.arrays.items()
            ]
        if any(f"] * {self.leaves}" in line for line in lines):
            top.append(f"{self.leaves} = len({self.names('g')})")
        return top + lines

    def shown(self, value: Value) -> str:
        """Return a value as text."""
        return str(value) if isinstance(value, Number) else self.called[value]

    def listed(self, value: Value) -> str:
        """Return a value as text; over a model, a list of one a leaf."""
        if self.over_model and value not in self.many:
            return f"[{self.shown(value)}] * {self.leaves}"
        return self.shown(value)

    def right(self, line: Line) -> str:
        """Return the right side of a statement."""
        if line.scope == ORACLE:
            return f"{self.names(line.op)}({self.shown(line.args[0])})"
        if line.whole:
            return self.definitions.call(line.op, [self.listed(a) for a in line.args])

        slots = line.array_slots()
        args = [
            self.arrays[a] if slot in slots else self.shown(a) for slot, a in enumerate(line.args)
        ]
        if line.op in ("divide", "reciprocal") and line.args[-1] in self.nonzero:
            args[-1] = f"{self.definitions.helper(nonzero, 'nonzero')}({args[-1]})"
        if line.op == FIRST:
            t, g, state = args
            right = f"{self.definitions.namespace}.where({t} == 1.0, {g}, {state})"
        else:
            right = self.definitions.call(line.op, args)
        over = list(dict.fromkeys(self.shown(a) for a in line.args if a in self.many))
        if self.over_model and over:
            source = over[0] if len(over) == 1 else f"zip({', '.join(over)})"
            right = f"[{right} for {', '.join(over)} in {source}]"
        return right

    def target(self, n: int) -> str:
        """Return the name that takes the result of a line, and note that it holds it."""
        name = self.names(self.code.lines[n].name)
        if name in self.holder and self.last.get(self.holder[name], -1) > n:
            name = self.names.numbered(name, 2)  # its old value is still to be read
        self.holder[name] = n
        self.called[n] = name
        return name


def nonzero(xp, x):
    """x, which is not 0; NaN where it is, for then a number is outside of its range."""
    return xp.where(x == 0.0, xp.nan, x)


def folded(line: str) -> list[str]:
    """Return a statement in lines that fit: a long right side goes into parentheses."""
    for node in ast.walk(ast.parse(line)):  # evolved programs say such things, and ruff minds
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            if all(isinstance(side, ast.Constant) for side in sides):
                return [f"{line}  # noqa: PLR0133"]
            if len({ast.unparse(side) for side in sides}) == 1:
                return [f"{line}  # noqa: PLR0124"]

    if len(line) + 4 <= WIDTH or " = " not in line:
        return [line]
    target, right = line.split(" = ", 1)
    cut = right.find(" for ")
    if right.startswith("[") and cut > 0:
        return [f"{target} = [", f"    {right[1:cut]}", f"    {right[cut + 1 : -1]}", "]"]
    return [f"{target} = (", f"    {right}", ")"]
