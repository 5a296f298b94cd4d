"""Programs: an optimizer as data, legal by construction.

A program is written for one parameter leaf. It has named hyperparameters, state
with its initial values, and a body of one primitive call a statement. The
caller applies `w - update`. A `Program` that exists has passed the check of
names, arities and kinds below, so later code need not ask.

A program that treats its leaf as a matrix says what becomes of the others: it
has a second body, the fallback, for vectors and numbers, and a rule for kernels
of more axes. Every reading takes a program by its `parts`: one plain program
for each of the two, without rings.
"""

from __future__ import annotations

import itertools
import keyword
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Self

from primitives.errors import ProgramError, did_you_mean
from primitives.kinds import LEFT, OF_MATRICES, RIGHT, SCALAR, TENSOR, Kind, shown, takes
from primitives.registry import AXIS, MATRIX, ORACLE, PRIMITIVES

Argument = str | float  # a variable's name, or a literal

STANDING: dict[str, Kind] = {"w": TENSOR, "g": TENSOR, "lr": SCALAR, "t": SCALAR}
"""What every program may read: parameter, gradient, learning rate at this step, step number (1, 2,
...).
"""

INPUTS: dict[str, Kind] = STANDING | {"loss": SCALAR, "noise": TENSOR, "rademacher": TENSOR}
"""What the task may offer besides: this step's loss at w, fresh normal numbers, fresh signs (-1 or
1).
"""

ORACLES = tuple(p.name for p in PRIMITIVES.values() if p.scope == ORACLE)
"""Inputs that are called: hvp(x)."""

_ON_MATRICES = frozenset(p.name for p in PRIMITIVES.values() if p.scope in (AXIS, MATRIX))

LEARNING_RATE = "learning_rate"
"""Reserved hyperparameter: the peak of the schedule, so `lr` = learning_rate · shape(t)."""
DEFAULT_LEARNING_RATE = 1e-3

SCALES = ("linear", "log", "log1m")
"""How a tuning range is walked: evenly in x, in log x, or in log(1 - x) (for decays near 1)."""

KERNELS = ("flatten", "stack", "fallback")
"""How a leaf with more than two axes is read: flatten all but the last one into the rows; take the
last two as a matrix and those before as a stack of them; or leave it to the fallback.
"""

IDENTITY = "identity"  # the start of a square state

