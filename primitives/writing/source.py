"""The definitions of primitives as text: one call in the words of jax.numpy, or in those of
mathematics.

What a primitive computes is its own source, with `xp` read as `jnp`: a one-line
definition is written in place, a longer one becomes a helper of the exported file.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import textwrap
from collections.abc import Callable, Iterable
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

from primitives.errors import ProgramError
from primitives.registry import MODEL, PRIMITIVES


class Definitions:
    """Rewrites definitions for a library and collects the helpers and constants that they call."""

    def __init__(self, taken: Iterable[str] = (), namespace: str = "jnp"):
        self.taken = frozenset(taken)  # names that a helper cannot have
        self.namespace = namespace  # what `xp` is in the exported file
        self.helpers: dict[str, str] = {}  # text of each
        self.defined: dict[str, Callable] = {}  # where it came from
        self.constants: dict[str, str] = {}  # value of each, as text

    def call(self, op: str, args: list[str]) -> str:
        """One primitive on these arguments, given as text."""
        function = PRIMITIVES[op].apply
        formula = in_place(op)
        if formula is None:
            return f"{self.helper(function, op)}({', '.join(args)})"
        arguments = dict(zip(parameters(function), args, strict=True))
        return " ".join(self.rewrite(function, formula, arguments).split())

    def helper(self, function: Callable, name: str) -> str:
        """The name of a function in the exported file, where it is defined on first use."""
        name = "_" + name.strip("_")
        while name in self.taken or self.defined.get(name, function) is not function:
            name += "_"
        if name not in self.helpers:
            self.defined[name] = function
            self.helpers[name] = ""  # keeps its place, and ends a recursion
            head = f"def {name}({', '.join(parameters(function))}):"
            body = [
                textwrap.indent(self.rewrite(function, s, {}), "    ")
                for s in _definition(function)[0].body
            ]
            self.helpers[name] = "\n".join([head, *body])
        return name

    def rewrite(self, function: Callable, node: ast.AST, arguments: dict[str, str]) -> str:
        """The text of a piece of a definition: `xp` becomes `jnp`, parameters become `arguments`.

        The text is edited and not printed from the tree, so the definition keeps its layout.
        """
        definition, text = _definition(function)
        stored = {
            n.id
            for n in ast.walk(definition)
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        local = {*stored, *parameters(function), "xp"}
        raw = text.encode()  # a syntax tree counts bytes
        starts = [0, *itertools.accumulate(map(len, raw.splitlines(keepends=True)))]
        edits: list[tuple[int, int, bytes]] = []

        def place(part: Any) -> tuple[int, int]:
            return starts[part.lineno - 1] + part.col_offset, starts[
                part.end_lineno - 1
            ] + part.end_col_offset

        def visit(part: ast.AST, bare: bool) -> None:
            if isinstance(part, ast.Name):
                if part.id not in arguments:
                    new = self.name(function, part.id, local)
                else:
                    new = arguments[part.id]
                    new = f"({new})" if new.startswith("-") and not bare else new
                edits.append((*place(part), new.encode()))
            elif isinstance(part, ast.Attribute | ast.Call) and _is_math(part, function, local):
                edits.append((*place(part), repr(_evaluate(part)).encode()))
            elif isinstance(part, ast.Call) and part.args and ast.unparse(part.args[0]) == "xp":
                xp, *others = part.args
                start, end = place(xp)
                edits.append((start, place(others[0])[0] if others else end, b""))
                for child in (part.func, *others, *part.keywords):
                    visit(child, True)
            else:
                for child in ast.iter_child_nodes(
                    part
                ):  # an argument of a call has nothing beside it
                    visit(child, isinstance(part, ast.Call))

        visit(node, True)
        start, end = place(node)
        pieces = [b" " * node.col_offset]  # type: ignore[attr-defined]  # the first line is indented as the others
        for left, right, new in sorted(edits):
            pieces += [raw[start:left], new]
            start = right
        return textwrap.dedent(b"".join([*pieces, raw[start:end]]).decode())

    def name(self, function: Callable, name: str, local: set[str]) -> str:
        """What one name of a definition is called in the exported file."""
        if name == "xp":
            return self.namespace
        if name in local or name not in function.__globals__:
            return name  # its own, or a builtin
        value = function.__globals__[name]
        if isinstance(value, float | int):
            return self.constant(function, name)
        ours = (function.__module__, "primitives")  # a plug-in has functions of its own
        if isinstance(value, FunctionType) and value.__module__.startswith(ours):
            return self.helper(value, name)
        if isinstance(value, ModuleType) and value.__name__ in ("jax", "jax.numpy"):
            return {"jax": "jax", "jax.numpy": "jnp"}[value.__name__]
        raise ProgramError(
            f"{function.__name__} cannot be exported: its definition uses {name!r}",
            hint="A definition may use xp, math, numbers, and functions of its own module.",
        )

    def constant(self, function: Callable, name: str) -> str:
        """Return what a module's constant is called in the exported file, where it is assigned."""
        lines, _ = inspect.findsource(function)  # of the whole module
        value = repr(function.__globals__[name])
        for node in ast.parse("".join(lines)).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                value = ast.unparse(node.value)
        name = "_" + name
        while name in self.taken or self.constants.get(name, value) != value:
            name += "_"  # a constant of another module is called so
        self.constants[name] = value
        return name


# --- reading a definition -------------------------------------------------------------------------


@cache
def _definition(function: Callable) -> tuple[ast.FunctionDef, str]:
    """Syntax and text of a function of ours."""
    text = textwrap.dedent(inspect.getsource(function))
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node, text


def parameters(function: Callable) -> list[str]:
    return [a.arg for a in _definition(function)[0].args.args if a.arg != "xp"]


def _formula(function: Callable) -> ast.expr | None:
    """The expression that a function returns, where that is all it does."""
    body = [
        s for s in _definition(function)[0].body if not isinstance(s, ast.Expr)
    ]  # without the docstring
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
        return None
    value = body[0].value
    scoped = (ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
    return None if any(isinstance(n, scoped) for n in ast.walk(value)) else value


def in_place(op: str) -> ast.expr | None:
    """The formula of a primitive that is written where it is called; None where a helper is
    called.
    """
    primitive = PRIMITIVES[op]
    return None if primitive.scope == MODEL else _formula(primitive.apply)


def meets_number(op: str) -> set[int]:
    """Slots whose argument meets a number in the formula: `a` in `(1.0 - a) * x`."""
    formula = in_place(op)
    if formula is None:
        return set()
    names = parameters(PRIMITIVES[op].apply)
    met = set()
    for node in ast.walk(formula):
        if isinstance(node, ast.BinOp):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if (
                    isinstance(one, ast.Name)
                    and one.id in names
                    and isinstance(other, ast.Constant)
                ):
                    met.add(names.index(one.id))
    return met


def _is_math(part: ast.AST, function: Callable, local: set[str]) -> bool:
    """Whether this is `math.pi`, `math.log2(10.0)` and the like."""
    while isinstance(part, ast.Attribute | ast.Call):
        part = part.value if isinstance(part, ast.Attribute) else part.func
    return (
        isinstance(part, ast.Name)
        and part.id not in local
        and function.__globals__.get(part.id) is math
    )


def _evaluate(node: ast.AST) -> float:
    """`math.log2(10.0)` or `math.pi` as a number."""
    if isinstance(node, ast.Call):
        return float(getattr(math, node.func.attr)(*(ast.literal_eval(a) for a in node.args)))  # type: ignore
    return float(getattr(math, node.attr))  # type: ignore[attr-defined]
