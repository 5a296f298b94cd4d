"""Parsing: a program is a file in a small subset of Python, read with `ast` and never executed.

Nested and infix expressions are accepted and flattened to one call a statement.
Parsing is the inverse of `printing.py`. The bounds below come before `ast.parse`,
whose documentation warns that large input can crash the interpreter.
"""

from __future__ import annotations

import ast
import re
import warnings
from pathlib import Path
from typing import Any

from primitives.check import Illegal, Part, of_another_name
from primitives.errors import ProgramError, did_you_mean
from primitives.files import read_file
from primitives.kinds import COLUMN, LEFT, RIGHT, ROW, SCALAR, TENSOR
from primitives.printing import MAX_LINE, MAX_NESTING
from primitives.program import Program
from primitives.registry import PRIMITIVES, signs
from primitives.statements import (
    IDENTITY,
    KERNELS,
    MAX_CONSTANT,
    MAX_RING,
    STANDING,
    Argument,
    Fallback,
    Hyperparameter,
    Instruction,
    State,
)

MAX_BYTES = 64 * 1024
MAX_LINES = 4000
MAX_WORDS = 10_000  # names, numbers and signs; `ast.parse` takes 10 microseconds each, and memory
MAX_DOC = 4000  # characters of a docstring
# CPython looks for the line of some syntax errors in the file that it is told of. No file has this
# name.
NOWHERE = ""

_BINARY = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.Div: "/",
    ast.Pow: "**",
    ast.Mod: "%",
    ast.MatMult: "@",
}
_COMPARE = {ast.Gt: ">", ast.GtE: ">=", ast.Lt: "<", ast.LtE: "<=", ast.Eq: "==", ast.NotEq: "!="}

ALLOWED = (
    "A program has hyperparameters (`beta = 0.9`), state (`m = zeros_like(w)`) and one "
    "`def step(w, g, lr): ...` of assignments that ends with `return update`; where it needs "
    "matrices, "
    "`def fallback(w, g, lr): ...` for the other leaves follows."
)

# How states of these kinds start: scalar(0.0), row(0.0), left(identity).
_MAKERS = {str(kind): kind for kind in (SCALAR, ROW, COLUMN, LEFT, RIGHT)}
_NAMED = ("zeros_like", "full_like", "copy", *_MAKERS, "ring", "tunable")


def load(path: str | Path) -> Program:
    """Read the program in a file. Raises `ProgramError`, also for a file that cannot be read."""
    path = Path(path)
    try:
        raw = read_file(path, MAX_BYTES)
    except FileNotFoundError:
        raise ProgramError(
            "there is no such file", file=str(path), hint="Check the path."
        ) from None
    except OSError as fault:
        what = f"cannot be read: {fault.strerror}"
        raise ProgramError(
            what, file=str(path), hint="Check the path and its permissions."
        ) from None
    return parse(raw, file=str(path), name=path.stem)


