"""Export to Optax: a program as one readable file that imports only jax and optax.

The program is read as a listing in which every value is assigned once. From the
listing we see where the learning rate and the decoupled weight decay stand:

    update = lr · (d + w · c)   →   chain(scale_by_<name>, add_decayed_weights, scale_by_learning_rate)
    update = lr · d             →   chain(scale_by_<name>, scale_by_learning_rate)
    anything else               →   scale_by_<name> takes the learning rate and the parameters inside

Nothing is written twice: what a primitive computes is its own definition in the
registry, with `xp` read as `jnp`; one-line definitions are written in place,
longer ones become helpers at the end of the file.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import keyword
import math
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np

from primitives.errors import ProgramError
from primitives.kinds import SCALAR, TENSOR, Kind
from primitives.liveness import prune
from primitives.program import INPUTS, LEARNING_RATE, Hyperparameter, Program, State
from primitives.registry import ELEMENTWISE, MODEL, PRIMITIVES

TEMPLATE = Path(__file__).with_name("optax_template.py.jinja")
PROGRAM_HEADING = "The program, in Pride's language:"
"""The last part of an exported docstring: below it stands the program, indented, ready to be parsed again."""

WIDTH = 88
DECAY = "weight_decay"  # keyword of a decay that the program writes as a bare number
W, G, LR, T = "@w", "@g", "@lr", "@t"  # inputs in a listing; no variable has an "@" in its name
FIRST = "first gradient"  # a listing's own operation (t, g, state): g in step 1, then the state

_TAKEN = frozenset(dir(builtins)) | {
    "jax", "jnp", "optax", "NamedTuple",
    "init_fn", "update_fn", "updates", "state", "params", "count", "learning_rate", "mask",
    "l", "O", "I",  # ruff's E741
}  # fmt: skip
_OURS = ("_direction", "_update", "_each_leaf", "_whole_model", "_dtype", "_wide", "_copy")  # in the template


def to_optax_source(program: Program, *, name: str | None = None, found: str = "") -> str:
    """The text of a Python file that defines `scale_by_<name>` and `<name>`.

    found: where the program was found and how it scored; goes into the docstring.

    Raises `ProgramError` for a name that Python cannot use, and for a primitive whose
    definition needs more than jax.
    """
    name = _checked(program.name if name is None else name)
    for given in prune(program).inputs:
        if f"@{given}" not in (W, G, LR, T):
            hint = "Export a program that reads w, g, lr and t only."
            raise ProgramError(f"optax gives an optimizer no {given!r}", hint=hint)
    return _Exporter(program, name, found).source()


def _checked(name: str) -> str:
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        raise ProgramError(
            f"{name!r} cannot name a Python function",
            hint="Give another name: letters, digits and _, not first a digit, and no keyword of Python.",
        )
    if name in _TAKEN or name.startswith("_"):
        hint = f"Name it {name.strip('_')}_opt."
        raise ProgramError(f"an exported file needs the name {name!r} itself", hint=hint)
    return name


# --- the listing: every value is assigned once ----------------------------------------------------


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


@dataclass(frozen=True)
class Listing:
    """A step: its lines, what is subtracted from w, and what each state becomes."""

    lines: tuple[Line, ...]
    update: Value
    states: dict[str, Value]

    def live(self) -> tuple[list[int], set[str]]:
        """Numbers of the lines that matter, in order, and the variables they read."""
        lines: set[int] = set()
        entries: set[str] = set()
        waiting = [self.update, *self.states.values()]
        while waiting:
            value = waiting.pop()
            if isinstance(value, str):
                entries.add(value)
            elif isinstance(value, int) and value not in lines:
                lines.add(value)
                waiting.extend(self.lines[value].args)
        return sorted(lines), entries


def listing(program: Program) -> Listing:
    """The listing of a program; copies are gone, and calls without arguments are numbers."""
    env: dict[str, Value] = {}
    lines: list[Line] = []
    for name in program.entry_kinds:
        env[name] = f"@{name}" if name in program.inputs else name
    for state in program.states:
        if state.start == "g":
            env[state.name] = len(lines)
            lines.append(Line(state.name, FIRST, (T, G, state.name)))
    for instruction in program.body:
        args = tuple(env[a] if isinstance(a, str) else Number(repr(a)) for a in instruction.args)
        if instruction.op == "copy":
            env[instruction.target] = args[0]
        elif not args:
            env[instruction.target] = Number(repr(float(PRIMITIVES[instruction.op].apply(np))))
        else:
            env[instruction.target] = len(lines)
            lines.append(Line(instruction.target, instruction.op, args))
    return Listing(tuple(lines), env[program.output], {s.name: env[s.name] for s in program.states})


def _kind_of(code: Listing, program: Program) -> Callable[[Value], Kind]:
    """What kind each value of a listing has."""
    entries = {f"@{name}": kind for name, kind in INPUTS.items()} | program.entry_kinds
    kinds: list[Kind] = []

    def kind_of(value: Value) -> Kind:
        if isinstance(value, Number):
            return SCALAR
        return kinds[value] if isinstance(value, int) else entries[value]

    for line in code.lines:
        given = [kind_of(a) for a in line.args]
        kind = TENSOR if line.op == FIRST else PRIMITIVES[line.op].kind(*given)
        assert kind is not None  # the program was checked
        kinds.append(kind)
    return kind_of


def without_learning_rate(code: Listing) -> Listing | None:
    """The direction d of `update = lr · d`, or None where lr stands elsewhere too.

    Counts the power of lr in every value. Where the update has power 1 and the states
    have power 0, the update is lr times its own value at lr = 1.
    """
    powers: dict[int, int | None] = {}

    def power(value: Value) -> int | None:
        return powers[value] if isinstance(value, int) else int(value == LR)

    for number in code.live()[0]:
        line = code.lines[number]
        given = [power(a) for a in line.args]
        powers[number] = None if None in given else _power(line.op, given)
    if power(code.update) != 1 or any(power(v) != 0 for v in code.states.values()):
        return None
    moved: dict[Value, Value] = {LR: ONE}
    lines: list[Line] = []
    for number, line in enumerate(code.lines):
        args = tuple(moved.get(a, a) for a in line.args)
        if line.op == "multiply" and ONE in args and ONE not in line.args:
            moved[number] = args[1] if args[0] == ONE else args[0]
        else:
            moved[number] = len(lines)
            lines.append(replace(line, args=args))
    at = {s: moved.get(v, v) for s, v in code.states.items()}
    return Listing(tuple(lines), moved.get(code.update, code.update), at)


def _power(op: str, given: list[Any]) -> int | None:
    """Power of lr in a result, from those in its arguments; None where it is no plain power."""
    if not any(given):
        return 0
    match op, given:
        case "multiply", [x, y]:
            return x + y
        case "negative", [x]:
            return x
        case (("add" | "subtract"), [x, y]) if x == y:
            return x
        case "divide", [x, 0]:  # x / lr is no power: it is 0 where lr is 0
            return x
        case "where", [0, x, y] if x == y:
            return x
        case "interp", [x, y, 0] if x == y:
            return x
    return None


def without_decay(code: Listing, program: Program) -> tuple[Listing, Value] | None:
    """The d and the c of a direction `d + w · c` with a constant c; None where w stands elsewhere too."""
    at, factor = code.update, 1.0
    if isinstance(at, int) and code.lines[at].op == "multiply":
        for inner, outer in _both(code.lines[at].args):
            if isinstance(outer, Number):
                at, factor = inner, outer.value
    if not isinstance(at, int) or code.lines[at].op != "add":
        return None
    kind_of = _kind_of(code, program)
    for rest, decay in _both(code.lines[at].args):
        if not isinstance(decay, int) or code.lines[decay].op != "multiply":
            continue
        for parameter, c in _both(code.lines[decay].args):
            if parameter != W or not (isinstance(c, Number) or (factor == 1.0 and c in program.values)):
                continue
            if kind_of(rest) is not TENSOR:
                continue  # a number is no direction
            split = Listing(code.lines, rest, code.states)
            if factor != 1.0:
                name = code.lines[code.update].name  # type: ignore[index]  # factor comes from this line
                lines = (*code.lines, Line(name, "multiply", (rest, Number(repr(factor)))))
                split = Listing(lines, len(code.lines), code.states)
            entries = split.live()[1]
            if W in entries or c in entries or (isinstance(c, Number) and DECAY in entries):
                continue
            return split, Number(repr(c.value * factor)) if isinstance(c, Number) else c
    return None


def _both(args: tuple[Value, ...]) -> Iterable[tuple[Value, Value]]:
    return (args[0], args[1]), (args[1], args[0])


# --- the definitions of primitives, as text -------------------------------------------------------


@cache
def _definition(function: Callable) -> tuple[ast.FunctionDef, str]:
    """Syntax and text of a function of ours."""
    text = textwrap.dedent(inspect.getsource(function))
    node = ast.parse(text).body[0]
    assert isinstance(node, ast.FunctionDef)
    return node, text


def _parameters(function: Callable) -> list[str]:
    return [a.arg for a in _definition(function)[0].args.args if a.arg != "xp"]


def _formula(function: Callable) -> ast.expr | None:
    """The expression that a function returns, where that is all it does."""
    body = [s for s in _definition(function)[0].body if not isinstance(s, ast.Expr)]  # without the docstring
    if len(body) != 1 or not isinstance(body[0], ast.Return) or body[0].value is None:
        return None
    value = body[0].value
    scoped = (ast.Lambda, ast.GeneratorExp, ast.ListComp, ast.SetComp, ast.DictComp)
    return None if any(isinstance(n, scoped) for n in ast.walk(value)) else value


def _in_place(op: str) -> ast.expr | None:
    """The formula of a primitive that is written where it is called; None where a helper is called."""
    primitive = PRIMITIVES[op]
    return None if primitive.scope == MODEL else _formula(primitive.apply)


def _meets_number(op: str) -> set[int]:
    """Slots whose argument meets a number in the formula: `a` in `(1.0 - a) * x`."""
    formula = _in_place(op)
    if formula is None:
        return set()
    names = _parameters(PRIMITIVES[op].apply)
    met = set()
    for node in ast.walk(formula):
        if isinstance(node, ast.BinOp):
            pair = (node.left, node.right)
            for one, other in (pair, pair[::-1]):
                if isinstance(one, ast.Name) and one.id in names and isinstance(other, ast.Constant):
                    met.add(names.index(one.id))
    return met


class _Definitions:
    """Rewrites definitions for jax.numpy and collects the helpers and constants that they call."""

    def __init__(self):
        self.helpers: dict[str, str] = {}  # text of each
        self.defined: dict[str, Callable] = {}  # where it came from
        self.constants: dict[str, str] = {}

    def call(self, op: str, args: list[str]) -> str:
        """One primitive on these arguments, given as text."""
        primitive = PRIMITIVES[op]
        formula = _in_place(op)
        if formula is None:
            return f"{self.helper(primitive.apply, op)}({', '.join(args)})"
        arguments = dict(zip(_parameters(primitive.apply), args, strict=True))
        return " ".join(self.rewrite(primitive.apply, formula, arguments).split())

    def helper(self, function: Callable, name: str) -> str:
        """The name of a function in the exported file, where it is defined on first use."""
        name = "_" + name.strip("_")
        while name in _OURS or self.defined.get(name, function) is not function:
            name += "_"
        if name not in self.helpers:
            self.defined[name] = function
            self.helpers[name] = ""  # keeps its place, and ends a recursion
            node, _ = _definition(function)
            head = f"def {name}({', '.join(_parameters(function))}):"
            body = [textwrap.indent(self.rewrite(function, s, {}), "    ") for s in node.body]
            self.helpers[name] = "\n".join([head, *body])
        return name

    def rewrite(self, function: Callable, node: ast.AST, arguments: dict[str, str]) -> str:
        """The text of a piece of a definition: `xp` becomes `jnp`, parameters become `arguments`."""
        text = _definition(function)[1]
        local = {n.id for n in ast.walk(_definition(function)[0]) if isinstance(n, ast.Name) and _stored(n)}
        local |= {*_parameters(function), "xp"}
        edits: list[tuple[int, int, str]] = []
        offsets = [0]
        for line in text.splitlines(keepends=True):
            offsets.append(offsets[-1] + len(line.encode()))

        def place(part: Any) -> tuple[int, int]:
            return (
                offsets[part.lineno - 1] + part.col_offset,
                offsets[part.end_lineno - 1] + part.end_col_offset,
            )

        def visit(part: ast.AST, bare: bool) -> None:
            if isinstance(part, ast.Attribute | ast.Call) and _root(part) is math:
                edits.append((*place(part), repr(_evaluate(part))))
                return
            if isinstance(part, ast.Call) and part.args and _is_xp(part.args[0]):
                end = place(part.args[1])[0] if len(part.args) > 1 else place(part.args[0])[1]
                edits.append((place(part.args[0])[0], end, ""))
                for child in (part.func, *part.args[1:], *part.keywords):
                    visit(child, True)
                return
            if isinstance(part, ast.Name):
                edits.append((*place(part), self.name(function, part.id, local, arguments, bare)))
                return
            for child in ast.iter_child_nodes(part):
                visit(child, isinstance(part, ast.Call))

        def _root(part: ast.AST) -> Any:
            while isinstance(part, ast.Attribute | ast.Call):
                part = part.value if isinstance(part, ast.Attribute) else part.func
            if isinstance(part, ast.Name) and part.id not in local:
                return function.__globals__.get(part.id)
            return None

        visit(node, True)
        start, end = place(node)
        raw = text.encode()
        for left, right, new in sorted(edits, reverse=True):
            raw = raw[:left] + new.encode() + raw[right:]
            end += len(new.encode()) - (right - left)
        return textwrap.dedent(" " * node.col_offset + raw[start:end].decode())  # type: ignore[attr-defined]

    def name(self, function: Callable, name: str, local: set[str], arguments: dict[str, str], bare: bool) -> str:
        """What one name of a definition is called in the exported file.

        bare: nothing stands beside it that a sign in front of the argument could bind to.
        """
        if name in arguments:
            given = arguments[name]
            return given if bare or not given.startswith("-") else f"({given})"
        if name == "xp":
            return "jnp"
        if name in local:
            return name
        if name not in function.__globals__:
            return name  # a builtin
        value = function.__globals__[name]
        if isinstance(value, float | int):
            return self.constant(function, name)
        if isinstance(value, FunctionType) and value.__module__.startswith("primitives"):
            return self.helper(value, name)
        if isinstance(value, ModuleType) and value.__name__ in ("jax", "jax.numpy"):
            return {"jax": "jax", "jax.numpy": "jnp"}[value.__name__]
        raise ProgramError(
            f"{function.__name__} cannot be exported: its definition uses {name!r}",
            hint="A definition may use xp, math, numbers, and functions of its own module.",
        )

    def constant(self, function: Callable, name: str) -> str:
        """The name of a module's constant in the exported file, where it is assigned once."""
        module = ast.parse(inspect.getsource(sys.modules[function.__module__]))
        for node in module.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                self.constants["_" + name] = f"_{name} = {ast.unparse(node.value)}"
        return "_" + name