MAX_STATEMENTS = 256
MAX_DECLARED = 256  # hyperparameters and states
MAX_RING = 64
MAX_CONSTANT = 1e10  # Lion's bound on constants
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One statement: `target = op(*args)`."""

    target: str
    op: str
    args: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class State:
    """A variable that lives from step to step.

    `start` is a number, or "w" (a copy of the parameter), "g" (the first gradient) or "identity"
    (of a square). A ring of k keeps the last k values that were assigned to `name`; past1 is the
    last of `past`, past2 the one before.
    """

    name: str
    kind: Kind
    start: float | str
    ring: int = 0

    @property
    def slots(self) -> tuple[str, ...]:
        """The names by which the body reads it."""
        return tuple(f"{self.name}{n}" for n in range(1, self.ring + 1)) or (self.name,)


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A named constant with its default, and the range in which tuning looks for it."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    scale: str = "linear"


class Tunable:
    """What has a name and hyperparameters: a program, or an optimizer that is written by hand."""

    name: str
    hyperparameters: tuple[Hyperparameter, ...]

    @property
    def learning_rate(self) -> float:
        """Peak of the learning-rate schedule."""
        return self.values.get(LEARNING_RATE, DEFAULT_LEARNING_RATE)

    @property
    def values(self) -> dict[str, float]:
        """Hyperparameters by name."""
        return {h.name: h.value for h in self.hyperparameters}

    def with_values(self, values: Mapping[str, float]) -> Self:
        """The same optimizer with other values of some hyperparameters.

        Raises `ProgramError` for an unknown one.
        """
        unknown = set(values) - set(self.values)
        if unknown:
            word = min(unknown)
            what = f"{self.name} has no hyperparameter called {word!r}"
            raise ProgramError(what, hint=did_you_mean(word, self.values))
        changed = tuple(
            replace(h, value=float(values[h.name])) if h.name in values else h
            for h in self.hyperparameters
        )
        return replace(self, hyperparameters=changed)  # type: ignore[type-var]  # both are dataclasses


@dataclass(frozen=True, slots=True)
class Fallback:
    """The body for leaves that are no matrices.

    It shares the hyperparameters and the names of states.
    """

    inputs: tuple[str, ...]
    body: tuple[Instruction, ...]
    output: str
    evaluate_at: str = ""


@dataclass(frozen=True)
class Program(Tunable):
    """An optimizer. Equality ignores the name, which is where it came from and not what it says.

    evaluate_at: the value at which the model is evaluated after the step; empty for the new w
    itself.

    Raises `ProgramError` where it is not legal.
    """

    inputs: tuple[str, ...]
    body: tuple[Instruction, ...]
    output: str
    states: tuple[State, ...] = ()
    hyperparameters: tuple[Hyperparameter, ...] = ()
    doc: str = ""
    evaluate_at: str = ""
    fallback: Fallback | None = None
    kernels: str = KERNELS[0]
    name: str = field(default="program", compare=False)
    file: str = field(default="", compare=False)  # where it was read
    lines: Mapping[Instruction | str, int] = field(
        default_factory=dict, compare=False, repr=False
    )  # there; of "step" too
    kinds: tuple[Kind, ...] = field(
        init=False, compare=False, repr=False
    )  # of each statement's target

    def __post_init__(self):
        try:
            kinds = _check(self)
        except _Unknown as fault:
            raise Illegal(fault.part, fault.what, _remedy(self, fault.word, fault.kinds)) from None
        object.__setattr__(self, "kinds", tuple(kinds))

    def __str__(self) -> str:
        from primitives.parse import print_program

        return print_program(self)

    def with_statements(self, first: int, last: int, new: tuple[Instruction, ...]) -> Program:
        """The same program with new statements in the place of those from number `first` up to
        `last`, without it.

        Only what they touch is checked. Raises `ProgramError`, without a hint, where the result is
        not legal.
        """
        kinds = self.kinds_before(first)
        expected = kinds | {
            i.target: k for i, k in zip(self.body[first:last], self.kinds[first:last], strict=True)
        }
        child = object.__new__(Program)
        known = vars(child)
        known.update(vars(self), body=(*self.body[:first], *new, *self.body[last:]))
        for of_body in ("matrix_statement", "_unrolled_parts"):
            known.pop(of_body, None)
        _check_length(child)
        end = first + len(new)
        changed = _check_statements(child, kinds, first, end)
        # Where the rest finds all that it found before, it is legal. But a ring that only the
        # fallback knew until now must be given a value once these statements touch it.
        if expected.items() <= kinds.items() and self.fallback is None:
            rest = self.kinds[last:]
        else:
            rest = _check_statements(child, kinds, end, len(child.body))
            _check_ends(child, kinds)
        known["kinds"] = (*self.kinds[:first], *changed, *rest)
        return child

    def kinds_before(self, number: int) -> dict[str, Kind]:
        """Kinds of all variables that have a value before a statement."""
        kinds = dict(self.entry_kinds)
        for instruction, kind in zip(self.body[:number], self.kinds, strict=False):
            kinds[instruction.target] = kind
        return kinds

    @cached_property
    def fixed(self) -> frozenset[str]:
        """The names that no statement may assign: hyperparameters and the earlier values of
        rings.
        """
        return frozenset(self.values).union(*(s.slots for s in self.states if s.ring))

    @cached_property
    def entry_kinds(self) -> Mapping[str, Kind]:
        """Kinds of all variables at the start of a step: inputs, hyperparameters and state."""
        kinds = {name: INPUTS[name] for name in self.inputs if name in INPUTS}
        kinds.update((h.name, SCALAR) for h in self.hyperparameters if h.name != LEARNING_RATE)
        kinds.update((slot, s.kind) for s in self.states for slot in s.slots)
        return kinds

    @property
    def bodies(self) -> tuple[tuple[Instruction, ...], ...]:
        """The body, and that of the fallback."""
        return (self.body,) if self.fallback is None else (self.body, self.fallback.body)

    @property
    def needs(self) -> frozenset[str]:
        """The inputs that a task must offer: all but the standing ones."""
        declared = {*self.inputs, *(self.fallback.inputs if self.fallback else ())}
        return frozenset(declared - set(STANDING))

    @cached_property
    def matrix_statement(self) -> Instruction | None:
        """The first statement that makes sense on matrices only; None where every leaf will do."""
        held = {slot for s in self.states if s.kind in OF_MATRICES for slot in s.slots}
        if (
            not held
            and OF_MATRICES.isdisjoint(self.kinds)
            and _ON_MATRICES.isdisjoint([i.op for i in self.body])
        ):
            return None  # as most have none, it pays to ask for any before looking for the first
        for instruction, kind in zip(self.body, self.kinds, strict=True):
            of_matrices = kind in OF_MATRICES or not held.isdisjoint(instruction.args)
            if of_matrices or instruction.op in _ON_MATRICES:
                return instruction
        return None

    @property
    def parts(self) -> tuple[Program, ...]:
        """Plain programs: one for matrices (or for all leaves), then the fallback's where there is
        one.
        """
        if self.fallback is None and not any(
            [s.ring or s.kind in OF_MATRICES for s in self.states]
        ):
            return (
                self,
            )  # not kept: a program that refers to itself is only freed by the garbage collector
        return self._unrolled_parts

    @cached_property
    def _unrolled_parts(self) -> tuple[Program, ...]:
        states = _mentioned(self.states, self)
        if self.fallback is None:
            needless = any(s.kind in OF_MATRICES and s not in states for s in self.states)
            return (_unrolled(replace(self, states=states) if needless else self),)
        matrices = replace(self, fallback=None, states=states, kernels=KERNELS[0])
        return (_unrolled(matrices), _unrolled(_for_others(self)))


class Illegal(ProgramError):
    """A fault in one part of a program under construction: ("body", 3) is its fourth statement."""

    def __init__(self, part: tuple[str, int], what: str, hint: str = ""):
        super().__init__(what, hint=hint)
        self.part = part


def _mentioned(states: tuple[State, ...], function: Program | Fallback) -> tuple[State, ...]:
    """The states that a body reads or writes."""
    names = {function.output, function.evaluate_at}.union(
        *((i.target, *i.args) for i in function.body)
    )
    return tuple(s for s in states if names & {s.name, *s.slots})


def _for_others(program: Program) -> Program:
    """The fallback as a program of its own. Raises `Illegal` where it is not legal."""
    other = program.fallback
    assert other is not None
    states = _mentioned(program.states, other)
    for part, instruction in enumerate(other.body):
        if instruction.op in _ON_MATRICES:
            what = f"{instruction.op} needs a matrix, and the fallback is for leaves that are none"
            raise Illegal(("body", part), what, "Do without it here.")
    for state in states:
        if state.kind in OF_MATRICES:
            what = (
                f"state {state.name!r} is a {state.kind}, which leaves that are no matrices do not "
                "have"
            )
            at = (
                n
                for n, i in enumerate(other.body)
                if {i.target, *i.args} & {state.name, *state.slots}
            )
            part = next((("body", n) for n in at), ("output", 0))
            raise Illegal(part, what, "Use another state in the fallback.")
        if state.ring and state.name not in {i.target for i in other.body}:
            what = f"the ring {state.name!r} is given no value in the fallback"
            raise Illegal(("output", 0), what, f"Assign it: {state.name} = ...")
    return Program(
        other.inputs, other.body, other.output, states, program.hyperparameters,
        evaluate_at=other.evaluate_at, name=program.name,
    )  # fmt: skip


def _unrolled(program: Program) -> Program:
    """The same program with a state for each slot of its rings, which move on at the end of the
    step.
    """
    if not any(s.ring for s in program.states):
        return program
    states, body = [], list(program.body)
    taken = {*program.entry_kinds, *(i.target for i in body)}
    # what is returned may be an earlier value of a ring, which moves on before the end
    returned = []
    for name in (program.output, program.evaluate_at):
        if any(s.ring and name in s.slots for s in program.states):
            kept = next(n for n in (f"kept{k}" for k in itertools.count(1)) if n not in taken)
            taken.add(kept)
            body.append(Instruction(kept, "copy", (name,)))
            name = kept
        returned.append(name)
    for state in program.states:
        states += [replace(state, name=slot, ring=0) for slot in state.slots]
        if state.ring:
            slots = (state.name, *state.slots)
            body += [
                Instruction(new, "copy", (old,))
                for old, new in reversed(list(itertools.pairwise(slots)))
            ]
    return replace(
        program, states=tuple(states), body=tuple(body), output=returned[0], evaluate_at=returned[1]
    )


def _check(program: Program) -> list[Kind]:
    """Kind inference, statement by statement. Returns the kind of each statement's target."""
    _check_length(program)
    _check_declarations(program)
    kinds = dict(program.entry_kinds)
    targets = _check_statements(program, kinds, 0, len(program.body))
    _check_ends(program, kinds)
    if program.kernels not in KERNELS:
        what = f"no rule for kernels is called {program.kernels!r}"
        raise Illegal(("kernels", 0), what, f"There are: {', '.join(KERNELS)}.")
    if program.kernels == "fallback" and program.fallback is None:
        raise Illegal(
            ("kernels", 0), "there is no fallback for kernels", "Write def fallback(w, g, lr)."
        )
    if program.fallback is not None:
        if bool(program.evaluate_at) != bool(program.fallback.evaluate_at):
            what = "only one of step and fallback returns a value to evaluate at"
            raise Illegal(("fallback output", 0), what, "Return one in both, or in none.")
        try:
            others = _for_others(program)
        except Illegal as fault:
            hint = fault.hint.replace("def step(", "def fallback(")
            raise Illegal((f"fallback {fault.part[0]}", fault.part[1]), fault.what, hint) from None
        for number, instruction in enumerate(others.body):
            _check_oracle(("fallback body", number), instruction.op)
    return targets