def parse(source: str | bytes, *, file: str = "", name: str = "program") -> Program:
    """Read a program. Raises `ProgramError` with file, line, text and remedy.

    file: where the text is from, for errors; name: what the program is called.
    """
    text = _decode(source, file)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "invalid escape sequence" in a docstring and the like
            module = ast.parse(text, NOWHERE)
    except SyntaxError as fault:
        line = fault.lineno or 0
        raise ProgramError(
            f"not valid syntax: {fault.msg}", file=file, line=line, text=_line(text, line)
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise ProgramError(
            "the text cannot be parsed", file=file, hint="Write shorter expressions."
        ) from None
    program = _Reader(text, file, name).module(module)

    # What is read can be printed and read again; a short text cannot grow beyond the bound by that.
    if len(text) > MAX_BYTES // 8 and len(str(program).encode()) > MAX_BYTES:
        raise ProgramError(
            f"would be larger than {MAX_BYTES} bytes, printed", file=file, hint="Use shorter names."
        )
    return program


def _decode(source: str | bytes, file: str) -> str:
    """Return a text that `ast.parse` may see. Raises `ProgramError` for one beyond the bounds."""
    if len(source) > MAX_BYTES:
        raise ProgramError(
            f"larger than {MAX_BYTES} bytes", file=file, hint="An optimizer fits into a page."
        )
    if isinstance(source, bytes):
        try:
            source = source.decode("utf-8")
        except UnicodeDecodeError as fault:
            raise ProgramError(
                f"not UTF-8 at byte {fault.start}", file=file, hint="Save it as UTF-8."
            ) from None
    if "\0" in source:
        raise ProgramError("contains a NUL byte", file=file, hint="Save it as plain text.")

    source = source.removeprefix("\ufeff")
    lines, depth = _lines(source), 0
    if len(lines) > MAX_LINES or (
        len(source) > MAX_WORDS and len(_WORD.findall(source)) > MAX_WORDS
    ):
        what = f"more than {MAX_LINES} lines, or {MAX_WORDS} words and signs"
        raise ProgramError(what, file=file, hint="An optimizer fits into a page.")
    for number, line in enumerate(lines, 1):
        depth += sum(line.count(c) for c in "([{")
        if len(line) > MAX_LINE or depth > 4 * MAX_NESTING or line.count("(") > MAX_NESTING:
            raise ProgramError(
                "line too long or nested too deeply",
                file=file,
                line=number,
                text=line,
                hint="Use more statements.",
            )
        depth = max(0, depth - sum(line.count(c) for c in ")]}"))
    return source


_WORD = re.compile(r"\w+|[^\w\s]")


def _lines(text: str) -> list[str]:
    """Split at the ends of lines that Python knows; `str.splitlines` knows form feeds and more."""
    return re.split(r"\r\n|\r|\n", text)


def _line(text: str, number: int) -> str:
    lines = _lines(text)
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""


class _Reader:
    """Turns the syntax tree into a Program, remembering where each part came from."""

    def __init__(self, text: str, file: str, name: str):
        self.text, self.file, self.name = text, file, name
        self.places: dict[Part, int] = {}  # part of the program -> line
        self.taken: set[str] = set()  # names of the text, which temporaries avoid
        self.body: list[Instruction] = []  # of the function that is being read
        self.part = ""  # what stands before the parts of this function in `places`
        self.fresh = 0  # temporaries made so far

    def fail(self, node: ast.AST | None, what: str, hint: str = "") -> ProgramError:
        """Return the error for a piece of the text."""
        line = getattr(node, "lineno", 0)
        return ProgramError(what, hint=hint, file=self.file, line=line, text=_line(self.text, line))

    def refused(self, place: ast.AST, node: ast.AST, remedy: str) -> ProgramError:
        """Return the error for a piece of Python that the language does not have.

        remedy: what to do where nothing better is known.
        """
        what, instead = _called(node)
        return self.fail(place, f"{what} is not allowed here", instead or remedy)

    def module(self, module: ast.Module) -> Program:
        """Read the whole text."""
        self.taken = {n.id for n in ast.walk(module) if isinstance(n, ast.Name)}
        doc, kernels = "", ""
        functions: dict[str, ast.FunctionDef] = {}
        hyperparameters: list[Hyperparameter] = []
        states: list[State] = []

        for number, node in enumerate(module.body):
            if number == 0 and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                if not isinstance(node.value.value, str):
                    raise self.fail(node, "this statement does nothing", ALLOWED)
                doc = node.value.value
                if len(doc) > MAX_DOC:
                    raise self.fail(
                        node, f"a docstring of {len(doc)} characters", f"Keep within {MAX_DOC}."
                    )
            elif isinstance(node, ast.FunctionDef) and node.name in ("step", "fallback"):
                if node.name in functions:
                    raise self.fail(node, f"{node.name} is defined twice", "Keep one of them.")
                functions[node.name] = node
            elif isinstance(node, ast.Assign) and not functions:
                if self.target(node) != "kernels":
                    self.declaration(node, hyperparameters, states)
                elif kernels:
                    raise self.fail(
                        node, "the rule for kernels is given twice", "Keep one of them."
                    )
                else:
                    kernels = self.kernels(node)
            else:
                raise self.refused(node, node, ALLOWED)
        step = functions.get("step")
        if step is None:
            raise self.fail(None, "there is no `def step(w, g, lr)`", ALLOWED)
        self.taken.update(slot for s in states if s.ring <= MAX_RING for slot in s.slots)

        inputs, body, output, evaluate_at = self.function(step, "")
        fallback = None
        if "fallback" in functions:
            fallback = Fallback(*self.function(functions["fallback"], "fallback "))
        try:
            return Program(
                inputs, body, output, tuple(states), tuple(hyperparameters), doc=doc,
                evaluate_at=evaluate_at, fallback=fallback, kernels=kernels or KERNELS[0],
                name=self.name, file=self.file, lines=self.lines(body) | {"step": step.lineno},
            )  # fmt: skip
        except Illegal as fault:
            line = self.places.get(fault.part, step.lineno)
            raise fault.at(self.file, line, _line(self.text, line)) from None
        except ProgramError as fault:
            raise fault.at(self.file, step.lineno, "") from None

    def lines(self, body: tuple[Instruction, ...]) -> dict[Instruction | str, int]:
        """Return the lines of the statements of step: some errors show when a task is known."""
        return {instruction: self.places["body", number] for number, instruction in enumerate(body)}

    def kernels(self, node: ast.Assign) -> str:
        """Read `kernels = stack()`: how a leaf with more than two axes is read."""
        self.places["kernels", 0] = node.lineno
        value = node.value
        if (
            isinstance(value, ast.Call)
            and isinstance(value.func, ast.Name)
            and not value.args
            and not value.keywords
        ):
            return value.func.id
        ways = ", ".join(f"{name}()" for name in KERNELS)
        raise self.fail(
            node, f"{self.source(value)[:60]!r} is no rule for kernels", f"Write one of {ways}."
        )

    def declaration(
        self, node: ast.Assign, hyperparameters: list[Hyperparameter], states: list[State]
    ) -> None:
        """Read a hyperparameter or a state, and add it to its list."""
        name = self.target(node)
        value = node.value
        number = self.number(value)
        if number is not None:
            self.places["hyperparameters", len(hyperparameters)] = node.lineno
            hyperparameters.append(Hyperparameter(name, number))
            return
        if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Name):
            remedy = "A hyperparameter is one number: write out what is calculated."
            raise self.refused(node, value, remedy if isinstance(value, _CALCULATED) else ALLOWED)
        if value.func.id == "tunable":
            self.places["hyperparameters", len(hyperparameters)] = node.lineno
            hyperparameters.append(self.tunable(name, value))
            return

        self.places["states", len(states)] = node.lineno
        state = self.state(name, value)
        if state is None:
            maker = value.func.id
            near = "" if maker in _NAMED else did_you_mean(maker, _NAMED)
            hint = f"{near} " if near else ""
            raise self.fail(
                node,
                f"{self.source(value)[:60]!r} is no initial value",
                hint + "Write zeros_like(w), full_like(w, 0.1), copy(w), copy(g), scalar(0.0), "
                "row(0.0), column(0.0), "
                "left(0.0), right(identity), ring(zeros_like(w), 3), or a number for a "
                "hyperparameter.",
            )
        states.append(state)

    def state(self, name: str, value: ast.expr) -> State | None:
        """Return the state that an initial value says; None where it says none."""
        if (
            not isinstance(value, ast.Call)
            or not isinstance(value.func, ast.Name)
            or value.keywords
        ):
            return None
        maker = value.func.id
        if maker == "ring":
            inner = self.state(name, value.args[0]) if len(value.args) == 2 else None
            length = self.number(value.args[1]) if inner is not None else None
            if inner is None or inner.ring or length is None or length < 1 or length != int(length):
                return None
            return State(name, inner.kind, inner.start, int(length))

        match maker, [a.id if isinstance(a, ast.Name) else self.number(a) for a in value.args]:
            case "zeros_like", ["w"]:
                return State(name, TENSOR, 0.0)
            case "full_like", ["w", float(start)]:
                return State(name, TENSOR, start)
            case "copy", ["w" | "g" as start]:
                return State(name, TENSOR, start)
            case _, [float(start)] if maker in _MAKERS:
                return State(name, _MAKERS[maker], start)
            case "left" | "right", ["identity"]:
                return State(name, _MAKERS[maker], IDENTITY)
        return None

    def source(self, node: ast.expr) -> str:
        """Return a node's text on one line; `ast.unparse` would exhaust the stack on a deep one."""
        return " ".join((ast.get_source_segment(self.text, node) or "").split())

    def tunable(self, name: str, call: ast.Call) -> Hyperparameter:
        """Read `tunable(0.9, low=0.5, high=0.999, scale="log1m", tuned=(0.8, 0.9))`, or a part."""
        usage = 'Write tunable(0.9, low=0.5, high=0.999, scale="log1m").'
        if len(call.args) != 1 or (value := self.number(call.args[0])) is None:
            raise self.fail(call, f"tunable needs the value of {name!r} first", usage)
        given: dict[str, Any] = {}
        for pair in call.keywords:
            if pair.arg not in ("low", "high", "scale", "tuned") or pair.arg in given:
                raise self.fail(
                    call, f"tunable takes low, high, scale and tuned, not {pair.arg!r}", usage
                )
            if pair.arg == "scale":
                scale = pair.value.value if isinstance(pair.value, ast.Constant) else None
                given["scale"] = scale if isinstance(scale, str) else None
            elif pair.arg == "tuned":
                several = pair.value.elts if isinstance(pair.value, ast.Tuple) else []
                numbers = tuple(map(self.number, several))
                given["tuned"] = numbers if numbers and None not in numbers else None
            else:
                given[pair.arg] = self.number(pair.value)
            if given[pair.arg] is None:
                raise self.fail(call, f"tunable: {pair.arg} is no literal", usage)
        return Hyperparameter(name, value, **given)

    def function(
        self, node: ast.FunctionDef, part: str
    ) -> tuple[tuple[str, ...], tuple[Instruction, ...], str, str]:
        """Return inputs, body, the update and the value to evaluate at.

        part: what stands before its parts in `places`.
        """
        self.body, self.part = [], part
        inputs = self.inputs(node)
        *statements, last = node.body
        for statement in statements:
            self.statement(node, statement)
        output, evaluate_at = self.returned(last, node.name)
        return inputs, tuple(self.body), output, evaluate_at

    def inputs(self, node: ast.FunctionDef) -> tuple[str, ...]:
        """Read the arguments of a function."""
        a = node.args
        plain = not (
            a.posonlyargs
            or a.kwonlyargs
            or a.vararg
            or a.kwarg
            or a.defaults
            or node.decorator_list
        )
        if not plain or node.returns or any(x.annotation for x in a.args):
            remedy = f"Write def {node.name}({', '.join(STANDING)}):"
            raise self.fail(node, f"{node.name} takes plain arguments only", remedy)
        inputs = tuple(x.arg for x in a.args)
        if len(set(inputs)) < len(inputs):
            raise self.fail(node, f"an argument of {node.name} is given twice", "Keep one of them.")
        for number in range(len(inputs)):
            self.places[f"{self.part}inputs", number] = node.lineno
        return inputs

    def statement(self, node: ast.FunctionDef, statement: ast.stmt) -> None:
        """Read an assignment, `u += v` too, and add what it says to the body."""
        if isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            value = ast.BinOp(ast.Name(statement.target.id), statement.op, statement.value)
            statement = ast.Assign(
                [statement.target], ast.copy_location(value, statement), lineno=statement.lineno
            )
        if not isinstance(statement, ast.Assign):
            remedy = f"A {node.name} consists of assignments."
            raise self.refused(statement, statement, remedy)
        target = self.target(statement)
        op, args = self.call(statement.value, statement, 0)
        self.emit(target, op, args, statement)

    def returned(self, last: ast.stmt, function: str) -> tuple[str, str]:
        """Read the last statement: the update, and the value to evaluate at or an empty string."""
        if not isinstance(last, ast.Return) or last.value is None:
            what = f"{function} does not end with `return update`"
            raise self.fail(last, what, "Return the update; w - update is applied.")
        values = last.value.elts if isinstance(last.value, ast.Tuple) else [last.value]
        if not 1 <= len(values) <= 2:
            remedy = (
                "Return the update, or the update and the value at which the model is evaluated."
            )
            raise self.fail(last, f"{len(values)} values are returned", remedy)
        outputs = [self.operand(value, last, 0) for value in values]
        if not all(isinstance(output, str) for output in outputs):
            what = (
                "the update is a number"
                if not isinstance(outputs[0], str)
                else "the value to evaluate at is a number"
            )
            raise self.fail(last, what, "Return a tensor.")
        self.places[f"{self.part}output", 0] = last.lineno
        return str(outputs[0]), str(outputs[1]) if len(outputs) == 2 else ""

    def target(self, node: ast.Assign) -> str:
        """Return the name that is assigned."""
        if len(node.targets) != 1 or not isinstance(node.targets[0], ast.Name):
            raise self.fail(
                node, "an assignment has one plain name on its left", "Write one assignment a line."
            )
        return node.targets[0].id

    def emit(self, target: str, op: str, args: tuple[Argument, ...], statement: ast.stmt) -> None:
        """Add one call to the body."""
        self.places[f"{self.part}body", len(self.body)] = statement.lineno
        self.body.append(Instruction(target, op, args))

    def call(
        self, node: ast.expr, statement: ast.stmt, depth: int
    ) -> tuple[str, tuple[Argument, ...]]:
        """Return the call that an expression stands for.

        What is nested in it becomes statements of its own. depth: how deep it is nested itself.
        """
        if depth > MAX_NESTING:
            raise self.fail(
                statement,
                "the expression is nested too deeply",
                "Split it into several statements.",
            )
        if self.number(node) is not None or isinstance(node, ast.Name):
            return "copy", (self.operand(node, statement, depth),)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            op, parts = signs()[_BINARY[type(node.op)]], [node.left, node.right]
        elif isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARE:
            op, parts = signs()[_COMPARE[type(node.ops[0])]], [node.left, node.comparators[0]]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            op, parts = "negative", [node.operand]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd):
            return self.call(node.operand, statement, depth + 1)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.keywords:
                raise self.fail(
                    statement,
                    "arguments are given by position",
                    f"Write {_signature(node.func.id)}.",
                )
            op, parts = node.func.id, node.args
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            what = f"{self.source(node.func)[:60]!r} is no primitive"
            raise self.fail(statement, what, of_another_name(node.func.attr))
        else:
            raise self.refused(statement, node, "Use calls of primitives and arithmetic.")
        return op, tuple(self.operand(part, statement, depth + 1) for part in parts)

    def operand(self, node: ast.expr, statement: ast.stmt, depth: int) -> Argument:
        """Return an argument of a call; one that is a call itself gets a name."""
        if isinstance(node, ast.Name):
            return node.id
        number = self.number(node)
        if number is not None:
            return number
        op, args = self.call(node, statement, depth)
        name = self.temporary()
        self.emit(name, op, args, statement)
        return name

    def temporary(self) -> str:
        """Make a name that the text does not have."""
        while True:
            self.fresh += 1
            name = f"v{self.fresh}"
            if name not in self.taken:
                return name

    def number(self, node: ast.expr) -> float | None:
        """Return the value of a literal, signed or not; None for anything else."""
        negative = False
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            negative, node = True, node.operand
        value = node.value if isinstance(node, ast.Constant) else None
        if not isinstance(value, int | float) or isinstance(value, bool):
            return None
        if not abs(value) <= MAX_CONSTANT:  # before float(): an int may be too long for it
            hint = f"Use a finite number within ±{MAX_CONSTANT:g}."
            raise self.fail(node, f"{_shown(value)} is no constant", hint)
        return -float(value) if negative else float(value)


