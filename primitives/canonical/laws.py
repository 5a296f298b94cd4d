"""Laws: two ways to write one value. Where a program says the left one, the graph has the right.

All laws are exact in floating point: both sides give the same numbers, also where these are
infinite or nan. Only the sign of a zero may be lost (-0.0 + 0.0 is 0.0), which no primitive sees
but `atan2`. What holds up to rounding alone is left to the probe (`probe.py`).

A law is written as a program would say it. A letter stands for any value, `k` for a constant, and
the name of a kind for a value of this kind. A law is applied only where its right side has the kind
of its left side: `where(c, x, x)` of a tensor c and a number x is a tensor, and stays.

To add a law, add a line to `LAWS`: its test reads the same table. What the registry knows of a
primitive (mirror, idempotent, involution, identity) becomes laws by itself. Three rules are not of
this form and stand in `values.py`: a call of constants is a constant, the arguments of a
commutative primitive are sorted, and equal calls are one value.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from primitives.canonical.nodes import CONSTANT, Node
from primitives.kinds import KINDS
from primitives.registry import Primitive, per_registry, signs

Letters = dict[str, int]
"""The values, by number, that the letters of a law stand for."""

Matcher = Callable[[Sequence[Node], Sequence[int]], Letters | None]
"""Of all nodes and the arguments of a call."""


@dataclass(frozen=True)
class Law:
    """Two expressions in the notation of programs; the right one is kept."""

    left: str
    right: str

    @cached_property
    def op(self) -> str:
        """The primitive that the left side calls last."""
        pattern = read(self.left)
        assert isinstance(pattern, Call), f"the left side of a law is a call: {self.left}"
        return pattern.op


def law(left: str, right: str) -> Law:
    """Write down a law, as in `law("x * x", "square(x)")`."""
    return Law(left, right)


LAWS = (
    law("copy(x)", "x"),
    law("x * x", "square(x)"),
    law("x - k", "x + -k"),
    law("column @ row", "column * row"),
    law("where(c, x, x)", "x"),
)


@per_registry
def laws_of(primitive: Primitive) -> tuple[Law, ...]:
    """Return the laws about a call of this primitive, in the order in which they are tried."""
    facts = []
    name = primitive.name
    if primitive.mirror:
        facts.append(law(f"{name}(x, y)", f"{primitive.mirror}(y, x)"))
    if primitive.idempotent and primitive.arity == 1:
        facts.append(law(f"{name}({name}(x))", f"{name}(x)"))
    if primitive.idempotent and primitive.arity == 2:
        facts.append(law(f"{name}(x, x)", "x"))
    if primitive.involution:
        facts.append(law(f"{name}({name}(x))", "x"))
    if primitive.identity is not None:
        facts.append(law(f"{name}(x, {primitive.identity!r})", "x"))
        if primitive.commutative:
            facts.append(law(f"{name}({primitive.identity!r}, x)", "x"))
    return (*(known for known in LAWS if known.op == name), *facts)


@per_registry
def matchers_of(primitive: Primitive, constants: bool) -> tuple[tuple[Matcher, Pattern], ...]:
    """Return the laws about a call of this primitive, ready to be applied.

    Each is a function that returns what the letters of the left side stand for in a call, None
    where the call is another, and the right side.
    constants: whether one of the arguments is a constant. Most calls have none, and then the laws
    that ask for one need not be tried.
    """
    found = []
    for known in laws_of(primitive):
        left = read(known.left)
        assert isinstance(left, Call)
        if constants or not any(a == "k" or isinstance(a, float) for a in left.args):
            found.append((_matcher(left), read(known.right)))
    return tuple(found)


# --- the notation ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A primitive applied to patterns."""

    op: str
    args: tuple[Pattern, ...]


Pattern = Call | str | float
"""One side of a law: a call, a letter, or a number."""

_SIGNS = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.Mod: "%",
    ast.MatMult: "@",
}  # fmt: skip
_KINDS = {kind.name: kind for kind in KINDS.values()}


def read(text: str) -> Pattern:
    """Read one side of a law."""
    return _pattern(ast.parse(text, mode="eval").body)


def _pattern(node: ast.expr) -> Pattern:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Constant) and isinstance(node.value, float):
        return node.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _pattern(node.operand)
        return -inner if isinstance(inner, float) else Call("negative", (inner,))
    if isinstance(node, ast.BinOp):
        op = signs()[_SIGNS[type(node.op)]]
        return Call(op, (_pattern(node.left), _pattern(node.right)))
    assert isinstance(node, ast.Call), f"no side of a law: {ast.unparse(node)}"
    return Call(ast.unparse(node.func), tuple(map(_pattern, node.args)))


def _matcher(left: Call) -> Matcher:
    tests = [_test(argument) for argument in left.args]
    slots = range(len(left.args))
    same = [(m, n) for m in slots for n in slots[m + 1 :] if left.args[m] == left.args[n]]

    def matches(nodes: Sequence[Node], args: Sequence[int]) -> Letters | None:
        for m, n in same:  # first, because most calls fail here
            if args[m] != args[n]:
                return None
        letters: Letters = {}
        for test, value in zip(tests, args, strict=True):
            if not test(nodes, value, letters):
                return None
        return letters

    return matches


def _test(pattern: Pattern) -> Callable[[Sequence[Node], int, Letters], bool]:
    """Return a function that tells whether a value fits a pattern, and notes what letters stand
    for.
    """
    if isinstance(pattern, float):

        def is_number(nodes: Sequence[Node], value: int, letters: Letters) -> bool:
            node = nodes[value]
            return node.op == CONSTANT and node.value == pattern

        return is_number
    if isinstance(pattern, Call):
        op, inner = pattern.op, [_test(argument) for argument in pattern.args]

        def is_call(nodes: Sequence[Node], value: int, letters: Letters) -> bool:
            node = nodes[value]
            if node.op != op:
                return False
            pairs = zip(inner, node.args, strict=True)
            return all(test(nodes, argument, letters) for test, argument in pairs)

        return is_call
    assert isinstance(pattern, str)
    kind = _KINDS.get(pattern)

    def is_letter(nodes: Sequence[Node], value: int, letters: Letters) -> bool:
        return letters.setdefault(pattern, value) == value

    def is_constant(nodes: Sequence[Node], value: int, letters: Letters) -> bool:
        return nodes[value].op == CONSTANT and is_letter(nodes, value, letters)

    def is_of_kind(nodes: Sequence[Node], value: int, letters: Letters) -> bool:
        return nodes[value].kind is kind and is_letter(nodes, value, letters)

    return is_constant if pattern == "k" else is_of_kind if kind is not None else is_letter