def _check_oracle(part: tuple[str, int], op: str) -> None:
    """What a program with a fallback may not call."""
    if op in ORACLES:
        what = f"{op} is of the whole model, and a program with a fallback sees it in two groups"
        raise Illegal(part, what, "Write it without a fallback.")


def _check_length(program: Program) -> None:
    moves = sum([min(s.ring, MAX_RING) for s in program.states])  # the statements of `_unrolled`
    moves += 2 if moves else 0
    if len(program.body) + moves > MAX_STATEMENTS:
        what = f"the program has {len(program.body)} statements"
        what += f", and rings that need {moves} more" if moves else ""
        raise ProgramError(f"{what}; the most is {MAX_STATEMENTS}", hint="Write a shorter program.")
    declared = len(program.hyperparameters) + len(program.states)
    if declared > MAX_DECLARED:
        what = (
            f"the program declares {declared} hyperparameters and states; "
            f"the most is {MAX_DECLARED}"
        )
        raise ProgramError(what, hint="Write a shorter program.")


def _check_declarations(program: Program) -> None:
    """Inputs, hyperparameters and states."""
    for number, name in enumerate(program.inputs):
        if name not in INPUTS and name not in ORACLES:
            hint = (
                did_you_mean(name, (*INPUTS, *ORACLES))
                or f"There are: {', '.join((*INPUTS, *ORACLES))}."
            )
            raise Illegal(("inputs", number), f"no input is called {name!r}", hint)
    names = list(program.inputs)
    for number, h in enumerate(program.hyperparameters):
        part = ("hyperparameters", number)
        _check_name(part, h.name, names)
        _check_constant(part, h.value)
        _check_range(part, h)
    for number, s in enumerate(program.states):
        part = ("states", number)
        if not 0 <= s.ring <= MAX_RING:  # before its slots are counted out
            raise Illegal(
                part, f"a ring of {s.ring} is not possible", f"Keep 1 to {MAX_RING} values."
            )
        for name in dict.fromkeys((s.name, *s.slots)):
            _check_name(part, name, names)
        if isinstance(s.start, float):
            _check_constant(part, s.start)
        elif s.kind not in {"w": (TENSOR,), "g": (TENSOR,), IDENTITY: (LEFT, RIGHT)}.get(
            s.start, ()
        ) or (s.ring and s.start == "g"):
            hint = "Start it at a number, a tensor at w or at g, a left or a right at the identity."
            hint = "Start a ring at a number or at w." if s.ring and s.start == "g" else hint
            raise Illegal(part, f"state {s.name!r}, a {s.kind}, cannot start at {s.start!r}", hint)