def _shown(value: int | float) -> str:
    return (
        repr(value) if isinstance(value, float) or abs(value) < 10**30 else "an integer this long"
    )


def _signature(name: str) -> str:
    return PRIMITIVES[name].signature if name in PRIMITIVES else f"{name}(...)"


_CALCULATED = (ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.IfExp)
_TRUTH = "A truth value is a number: write (x > 0) * (y > 0), or maximum(x > 0, y > 0)."

# What a piece of Python that the language lacks is called, and what to write instead.
_WORDS: dict[type[ast.AST], tuple[str, str]] = {
    **dict.fromkeys((ast.Import, ast.ImportFrom), ("an import", "")),
    **dict.fromkeys(
        (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), ("a comprehension", "")
    ),
    **dict.fromkeys((ast.For, ast.AsyncFor, ast.While), ("a loop", "Write out what it repeats.")),
    **dict.fromkeys((ast.FunctionDef, ast.AsyncFunctionDef), ("another function", "")),
    **dict.fromkeys(
        (ast.If, ast.IfExp, ast.Match), ("a conditional", "Write where(condition, x, y).")
    ),
    **dict.fromkeys((ast.With, ast.AsyncWith), ("a with statement", "")),
    **dict.fromkeys((ast.Try, ast.TryStar), ("a try statement", "")),
    **dict.fromkeys((ast.Global, ast.Nonlocal), ("a declaration of scope", "")),
    **dict.fromkeys((ast.Await, ast.Yield, ast.YieldFrom), ("a generator", "")),
    **dict.fromkeys((ast.Break, ast.Continue), ("a jump out of a loop", "")),
    **dict.fromkeys((ast.JoinedStr, ast.FormattedValue), ("an f-string", "")),
    ast.AnnAssign: ("an annotation", "Leave the annotation out: name = value."),
    ast.Assert: ("an assertion", ""),
    ast.Assign: ("an assignment after step", ""),
    ast.Attribute: ("an attribute", ""),
    ast.AugAssign: ("an assignment by an operator", "Write name = value."),
    ast.BinOp: ("a calculation", ""),
    ast.BoolOp: ("and/or", _TRUTH),
    ast.Call: ("a call of anything but a primitive", ""),
    ast.ClassDef: ("a class", ""),
    ast.Compare: ("a comparison", ""),
    ast.Constant: ("this literal", ""),
    ast.Delete: ("a del statement", ""),
    ast.Dict: ("a dict", ""),
    ast.Expr: ("a bare expression", ""),
    ast.Lambda: ("a lambda", ""),
    ast.List: ("a list", ""),
    ast.Name: ("a name", ""),
    ast.NamedExpr: ("an assignment inside an expression", ""),
    ast.Pass: ("a pass statement", "Leave it out."),
    ast.Raise: ("a raise statement", ""),
    ast.Return: ("a return before the end", ""),
    ast.Set: ("a set", ""),
    ast.Slice: ("a slice", ""),
    ast.Starred: ("an argument with a star", ""),
    ast.Subscript: ("a subscript", ""),
    ast.Tuple: ("a tuple", ""),
    ast.UnaryOp: ("a sign before a value", ""),
}

