"""The rule of a program as mathematics: for reading in a terminal, and as LaTeX.

    m₀ = 0
    cₜ = (1 - β₁)·gₜ + β₁·mₜ₋₁
    mₜ = (1 - β₂)·gₜ + β₂·mₜ₋₁
    wₜ = wₜ₋₁ - ηₜ·(sign(cₜ) + λ·wₜ₋₁)

What changes from step to step has an index: mₜ is m at the end of step
t = 1, 2, ..., and gₜ is the gradient at wₜ₋₁. A value that is used once is
written where it is used, as long as the line stays readable; one that has a
name as in papers (a letter, or one with a hat) keeps its equation.
"""

from __future__ import annotations

import ast
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from re import compile

from primitives.canonical.liveness import prune
from primitives.errors import ProgramError
from primitives.kinds import SCALAR
from primitives.program import Program
from primitives.registry import MODEL, PRIMITIVES, WINDOW, per_registry, signs
from primitives.statements import INPUTS, LEARNING_RATE, State
from primitives.views import MATRICES
from primitives.writing.listing import FIRST, Line, Number, Value, listing
from primitives.writing.notation import (
    FORMS,
    GREEK,
    KNOWN_TO_LATEX,
    SAME_AS,
    Expression,
    Latex,
    Name,
    Notation,
    Operation,
    Symbol,
    Unicode,
    is_comparison,
    is_scalar,
)
from primitives.writing.source import Definitions

WIDTH = 70  # of a line in a terminal
DEPTH = 2  # the deepest parentheses that an expression gets by writing a value into it
SHORT = 8  # a value as short as gₜ² or sign(gₜ) is written wherever it is used


def unicode_rule(program: Program) -> str:
    """Write the rule for a terminal.

    Below it stand the values of its letters, and what its signs mean.
    """
    rules, notation = [rule(part) for part in program.parts], Unicode()
    lines = []
    for heading, part in zip(_headings(rules), rules, strict=True):
        starts = [
            _unbroken(f"{notation.write(left)} = {notation.write(right)}")
            for left, right in part.starts
        ]
        body = _filled(starts)
        body += [
            f"{notation.write(left)} = {notation.write(right)}" for left, right in part.equations
        ]
        body.append(f"{notation.write(W)} = {notation.write(part.moved)}")
        if part.evaluate_at is not None:
            body.append(f"evaluated at {notation.write(part.evaluate_at)}")
        lines += [heading, *(f"    {line}" for line in body)] if heading else body
    legend = _legend(program, rules)
    return "\n".join([*lines, *([""] if legend else []), *legend]) + "\n"


def latex_rule(program: Program) -> str:
    """Write the rule as an `align*` of amsmath.

    What its letters and signs mean stands below it in comments.
    """
    rules, notation = [rule(part) for part in program.parts], Latex()
    rows = []
    for heading, part in zip(_headings(rules), rules, strict=True):
        rows += [rf"& \text{{{heading}}}"] if heading else []
        for left, right in (*part.starts, *part.equations, (W, part.moved)):
            rows.append(f"{notation.write(left)} &= {notation.write(right)}")
        if part.evaluate_at is not None:
            rows.append(rf"& \text{{evaluated at }} {notation.write(part.evaluate_at)}")
    comments = [f"% {line}" for line in _legend(program, rules)]
    return "\n".join([r"\begin{align*}", " \\\\\n".join(rows), r"\end{align*}", *comments]) + "\n"


def _headings(rules: Sequence[Rule]) -> Sequence[str]:
    return ("For matrices:", "For other leaves:") if len(rules) == 2 else ("",)


# --- rules ----------------------------------------------------------------------------------------

T = Symbol(Name("t"), scalar=True)
W = Symbol(Name("w"), step=0)
OLD_W = replace(W, step=-1)
IDENTITY = Symbol(Name("I"))

Equation = tuple[Symbol, Expression]


@dataclass(frozen=True)
class Rule:
    """One step of a program, as equations.

    starts: what holds before the first step; update: what is subtracted from w.
    """

    starts: tuple[Equation, ...]
    equations: tuple[Equation, ...]
    update: Expression
    evaluate_at: Expression | None  # where the model is evaluated after the step; None: at w
    given: dict[str, Symbol]  # inputs and hyperparameters

    @property
    def moved(self) -> Expression:
        """The new w."""
        return _moved(self.update)

    def operations(self) -> list[str]:
        """Return the primitives in the order in which they are read."""
        waiting = [right for _, right in self.equations] + [self.update]
        waiting += [] if self.evaluate_at is None else [self.evaluate_at]
        found: dict[str, None] = {}
        while waiting:
            e = waiting.pop(0)
            if isinstance(e, Operation):
                found[e.op] = None
                waiting[:0] = e.args
        return list(found)