def _check_statements(program: Program, kinds: dict[str, Kind], first: int, end: int) -> list[Kind]:
    """Some statements of the body, where `kinds` have a value already.

    Adds theirs, and returns them in order.
    """
    fixed, targets = program.fixed, []
    for number in range(first, end):
        instruction = program.body[number]
        target = instruction.target
        if target in fixed:
            raise _assigned(program, number, target)
        if target not in kinds:
            _check_name(("body", number), target, [])
        kind = kinds[target] = _check_call(number, instruction, kinds, program)
        targets.append(kind)
    return targets


def _check_ends(program: Program, kinds: Mapping[str, Kind]) -> None:
    """What the states hold after the last statement, and what the step returns."""
    for number, s in enumerate(program.states):
        if s.name not in kinds:
            if program.fallback is not None and s not in _mentioned(program.states, program):
                continue  # the fallback's alone
            what = f"the ring {s.name!r} is given no value in this step"
            raise Illegal(("states", number), what, f"Assign it: {s.name} = ...")
        if kinds[s.name] is not s.kind:
            last = max(n for n, i in enumerate(program.body) if i.target == s.name)
            raise Illegal(
                ("body", last),
                f"state {s.name!r} is a {s.kind}, but it ends the step as a {kinds[s.name]}",
                f"Give it a {s.kind}, or use another name for this value.",
            )
    for name, what, remedy in (
        (program.output, "update", "Multiply it with g, or with another tensor."),
        (program.evaluate_at, "value to evaluate at", "Return a tensor, as w is."),
    ):
        if what != "update" and not name:
            continue
        if name not in kinds:
            raise _Unknown(("output", 0), name, kinds, f"the returned name {name!r} has no value")
        if kinds[name] is not TENSOR:
            raise Illegal(
                ("output", 0),
                f"the {what} {name!r} is a {kinds[name]}; it must be a tensor, as w is",
                remedy,
            )