_OPERATORS: dict[type, tuple[str, str]] = {
    ast.FloorDiv: ("//", "Write floor(x / y)."),
    ast.LShift: ("<<", "Write x * 2 ** y."),
    ast.RShift: (">>", "Write floor(x / 2 ** y)."),
    ast.BitAnd: ("&", _TRUTH),
    ast.BitOr: ("|", _TRUTH),
    ast.BitXor: ("^", "For a power write x ** y; of two truth values x != y."),
    ast.Invert: ("~", "Write invert(x)."),
    ast.Not: ("not", "Write invert(x)."),
    ast.In: ("in", ""),
    ast.NotIn: ("not in", ""),
    ast.Is: ("is", "Write x == y."),
    ast.IsNot: ("is not", "Write x != y."),
}


def _called(node: ast.AST) -> tuple[str, str]:
    """Return what a piece of syntax is called in an error message, and what to write instead."""
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        return "a chain of comparisons", "Write (x < y) * (y < z)."
    operator = node.ops[0] if isinstance(node, ast.Compare) else getattr(node, "op", None)
    sign, remedy = _OPERATORS.get(operator.__class__, ("", ""))
    if sign:
        return f"the operator {sign}", remedy
    # Python may have syntax that is newer than this table.
    return _WORDS.get(type(node), ("this piece of Python", ""))