def _moved(update: Expression) -> Expression:
    """Return w - update, which is x for an update w - x."""
    if isinstance(update, Operation) and update.op == "subtract" and update.args[0] == OLD_W:
        return update.args[1]
    return Operation("subtract", (OLD_W, update))


SAID = {
    "lr": "η", "eps": "ε", "lam": "λ", "momentum": "μ", "weight_decay": "λ", "decay": "ρ",
    "noise": "ξ",
}  # fmt: skip
"""Letters that papers have for what a program is given."""

_NAMED = compile(r"_*(?P<letter>[A-Za-z]+?)_?(?P<number>\d*)(_(?P<accent>hat|bar|tilde))?_*")


def _name(variable: str, given: bool = False) -> Name:
    """Return the name of a variable.

    given: whether it is an input or a hyperparameter.
    """
    if given and variable in SAID:
        return Name(SAID[variable])
    found = _NAMED.fullmatch(variable)
    letter = GREEK.get(found["letter"], found["letter"]) if found else ""
    if not found or len(letter) > 1:
        return Name(variable)
    return Name(letter, found["number"], found["accent"] or "")


def _keeps_its_equation(name: Name) -> bool:
    """Tell whether papers would name this value: m̂, or c."""
    return bool(name.accent) or (len(name.letter) == 1 and not name.number)


def rule(program: Program) -> Rule:
    """Return the rule of a plain program: of one of the `parts` of a program."""
    return _Writer(prune(program)).rule()