def _assigned(program: Program, number: int, name: str) -> Illegal:
    """The fault of a statement that assigns what is fixed."""
    if name in program.values:
        what = f"{name!r} is a hyperparameter and cannot be assigned"
        return Illegal(("body", number), what, "Assign to another name, or make it state.")
    ring = next(s.name for s in program.states if s.ring and name in s.slots)
    what = f"{name!r} is an earlier value of the ring {ring!r} and cannot be assigned"
    return Illegal(("body", number), what, f"Assign this step's value to {ring!r}.")


class _Unknown(Illegal):
    """A word that has no value where it is read.

    What to do about it takes long to find: mutations never ask.
    """

    def __init__(self, part: tuple[str, int], word: str, kinds: Mapping[str, Kind], what: str = ""):
        super().__init__(part, what or f"{word!r} has no value here")
        self.word, self.kinds = word, kinds


def _remedy(program: Program, word: str, kinds: Mapping[str, Kind]) -> str:
    """What to do about a word that has no value."""
    if word in ORACLES and word in program.inputs:
        return f"Call it: {word}(x)."
    if word in INPUTS or word in ORACLES:
        return f"Declare it: def step(..., {word})."
    if word == LEARNING_RATE:
        return "Read lr, the schedule's value at this step; its peak is learning_rate."
    for s in program.states:
        if s.ring and word.removeprefix(s.name).isdecimal() and word not in s.slots:
            return f"The ring {s.name!r} keeps {s.ring}, the last of them {s.slots[-1]}."
    if any(s.ring and s.name == word for s in program.states):
        return f"Read {word}1, its value in the step before, or assign it first."
    return did_you_mean(word, kinds)