def _stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)


def _is_xp(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "xp"


def _evaluate(node: ast.AST) -> float:
    """`math.log2(10.0)` or `math.pi` as a number."""
    if isinstance(node, ast.Call):
        return float(getattr(math, node.func.attr)(*(ast.literal_eval(a) for a in node.args)))  # type: ignore
    return float(getattr(math, node.attr))  # type: ignore[attr-defined]


# --- the file -------------------------------------------------------------------------------------


def _is_model(op: str) -> bool:
    return op != FIRST and PRIMITIVES[op].scope == MODEL


class _Exporter:
    """Collects what the template asks for."""

    def __init__(self, program: Program, name: str, found: str):
        self.whole, self.name, self.found = program, name, found
        self.program = prune(program)
        self.full = listing(self.program)
        self.code = self.full
        self.decay: Value | None = None
        direction = without_learning_rate(self.full)
        self.chained = direction is not None
        if direction is not None:
            self.code = direction
            split = without_decay(direction, self.program)
            if split is not None:
                self.code, self.decay = split
        self.order, self.entries = self.code.live()
        self.over_model = any(_is_model(self.code.lines[n].op) for n in self.order)
        self.camel = "ScaleBy" + "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        self.rule = "_direction" if self.chained else "_update"
        self.definitions = _Definitions()
        self.python = self._python_names()

    def _python_names(self) -> dict[str, str]:
        """What each variable of the program, and each input, is called in the exported file."""
        program = self.program
        taken = {*_TAKEN, self.name, f"scale_by_{self.name}", f"{self.camel}State"}
        if isinstance(self.decay, Number):
            taken.add(DECAY)
        names: dict[str, str] = {}
        for variable in (
            *(f"@{i}" for i in program.inputs), *program.values, *(s.name for s in program.states),
            *(i.target for i in program.body), *(f"@{i}" for i in INPUTS if i not in program.inputs),
            "@dtype", "@leaves",  # of the rule itself
        ):  # fmt: skip
            if variable in names:
                continue
            if variable in program.inputs:
                names[variable] = names[f"@{variable}"]  # an input that the program assigns to
                continue
            want = variable.lstrip("@_") or "x"
            while want in taken:
                want += "_"
            taken.add(want)
            names[variable] = want
        return names

    # --- the rule ---

    def _body(self) -> list[str]:
        """The lines of the rule."""
        code, python = self.code, self.python
        dtype, leaves = python["@dtype"], python["@leaves"]
        returned = (code.update, *(code.states[s.name] for s in self.program.states))
        spread: dict[Value, bool] = {e: e in (W, G) or e in code.states for e in self.entries}  # a list of leaves?
        last: dict[Value, float] = {}  # the last line that reads a value
        arrays: dict[Value, str] = {}  # literals that must be arrays, and what they are called
        for n in self.order:
            line = code.lines[n]
            last.update(dict.fromkeys(line.args, n))
            arrays.update((line.args[slot], "") for slot in self._array_slots(line))
            spread[n] = _is_model(line.op) or any(spread.get(a, False) for a in line.args)
        last.update(dict.fromkeys(returned, math.inf))
        taken = set(python.values()) | _TAKEN

        def fresh(stem: str, number: int) -> str:
            while f"{stem}{number}" in taken:
                number += 1
            return f"{stem}{number}"

        for number, literal in enumerate(arrays, 1):
            arrays[literal] = fresh("c", number)
            taken.add(arrays[literal])

        called: dict[Value, str] = {e: python[e] for e in self.entries}
        holder: dict[str, Value] = {name: value for value, name in called.items()}

        def shown(value: Value) -> str:
            return str(value) if isinstance(value, Number) else called[value]

        def listed(value: Value) -> str:
            if not self.over_model or spread.get(value, False):
                return shown(value)
            return f"[{shown(value)}] * {leaves}"

        lines = []
        for n in self.order:
            line = code.lines[n]
            if _is_model(line.op):
                right = self.definitions.call(line.op, [listed(a) for a in line.args])
            else:
                slots = self._array_slots(line)
                args = [arrays[a] if slot in slots else shown(a) for slot, a in enumerate(line.args)]
                right = _first(*args) if line.op == FIRST else self.definitions.call(line.op, args)
                over = list(dict.fromkeys(shown(a) for a in line.args if spread.get(a, False)))
                if self.over_model and over:
                    source = over[0] if len(over) == 1 else f"zip({', '.join(over)})"
                    right = f"[{right} for {', '.join(over)} in {source}]"
            target = python[line.name]
            if target in holder and last.get(holder[target], -1) > n:  # its old value is still to be read
                target = fresh(target, 2)
                taken.add(target)
            holder[target] = n
            called[n] = target
            lines += _folded(f"{target} = {right}")
        values = [listed(v) for v in returned]
        if not self.chained:
            values[0] = f"[-x for x in {values[0]}]" if self.over_model else f"-{values[0]}"
        lines.append(f"return {', '.join(values)}" if len(values) > 1 else f"return ({values[0]},)")
        top = []
        if arrays:
            top.append(f"{dtype} = {python[G]}{'[0]' if self.over_model else ''}.dtype")
            top += [f"{name} = jnp.asarray({literal}, {dtype})" for literal, name in arrays.items()]
        if any(f"] * {leaves}" in line for line in lines):
            top.append(f"{leaves} = len({python[G]})")
        return top + lines

    def _array_slots(self, line: Line) -> set[int]:
        """Slots of a call in which a literal must be an array: Python would compute in double precision."""
        literal = {slot for slot, a in enumerate(line.args) if isinstance(a, Number)}
        if line.op == FIRST or _is_model(line.op):
            return set()
        return literal if len(literal) == len(line.args) else literal & _meets_number(line.op)

    # --- the parts of the file ---

    def source(self) -> str:
        import jinja2  # here: only an export needs it

        program, python = self.program, self.python
        states = [python[s.name] for s in program.states]
        read = [W] if W in self.entries else []
        rated = LR in self.entries
        tuned = [h for h in program.hyperparameters if h.name != LEARNING_RATE]
        inner = [h for h in tuned if h.name in self.entries]
        numbers = [e for e in (T, LR) if e in self.entries] + [h.name for h in inner]
        given = {T: "count", LR: "lr"} | {h.name: python[h.name] for h in inner}
        rule_parameters = [python[v] for v in (G, *(s.name for s in program.states), *read, *numbers)]
        body = self._body()
        rate = f"learning_rate: optax.ScalarOrSchedule = {program.learning_rate!r}"
        decay = ""
        if self.decay is not None:
            decay = DECAY if isinstance(self.decay, Number) else python[str(self.decay)]
        inner_parameters = [f"{python[h.name]}: jax.typing.ArrayLike = {h.value!r}" for h in inner]
        outer_parameters = [rate]
        outer_arguments = [self._rate_advice()]
        for h in tuned:
            kind = "optax.ScalarOrSchedule" if h.name == self.decay else "jax.typing.ArrayLike"
            outer_parameters.append(f"{python[h.name]}: {kind} = {h.value!r}")
            outer_arguments.append(self._advice(h))
        if isinstance(self.decay, Number):
            outer_parameters.append(f"{DECAY}: optax.ScalarOrSchedule = {self.decay}")
            outer_arguments.append(f"{DECAY}: decoupled weight decay, a bare number in the program.")
        if decay:
            outer_parameters.append("mask: optax.MaskOrFn = None")
            outer_arguments.append("mask: a tree of bools, or a function that makes it from the parameters:")
            outer_arguments.append("    which of them decay.")
        if rated:
            inner_parameters.insert(0, rate)
        inner_call = [f"{python[h.name]}={python[h.name]}" for h in inner]
        if rated:
            inner_call.insert(0, "learning_rate=learning_rate")
        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
        template = environment.from_string(TEMPLATE.read_text("utf-8"))
        results = ["updates", *states]
        text = template.render(
            name=self.name,
            docstring=_quoted(self._docstring()),
            constants=list(self.definitions.constants.values()),
            helpers=list(self.definitions.helpers.values()),
            state_class=f"{self.camel}State",
            states=[{"name": python[s.name], "start": _start(s)} for s in program.states],
            inner_parameters=_stacked(inner_parameters),
            inner_summary=self._inner_summary(rated),
            outer_parameters=_stacked(outer_parameters),
            outer_summary=_title(self.whole, self.name),
            outer_arguments=outer_arguments,
            call=_call,
            inner_call=inner_call,
            reads_parameters=bool(read),
            reads_rate=rated,
            chained=self.chained,
            decay=decay,
            over_model=self.over_model,
            adapter="_whole_model" if self.over_model else "_each_leaf",
            rule=self.rule,
            rule_parameters=", ".join(rule_parameters),
            rule_summary=self._rule_summary(states),
            rule_lines=body,
            results=", ".join(results) if states else "(updates,)",
            trees=[
                f"kept={_tuple(['updates', *(f'state.{s}' for s in states)])}",
                f"read={'(params,)' if read else '()'}",
                f"numbers={_tuple([given[n] for n in numbers])}",
            ],
            new_state=["count=count", *(f"{s}={s}" for s in states)],
            copies=any(s.start == "w" for s in program.states),
        )
        return text.rstrip("\n") + "\n"

    def _inner_summary(self, rated: bool) -> str:
        if self.chained:
            return f"The direction of `{self.name}`: its step before the learning rate."
        if rated:
            return f"The steps of `{self.name}`; its rule reads the learning rate inside."
        return f"The steps of `{self.name}`."

    def _rule_summary(self, states: list[str]) -> str:
        what = "The direction to descend" if self.chained else "What is added to the parameters"
        new = f", then the new {', '.join(states)}" if states else ""
        where = "over lists of all leaves" if self.over_model else "on one leaf"
        return f"{what}{new}; {where}."

    def _rate_advice(self) -> str:
        if not self.chained and LR not in self.entries:
            return "learning_rate: not used, the rule does not read it; kept for a uniform call."
        return "learning_rate: a number, or a schedule of the step count."

    def _rate_paragraph(self) -> str:
        peak = self.whole.learning_rate
        declared = next((h for h in self.whole.hyperparameters if h.name == LEARNING_RATE), None)
        text = f"Learning rate: {peak:g} is the peak of the schedule that the program was tuned with"
        if declared is not None and declared.low is not None:
            text += f" (looked for between {declared.low:g} and {declared.high:g})"
        return (
            f"{text}; `lr` in the rule is the schedule's value at this step, so pass a schedule that decays, "
            f"for example `optax.cosine_decay_schedule({peak:g}, steps)`, or a number to keep it constant."
        )

    def _advice(self, h: Hyperparameter) -> str:
        text = f"{self.python[h.name]}: "
        text += "decoupled weight decay" if h.name == self.decay else f"`{h.name}` in the rule"
        return text + (f"; tuned between {h.low:g} and {h.high:g}." if h.low is not None else ".")

    def _docstring(self) -> str:
        whole = self.whole
        doc = whole.doc.strip("\n") or f"{self.name}: an optimizer program, exported from Pride."
        text = replace(whole, doc="")
        parts = [
            doc.rstrip(),
            "The rule, for one leaf w of the parameters and its gradient g, in step t = 1, 2, ...:",
            textwrap.indent("\n".join(_mathematics(self.full, self.program)), "    "),
        ]
        explained = _explained(self.full)
        if explained:
            parts += ["where", textwrap.indent("\n".join(explained), "    ")]
        parts.append(textwrap.fill(self._rate_paragraph(), WIDTH))
        if any(line.op != FIRST and PRIMITIVES[line.op].scope != ELEMENTWISE for line in self.full.lines):
            note = "Sums run over what this process sees of a leaf: inside shard_map or pmap they are local."
            parts.append(textwrap.fill(note, WIDTH))
        if self.found.strip():
            parts.append(self.found.strip())
        parts += [PROGRAM_HEADING, textwrap.indent(str(text).rstrip("\n"), "    ")]
        return "\n\n".join(parts) + "\n"


def _first(t: str, g: str, state: str) -> str:
    return f"jnp.where({t} == 1.0, {g}, {state})"


def _start(state: State) -> str:
    """A function that makes a state's first value from a leaf."""
    if state.start == "w":
        return "_copy"
    if state.kind is SCALAR:
        return f"lambda p: jnp.full([], {state.start!r}, _wide(p))"
    start = 0.0 if state.start == "g" else state.start
    if repr(start) == "0.0":
        return "lambda p: jnp.zeros_like(p, dtype=_dtype(p))"
    return f"lambda p: jnp.full_like(p, {start!r}, dtype=_dtype(p))"


def _stacked(parameters: list[str]) -> str:
    return "".join(f"\n    {p}," for p in parameters) + "\n" if parameters else ""


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _call(head: str, items: list[str], indent: int) -> str:
    """A call on one line, or with one argument a line where that is too long."""
    line = f"{head}({', '.join(items)})"
    if indent + len(line) <= WIDTH or not items:
        return line
    inner = " " * (indent + 4)
    return f"{head}(\n" + "".join(f"{inner}{item},\n" for item in items) + " " * indent + ")"


def _folded(line: str) -> list[str]:
    """A statement on lines that fit: a long right side goes into parentheses."""
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


def _title(program: Program, name: str) -> str:
    """The first line of the program's docstring, safe inside another one."""
    first = program.doc.strip().splitlines()[0] if program.doc.strip() else f"The optimizer `{name}`."
    return _quoted(first)


def _quoted(text: str) -> str:
    """A text as it is written between triple quotes, where a new line follows it."""
    text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


# --- the rule as mathematics ----------------------------------------------------------------------

_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def _mathematics(code: Listing, program: Program) -> list[str]:
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
        again = names.count(name) > 1 or f"@{name}" in (W, G, LR, T)
        called[n] = f"{name}{str(count[name]).translate(_SUBSCRIPTS)}" if again else name

    def shown(value: Value) -> str:
        if isinstance(value, Number):
            return f"{value.value:g}" if float(f"{value.value:g}") == value.value else value.text
        if isinstance(value, int):
            return called[value]
        return f"{value}[t-1]" if value in code.states else value.lstrip("@")

    lines = []
    for state in program.states:
        if state.start == "g":
            lines.append(f"{state.name}[0] = g of the first step")
        else:
            start = "w" if state.start == "w" else shown(Number(repr(state.start)))
            lines.append(f"{state.name}[0] = {start}")
    for n in order:
        line = code.lines[n]
        if line.op == FIRST:
            called[n] = f"{line.name}[t-1]"  # the line above says where it starts
        else:
            lines.append(f"{called[n]} = {_term(line.op, [shown(a) for a in line.args])}")
    for state, value in code.states.items():
        if not isinstance(value, int) or called[value] != f"{state}[t]":
            lines.append(f"{state}[t] = {shown(value)}")
    return [*lines, f"w ← w - {shown(code.update)}"]


def _term(op: str, args: list[str]) -> str:
    """One call in the notation of mathematics."""
    primitive = PRIMITIVES[op]
    if primitive.infix == "**":
        return f"({args[0]})^{args[1]}" if args[0].startswith("-") else f"{args[0]}^{args[1]}"
    if primitive.infix and primitive.family == "logic":
        return f"[{args[0]} {primitive.infix} {args[1]}]"
    if primitive.infix == "/":
        return f"{args[0]} / {args[1]}"
    formula = _arithmetic(op)
    if formula is None:
        return f"{op}({', '.join(args)})"
    return _Definitions().call(op, args).replace(" * ", "·").replace("1.0 - ", "1 - ")


def _arithmetic(op: str) -> ast.expr | None:
    """The formula of a primitive that is nothing but arithmetic on its arguments."""
    formula = _in_place(op)
    if formula is None or any(isinstance(n, ast.Call | ast.Attribute) for n in ast.walk(formula)):
        return None
    return formula


def _explained(code: Listing) -> list[str]:
    """What the primitives in a rule do, where a formula does not say it."""
    ops = dict.fromkeys(code.lines[n].op for n in code.live()[0])
    lines = []
    for op in ops:
        if op == FIRST or _arithmetic(op) is not None:
            continue
        primitive = PRIMITIVES[op]
        if primitive.infix and primitive.family == "logic":
            text = f"[x {primitive.infix} y]: {primitive.summary}"
        elif primitive.infix:
            text = primitive.summary if primitive.infix == "/" else f"x^y: {primitive.summary}"
        else:
            text = f"{op}({', '.join(_parameters(primitive.apply))}): {primitive.summary}"
        lines.append(text)
    return lines