class _Writer:
    """Decides which values have an equation, and what each is called."""

    def __init__(self, program: Program):
        self.program, self.code = program, listing(program)
        order, self.evaluate_at = self.code.live()[0], None
        if program.evaluate_at:
            self.evaluate_at = listing(replace(program, output=program.evaluate_at)).update
            order = sorted({*order, *replace(self.code, update=self.evaluate_at).live()[0]})
        self.order = [n for n in order if self.code.lines[n].op != FIRST]
        self.notation = Unicode()
        self.taken = {T.name, W.name, IDENTITY.name}
        self.indexed = {W.name, _name("g"), *(_name(s.name) for s in program.states)}
        self.known: dict[Value, Expression] = {"t": T, "w": OLD_W}  # what is written for a value
        self.pending: set[Value] = set()  # lines that have no equation
        self.equations: dict[int, Equation] = {}  # by line
        self.starts: list[Equation] = []
        self.g = Symbol(self._fresh(_name("g")), step=0)
        given = {name: SCALAR for name in program.values if name != LEARNING_RATE}
        given |= {
            name: INPUTS[name]
            for name in program.inputs
            if name in INPUTS and name not in ("g", *self.known)
        }
        self.given: dict[str, Symbol] = {}
        for name, kind in sorted(given.items(), key=lambda item: item[0] not in INPUTS):
            step = 0 if name in INPUTS else None
            self.given[name] = self._symbol(name, _name(name, given=True), step, kind is SCALAR)
        self.known |= self.given | {"g": self.g}
        self._begin()

    def rule(self) -> Rule:
        """Go through the lines in order, and give an equation to those that need one."""
        code, last = self.code, len(self.code.lines)
        own = {s: v for s, v in code.states.items() if s in self.own}  # what they become
        becomes: dict[Value, str] = {v: s for s, v in reversed(own.items()) if v in self.order}
        for n in self.order:
            line = code.lines[n]
            build = partial(_operation, line)
            self.known[n] = self._fitted(line.args, build, room=len(line.name) + 4)
            self.pending.add(n)
            name = _name(line.name)
            if n in becomes:
                self._define(n, replace(self.own[becomes[n]], step=0))
            elif name.accent or len(self.notation.write(self.known[n])) > SHORT:
                more = [v for s, v in own.items() if becomes.get(v) != s]
                named = _keeps_its_equation(name) and name not in self.taken
                if named or self._uses(n, more) > 1:
                    self._define(n)
        for number, (state, value) in enumerate(own.items()):
            if becomes.get(value) != state:
                self.equations[last + number] = replace(self.own[state], step=0), self._shown(value)
        self._fitted((code.update,), lambda args: _moved(args[0]), room=len("wₜ = "))
        update = self._shown(code.update)
        at = None
        if self.evaluate_at is not None:
            at = self._fitted((self.evaluate_at,), lambda args: args[0], room=len("evaluated at "))
        equations = tuple(self.equations[n] for n in sorted(self.equations))
        return Rule(tuple(self.starts), equations, update, at, self.given)

    # --- states ---

    def _begin(self) -> None:
        """Write what the states are at the start of a step, and where they begin.

        A state that keeps g, w or another state for the next step is that, one step earlier; one
        that never changes is its start.
        """
        code = self.code
        entry = {n: line.name for n, line in enumerate(code.lines) if line.op == FIRST}
        after = {s: entry.get(v, v) if isinstance(v, int) else v for s, v in code.states.items()}
        states = {s.name: s for s in self.program.states}
        self.own: dict[str, Symbol] = {}  # states that have an equation
        settled: dict[str, Symbol] = {}
        visiting: set[str] = set()

        def settle(name: str) -> Symbol:
            if name in settled:
                return settled[name]
            visiting.add(name)
            scalar, start, becomes = (
                states[name].kind is SCALAR,
                self._start(states[name]),
                after[name],
            )
            leader = None
            if becomes in ("g", "w"):
                leader = self.g if becomes == "g" else OLD_W
            elif (
                becomes in states and becomes not in visiting
            ):  # those that follow each other in a circle stop here
                leader = settle(str(becomes))
            if becomes == name and isinstance(start, Symbol):
                symbol = start
            elif becomes == name:
                symbol = self._symbol(name, _name(name), None, scalar)
                self.starts.append((symbol, start))
            else:
                step = -1 if leader is None or leader.step is None else leader.step - 1
                symbol = (
                    None if leader is None or leader.step is None else replace(leader, step=step)
                )
                if symbol is None or symbol in settled.values():
                    step = -1
                    self.own[name] = symbol = Symbol(
                        self._fresh(_name(self._called(name))), step, scalar=scalar
                    )
                self.starts.append((replace(symbol, step=None, at=step + 1), start))
            visiting.discard(name)
            settled[name] = symbol
            return symbol

        for name in states:
            self.known[name] = settle(name)
        self.known |= {n: settled[name] for n, name in entry.items() if name in settled}

    def _start(self, state: State) -> Symbol | Number:
        """Return where a state begins."""
        if isinstance(state.start, str):
            return {"w": replace(W, step=None, at=0), "g": replace(self.g, step=None, at=1)}.get(
                state.start, IDENTITY
            )
        return Number(repr(state.start))

    def _called(self, state: str) -> str:
        """Return what a state is called.

        The newest slot of a ring, `past1`, is called after what it keeps: `past`.
        """
        value = self.code.states[state]
        kept = self.code.lines[value].name if isinstance(value, int) else ""
        return kept if state == f"{kept}1" and kept not in self.program.entry_kinds else state

    # --- lines ---

    def _fresh(self, name: Name) -> Name:
        """Take a name, with primes where it is taken already."""
        while name in self.taken:
            name = replace(name, mark=name.mark + 1)
        self.taken.add(name)
        return name

    def _symbol(self, variable: str, name: Name, step: int | None, scalar: bool) -> Symbol:
        """Return a symbol for a variable.

        One that does not change cannot be d₀ where that is the start of a state d.
        """
        if step is None and name.number and replace(name, number="") in self.indexed:
            name = Name(variable)
        return Symbol(self._fresh(name), step, scalar=scalar)

    def _uses(self, n: int, more: list[Value]) -> int:
        """Count how often a value would be written."""
        uses = [self.code.update, self.evaluate_at, *more].count(n)
        for line in (self.code.lines[m] for m in self.order):
            uses += sum(
                _times(line.op, len(line.args))[slot] for slot, a in enumerate(line.args) if a == n
            )
        return uses

    def _shown(self, value: Value) -> Expression:
        """Return what is written for a value."""
        return value if isinstance(value, Number) else self.known[value]

    def _fitted(self, args: tuple[Value, ...], build: Callable, room: int) -> Expression:
        """Return an expression of values that is readable.

        Until it is, the longest of its values get equations of their own.
        build: makes the expression; room: for what stands before it on its line.
        """
        while True:
            tree = build([self._shown(a) for a in args])
            text = self.notation.write(tree)
            inside = [a for a in args if a in self.pending]
            if not inside or (len(text) + room <= WIDTH and _depth(text) <= DEPTH):
                return tree
            self._define(max(inside, key=lambda a: len(self.notation.write(self._shown(a)))))

    def _define(self, n: Value, symbol: Symbol | None = None) -> None:
        """Give a line an equation."""
        assert isinstance(n, int)
        line, tree = self.code.lines[n], self.known[n]
        if symbol is None:
            symbol = self._symbol(
                line.name, _name(line.name), 0 if _varies(tree) else None, line.kind is SCALAR
            )
        self.equations[n] = symbol, tree
        self.known[n] = symbol
        self.pending.discard(n)


def _varies(e: Expression) -> bool:
    """Tell whether an expression changes from step to step."""
    if isinstance(e, Operation):
        return any(_varies(a) for a in e.args)
    return isinstance(e, Symbol) and (e.step is not None or e == T)