@lru_cache(1024)
def _is_name(word: str) -> bool:
    return bool(_NAME.fullmatch(word)) and not keyword.iskeyword(word) and not word.startswith("__")


def _check_name(part: tuple[str, int], name: str, taken: list[str]) -> None:
    if not _is_name(name):
        raise Illegal(
            part, f"{name!r} is no name for a variable", "Use letters, digits and _ (64 at most)."
        )
    if name in PRIMITIVES or name in RESERVED:
        what = "the name of a primitive" if name in PRIMITIVES else "a word of the language"
        raise Illegal(part, f"{name!r} is {what}", f"Call the variable {name}_ or otherwise.")
    if name in taken:
        raise Illegal(part, f"{name!r} is declared twice", "Give one of them another name.")
    if name in INPUTS:  # a declared one is in `taken`, or has a value already
        hint = f"Call the variable {name}_ or otherwise"
        hint += f", or declare the input: def step(..., {name})." if part[0] == "body" else "."
        raise Illegal(part, f"{name!r} is the name of an input that step does not declare", hint)
    taken.append(name)


def _check_constant(part: tuple[str, int], value: float) -> None:
    if not isinstance(value, float) or not math.isfinite(value) or abs(value) > MAX_CONSTANT:
        raise Illegal(
            part, f"{value!r} is no constant", f"Use a finite number within ±{MAX_CONSTANT:g}."
        )


def _check_range(part: tuple[str, int], h: Hyperparameter) -> None:
    if h.scale not in SCALES:
        raise Illegal(part, f"no scale is called {h.scale!r}", f"There are: {', '.join(SCALES)}.")
    if h.low is None and h.high is None:
        return
    fine = h.low is not None and h.high is not None and h.low < h.high
    fine = fine and (h.scale != "log" or h.low > 0) and (h.scale != "log1m" or h.high < 1)
    if not fine:
        raise Illegal(
            part,
            f"{h.low} to {h.high} is no {h.scale} range for {h.name!r}",
            "Give low < high; above 0 for the scale log, below 1 for log1m.",
        )


def _check_call(
    number: int, instruction: Instruction, kinds: dict[str, Kind], program: Program
) -> Kind:
    primitive = PRIMITIVES.get(instruction.op)
    part = ("body", number)
    if primitive is None:
        hint = did_you_mean(instruction.op, PRIMITIVES)
        hint = f"{hint} `evolve list primitives` shows all of them.".strip()
        raise Illegal(part, f"no primitive is called {instruction.op!r}", hint)
    if len(instruction.args) != len(primitive.slots):
        raise Illegal(
            part,
            f"{primitive.name} takes {primitive.arity} arguments, not {len(instruction.args)}",
            f"Write {primitive.signature}.",
        )
    if primitive.scope == ORACLE:
        if primitive.name not in program.inputs:
            raise _Unknown(part, primitive.name, kinds)
        if program.fallback is not None:
            _check_oracle(part, primitive.name)
    given = []
    for argument in instruction.args:
        if isinstance(argument, str):
            if argument not in kinds:
                raise _Unknown(part, argument, kinds)
            given.append(kinds[argument])
        else:
            _check_constant(part, argument)
            given.append(SCALAR)
    kind = primitive.kind(*given)
    if kind is None:
        wrong = [
            f"argument {n + 1} is a {have}, not a {shown(want)}"
            for n, (have, want) in enumerate(zip(given, primitive.slots, strict=True))
            if not takes(want, have)
        ]
        what = wrong[0] if wrong else f"{' and '.join(map(str, given))} do not combine"
        raise Illegal(part, f"{primitive.name}: {what}", f"Its signature is {primitive.signature}.")
    return kind


RESERVED = ("zeros_like", "full_like", "scalar", "tunable", "step", "fallback", "kernels")
