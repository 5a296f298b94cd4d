"""The definitions of primitives as text, for files that know nothing of our registry.

What a primitive computes is its own source, with `xp` read as `jnp`: a one-line
definition is written in place, a longer one becomes a helper of the exported file.
Constants and functions of its module that it uses go with it, so the same holds
for a primitive of a plug-in. What else it uses cannot be exported.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import itertools
import math
import textwrap
from collections.abc import Callable, Iterable
from functools import cache
from types import FunctionType, ModuleType
from typing import Any

from primitives.errors import ProgramError
from primitives.registry import MODEL, PRIMITIVES, WINDOW


class Definitions:
    """Rewrites definitions for a library and collects the helpers and constants that they call."""

    def __init__(self, taken: Iterable[str] = (), namespace: str = "jnp"):
        self.taken = frozenset(taken)  # names that a helper cannot have
        self.namespace = namespace  # what `xp` is in the exported file
        self.helpers: dict[str, str] = {}  # text of each
        self.defined: dict[str, Callable] = {}  # where it came from
        self.constants: dict[str, str] = {}  # value of each, as text

    def call(self, op: str, args: list[str]) -> str:
        """Return the call of a primitive on these arguments, given as text.

        Raises `ProgramError` where its definition needs what an exported file does not have.
        """
        function = PRIMITIVES[op].apply
        formula = in_place(op)
        if formula is None:
            return f"{self.helper(function, op)}({', '.join(args)})"
        arguments = dict(zip(parameters(function), args, strict=True))
        return " ".join(self.rewrite(function, formula, arguments).split())

    def helper(self, function: Callable, name: str) -> str:
        """Return what a function is called in the exported file, where it is defined on first
        use.
        """
        name = "_" + name.strip("_")
        while (
            name in self.taken
            or name in self.constants
            or self.defined.get(name, function) is not function
        ):
            name += "_"
        if name not in self.helpers:
            self.defined[name] = function
            self.helpers[name] = ""  # keeps its place, and ends a recursion
            head = f"def {name}({_head(function)}):"
            body = [
                textwrap.indent(self.rewrite(function, s, {}), "    ")
                for s in _definition(function)[0].body
            ]
            self.helpers[name] = "\n".join([head, *body])
        return name

    def rewrite(self, function: Callable, node: ast.AST, arguments: dict[str, str]) -> str:
        """Return a piece of a definition, where `xp` is `jnp` and parameters are `arguments`.

        The text is edited and not printed from the tree, so the definition keeps its layout.
        """
        definition, text = _definition(function)
        inside = list(ast.walk(definition))
        stored = {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        stored |= {n.arg for n in inside if isinstance(n, ast.arg)}  # of functions within it too
        stored |= {n.name for n in inside if isinstance(n, ast.FunctionDef) and n is not definition}
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
        pieces = [b" " * getattr(node, "col_offset", 0)]  # the first line is indented as the others
        for left, right, new in sorted(edits):
            pieces += [raw[start:left], new]
            start = right
        return textwrap.dedent(b"".join([*pieces, raw[start:end]]).decode())

    def name(self, function: Callable, name: str, local: set[str]) -> str:
        """Return what one name of a definition is called in the exported file."""
        if name == "xp":
            return self.namespace
        if name in local:
            return name
        if name not in function.__globals__:
            if name in function.__code__.co_freevars or not hasattr(builtins, name):
                raise _unexportable(function, f"its definition uses {name!r}")
            return name
        value = function.__globals__[name]
        if isinstance(value, float | int):
            return self.constant(function, name)
        ours = (function.__module__, "primitives")  # a plug-in has functions of its own
        if isinstance(value, FunctionType) and value.__module__.startswith(ours):
            return self.helper(value, name)
        if isinstance(value, ModuleType) and value.__name__ in ("jax", "jax.numpy"):
            return {"jax": "jax", "jax.numpy": "jnp"}[value.__name__]
        raise _unexportable(function, f"its definition uses {name!r}")

    def constant(self, function: Callable, name: str) -> str:
        """Return what a module's constant is called in the exported file, where it is assigned.

        It is written as the module writes it, or as a number where that needs other names.
        """
        lines, _ = inspect.findsource(function)  # of the whole module
        number = function.__globals__[name]
        value = repr(float(number) if isinstance(number, float) else number)
        value = value if math.isfinite(number) else f'float("{value}")'
        for node in ast.parse("".join(lines)).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                plain = not any(isinstance(part, ast.Name) for part in ast.walk(node.value))
                value = ast.unparse(node.value) if plain else value
        name = "_" + name
        while (
            name in self.taken
            or name in self.helpers
            or self.constants.get(name, value) != value  # of another module
        ):
            name += "_"
        self.constants[name] = value
        return name


# --- reading a definition -------------------------------------------------------------------------


def _unexportable(function: Callable, why: str) -> ProgramError:
    return ProgramError(
        f"{function.__name__} cannot be exported: {why}",
        hint="A definition may use xp, math, numbers, and functions of its own module.",
    )


@cache
def _definition(function: Callable) -> tuple[ast.FunctionDef, str]:
    """Return the syntax and the text of a function.

    Raises `ProgramError` where its text is not known, as of one that was typed into an interpreter.
    """
    try:
        text = textwrap.dedent(inspect.getsource(function))
        node = ast.parse(text).body[0]
    except (OSError, TypeError, SyntaxError):
        node, text = None, ""
    if not isinstance(node, ast.FunctionDef):
        raise ProgramError(
            f"{function.__name__} cannot be exported: the text of its definition is not known",
            hint="Write it with def, in a file.",
        )
    return node, text


def parameters(function: Callable) -> list[str]:
    """Return the names of the arguments of a definition, without xp."""
    return [name for name in inspect.signature(function).parameters if name != "xp"]


def _head(function: Callable) -> str:
    """Return the parameters of a definition as they stand in its copy: without xp and annotations.

    Raises `ProgramError` for a default that is no literal.
    """
    shown = []
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            shown.append(f"*{name}")
            continue
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            raise _unexportable(function, f"its parameter {name!r} is not given by position")
        default = parameter.default
        if default is parameter.empty:
            shown += [name] if name != "xp" else []
        elif isinstance(default, int | float) and math.isfinite(default):
            shown.append(f"{name}={default!r}")
        else:
            raise _unexportable(function, f"the default of {name!r} is no number")
    return ", ".join(shown)


def _formula(function: Callable) -> ast.expr | None:
    """Return the expression that a function returns, where that is all it does."""
    body = [
        s for s in _definition(function)[0].body if not isinstance(s, ast.Expr)
    ]  # without the docstring
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
        return None
    value = body[0].value
    scoped = (ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
    return None if any(isinstance(n, scoped) for n in ast.walk(value)) else value


def in_place(op: str) -> ast.expr | None:
    """Return the formula of a primitive that is written where it is called; None where a helper is
    called, or where the text of the definition is not known.
    """
    primitive = PRIMITIVES[op]
    try:
        return None if primitive.scope in (MODEL, WINDOW) else _formula(primitive.apply)
    except ProgramError:
        return None


def meets_number(op: str) -> set[int]:
    """Return slots whose argument meets a number in the formula: `a` in `(1.0 - a) * x`."""
    formula = in_place(op)
    if formula is None:
        return set()
    names = parameters(PRIMITIVES[op].apply)
    met = set()
    for node in ast.walk(formula):
        if isinstance(node, ast.BinOp):
            for one, other in ((node.left, node.right), (node.right, node.left)):
                if isinstance(one, ast.Name) and one.id in names and _is_number(other, names):
                    met.add(names.index(one.id))
    return met


def _is_number(node: ast.expr, names: list[str]) -> bool:
    """Tell whether this is a literal, or the name of a constant."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id not in names)


def _is_math(part: ast.AST, function: Callable, local: set[str]) -> bool:
    """Tell whether this is `math.pi`, `math.log2(10.0)` and the like."""
    while isinstance(part, ast.Attribute | ast.Call):
        part = part.value if isinstance(part, ast.Attribute) else part.func
    return (
        isinstance(part, ast.Name)
        and part.id not in local
        and function.__globals__.get(part.id) is math
    )


def _evaluate(node: ast.Attribute | ast.Call) -> float:
    """Return `math.log2(10.0)` or `math.pi` as a number."""
    if isinstance(node, ast.Attribute):
        return float(getattr(math, node.attr))
    assert isinstance(node.func, ast.Attribute)
    return float(getattr(math, node.func.attr)(*(ast.literal_eval(a) for a in node.args)))