def _depth(text: str) -> int:
    """Count how deep parentheses stand within each other."""
    depth = most = 0
    for character in text:
        depth += (character in "([{⟨") - (character in ")]}⟩")
        most = max(most, depth)
    return most


# --- primitives that are arithmetic ---------------------------------------------------------------

_SIGNS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*"}


@per_registry
def _arithmetic(op: str) -> ast.expr | None:
    """Return the formula of a primitive that is sums and products, as `(1.0 - a) * x + a * y`.

    None of any other.
    """
    primitive = PRIMITIVES[op]
    if primitive.scope in (MODEL, WINDOW) or primitive.infix or op in FORMS or op in SAME_AS:
        return None
    slots = [f"_{slot}" for slot in range(primitive.arity)]
    try:
        formula = ast.parse(Definitions().call(op, slots), mode="eval").body
    except ProgramError:  # the definition of a plug-in may use what cannot be written
        return None
    plain = (*_SIGNS, ast.BinOp, ast.Name, ast.Constant, ast.expr_context)
    nodes = list(ast.walk(formula))
    constants = {n.id for n in nodes if isinstance(n, ast.Name)} - set(slots)
    return formula if not constants and all(isinstance(n, plain) for n in nodes) else None


@per_registry
def _times(op: str, count: int) -> list[int]:
    """Count how often each argument is written."""
    formula = _arithmetic(op)
    if formula is None:
        return [1] * count
    written = Counter(node.id for node in ast.walk(formula) if isinstance(node, ast.Name))
    return [written[f"_{slot}"] for slot in range(count)]


def _operation(line: Line, args: list[Expression]) -> Expression:
    """Return the expression of one call."""
    formula = _arithmetic(line.op)
    if formula is None:
        return Operation(line.op, tuple(args), line.kind is SCALAR)
    infix = signs()

    def expand(node: ast.expr) -> Expression:
        if isinstance(node, ast.BinOp):
            sides = expand(node.left), expand(node.right)
            return Operation(infix[_SIGNS[type(node.op)]], sides, all(map(is_scalar, sides)))
        if isinstance(node, ast.Name):
            return args[int(node.id[1:])]
        assert isinstance(node, ast.Constant)
        assert isinstance(node.value, int | float)
        return Number(repr(float(node.value)))

    return expand(formula)


# --- what letters and signs mean ------------------------------------------------------------------

CLEAR = {*KNOWN_TO_LATEX, "sign", "power", "add", "subtract", "multiply", "negative", "where"}
"""Primitives that mathematics writes in this way, and means the same."""


def _legend(program: Program, rules: Sequence[Rule]) -> list[str]:
    """Return the legend of some rules, in lines.

    First the values of the hyperparameters, then the meaning of signs that mathematics has no
    convention for, and which leaves are matrices.
    """
    notation = Unicode()
    words = []
    for name, symbol in {name: s for part in rules for name, s in part.given.items()}.items():
        if name in program.values:
            said = f" ({name})" if name in SAID and name != "eps" else ""
            words.append(
                f"{notation.write(symbol)} = {notation.number(program.values[name])[0]}{said}"
            )
    if any("lr" in part.given for part in rules):
        words.append(f"ηₜ = {notation.number(program.learning_rate)[0]} at its peak")
    lines = _filled([_unbroken(word) for word in words])
    for op in dict.fromkeys(op for part in rules for op in part.operations()):
        op = SAME_AS[op](T).op if op in SAME_AS else op
        if op in CLEAR or (op in FORMS and not FORMS[op].note) or is_comparison(op):
            continue
        note = _note(op, notation)
        lines += [note] if note not in lines else []
    if program.fallback is not None or program.matrix_statement is not None:
        lines += textwrap.wrap(MATRICES[program.kernels], WIDTH)
    return lines


def _note(op: str, notation: Notation) -> str:
    """Say what a sign means: `√x: Square root of |x|.`"""
    primitive = PRIMITIVES[op]
    names = primitive.signature.removeprefix(op)[1:-1].split(", ")
    shown = notation.write(Operation(op, tuple(Symbol(Name(name.split(":")[0])) for name in names)))
    return (
        primitive.summary
        if primitive.summary.startswith(shown)
        else f"{shown}: {primitive.summary}"
    )


def _unbroken(text: str) -> str:
    """Return a text whose spaces end no line."""
    return text.replace(" ", "\0")


def _filled(words: list[str]) -> list[str]:
    """Put words into lines, with commas between them."""
    lines = textwrap.wrap(", ".join(words), WIDTH, break_long_words=False, break_on_hyphens=False)
    return [line.replace("\0", " ") for line in lines]
