"""Programs: an optimizer as data, legal by construction.

A program is written for one parameter leaf. It has named hyperparameters, state
with its initial values, and a body of one primitive call a statement. The
caller applies `w - update`. A `Program` that exists has passed the check of
names, arities and kinds below, so later code need not ask.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from primitives.errors import ProgramError
from primitives.kinds import ANY, SCALAR, TENSOR, Kind
from primitives.registry import PRIMITIVES, nearest

Argument = str | float  # a variable's name, or a literal

INPUTS: dict[str, Kind] = {"w": TENSOR, "g": TENSOR, "lr": SCALAR, "t": SCALAR}
"""What a program may read: parameter, gradient, learning rate at this step, step number (1, 2, ...)."""

LEARNING_RATE = "learning_rate"
"""Reserved hyperparameter: the peak of the schedule, so `lr` = learning_rate · shape(t)."""
DEFAULT_LEARNING_RATE = 1e-3

SCALES = ("linear", "log", "log1m")
"""How a tuning range is walked: evenly in x, in log x, or in log(1 - x) (for decays near 1)."""

MAX_STATEMENTS = 256
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

    `start` is a number, or "w" (a copy of the parameter) or "g" (the first gradient).
    """

    name: str
    kind: Kind
    start: float | str


@dataclass(frozen=True, slots=True)
class Hyperparameter:
    """A named constant with its default, and the range in which tuning looks for it."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    scale: str = "linear"


@dataclass(frozen=True)
class Program:
    """An optimizer. Equality ignores the name, which is where it came from and not what it says.

    Raises `ProgramError` where it is not legal.
    """

    inputs: tuple[str, ...]
    body: tuple[Instruction, ...]
    output: str
    states: tuple[State, ...] = ()
    hyperparameters: tuple[Hyperparameter, ...] = ()
    doc: str = ""
    name: str = field(default="program", compare=False)
    kinds: tuple[Kind, ...] = field(init=False, compare=False, repr=False)  # of each statement's target

    def __post_init__(self):
        object.__setattr__(self, "kinds", _check(self))

    def __str__(self) -> str:
        from primitives.text import print_program

        return print_program(self)

    @property
    def learning_rate(self) -> float:
        """Peak of the learning-rate schedule."""
        return self.values.get(LEARNING_RATE, DEFAULT_LEARNING_RATE)

    @property
    def values(self) -> dict[str, float]:
        """Hyperparameters by name."""
        return {h.name: h.value for h in self.hyperparameters}

    @property
    def entry_kinds(self) -> dict[str, Kind]:
        """Kinds of all variables at the start of a step: inputs, hyperparameters and state."""
        kinds = {name: INPUTS[name] for name in self.inputs}
        kinds.update((h.name, SCALAR) for h in self.hyperparameters if h.name != LEARNING_RATE)
        kinds.update((s.name, s.kind) for s in self.states)
        return kinds

    def with_values(self, values: Mapping[str, float]) -> Program:
        """The same program with other values of some hyperparameters."""
        unknown = set(values) - {h.name for h in self.hyperparameters}
        if unknown:
            word = min(unknown)
            raise ProgramError(
                f"{self.name} has no hyperparameter called {word!r}", hint=_did_you_mean(word, self.values)
            )
        changed = tuple(replace(h, value=float(values.get(h.name, h.value))) for h in self.hyperparameters)
        return replace(self, hyperparameters=changed)


class Illegal(ProgramError):
    """A fault in one part of a program under construction: ("body", 3) is its fourth statement."""

    def __init__(self, part: tuple[str, int], what: str, hint: str = ""):
        super().__init__(what, hint=hint)
        self.part = part


def _did_you_mean(word: str, words) -> str:
    found = nearest(word, words)
    return f"Did you mean {found!r}?" if found else ""


def _check(program: Program) -> tuple[Kind, ...]:
    """Kind inference, statement by statement. Returns the kind of each statement's target."""
    if len(program.body) > MAX_STATEMENTS:
        raise ProgramError(
            f"the program has {len(program.body)} statements; the most is {MAX_STATEMENTS}",
            hint="Write a shorter program.",
        )
    for number, name in enumerate(program.inputs):
        if name not in INPUTS:
            hint = _did_you_mean(name, INPUTS) or f"There are: {', '.join(INPUTS)}."
            raise Illegal(("inputs", number), f"no input is called {name!r}", hint)
    names = list(program.inputs)
    for number, h in enumerate(program.hyperparameters):
        part = ("hyperparameters", number)
        _check_name(part, h.name, names)
        _check_constant(part, h.value)
        _check_range(part, h)
    for number, s in enumerate(program.states):
        part = ("states", number)
        _check_name(part, s.name, names)
        if isinstance(s.start, float):
            _check_constant(part, s.start)
        elif s.start not in ("w", "g") or s.kind is not TENSOR:
            raise Illegal(part, f"state {s.name!r} cannot start at {s.start!r}", "Start it at a number, at w or at g.")
    kinds = program.entry_kinds
    constants = program.values
    targets = []
    for number, instruction in enumerate(program.body):
        target = instruction.target
        if target in constants:
            raise Illegal(
                ("body", number),
                f"{target!r} is a hyperparameter and cannot be assigned",
                "Assign to another name, or make it state.",
            )
        if target not in kinds:
            _check_name(("body", number), target, [])
        kind = _check_call(number, instruction, kinds)
        kinds[target] = kind
        targets.append(kind)
    last = {i.target: n for n, i in enumerate(program.body)}
    for s in program.states:
        if kinds[s.name] is not s.kind:
            raise Illegal(
                ("body", last[s.name]),
                f"state {s.name!r} is a {s.kind}, but it ends the step as a {kinds[s.name]}",
                f"Give it a {s.kind}, or use another name for this value.",
            )
    if program.output not in kinds:
        raise Illegal(
            ("output", 0), f"the returned name {program.output!r} has no value", _did_you_mean(program.output, kinds)
        )
    if kinds[program.output] is not TENSOR:
        raise Illegal(
            ("output", 0),
            f"the update {program.output!r} is a {kinds[program.output]}; it must be a tensor, as w is",
            "Multiply it with g, or with another tensor.",
        )
    return tuple(targets)


def _check_name(part: tuple[str, int], name: str, taken: list[str]) -> None:
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name.startswith("__"):
        raise Illegal(part, f"{name!r} is no name for a variable", "Use letters, digits and _ (64 at most).")
    if name in PRIMITIVES or name in RESERVED:
        raise Illegal(part, f"{name!r} is the name of a primitive", f"Call the variable {name}_ or otherwise.")
    if name in taken:
        raise Illegal(part, f"{name!r} is declared twice", "Give one of them another name.")
    if name in INPUTS:  # a declared one is in `taken`, or has a value already
        hint = f"Call the variable {name}_ or otherwise"
        hint += f", or declare the input: def step(..., {name})." if part[0] == "body" else "."
        raise Illegal(part, f"{name!r} is the name of an input that step does not declare", hint)
    taken.append(name)


def _check_constant(part: tuple[str, int], value: float) -> None:
    if not isinstance(value, float) or not math.isfinite(value) or abs(value) > MAX_CONSTANT:
        raise Illegal(part, f"{value!r} is no constant", f"Use a finite number within ±{MAX_CONSTANT:g}.")


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


def _check_call(number: int, instruction: Instruction, kinds: dict[str, Kind]) -> Kind:
    primitive = PRIMITIVES.get(instruction.op)
    part = ("body", number)
    if primitive is None:
        hint = _did_you_mean(instruction.op, PRIMITIVES)
        hint = f"{hint} `evolve list primitives` shows all of them.".strip()
        raise Illegal(part, f"no primitive is called {instruction.op!r}", hint)
    if len(instruction.args) != primitive.arity:
        raise Illegal(
            part,
            f"{primitive.name} takes {primitive.arity} arguments, not {len(instruction.args)}",
            f"Write {primitive.signature}.",
        )
    given = []
    for argument in instruction.args:
        if isinstance(argument, str):
            if argument not in kinds:
                hint = _did_you_mean(argument, kinds)
                if argument in INPUTS:
                    hint = f"Declare it: def step(..., {argument})."
                elif argument == LEARNING_RATE:
                    hint = "Read lr, the schedule's value at this step; its peak is learning_rate."
                raise Illegal(part, f"{argument!r} has no value here", hint)
            given.append(kinds[argument])
        else:
            _check_constant(part, argument)
            given.append(SCALAR)
    kind = primitive.kind(*given)
    if kind is None:
        wrong = [
            f"argument {n + 1} is a {have}, not a {want}"
            for n, (have, want) in enumerate(zip(given, primitive.slots, strict=True))
            if want is not ANY and have is not want
        ]
        what = wrong[0] if wrong else f"{' and '.join(map(str, given))} do not combine"
        raise Illegal(part, f"{primitive.name}: {what}", f"Its signature is {primitive.signature}.")
    return kind


RESERVED = ("zeros_like", "full_like", "scalar", "tunable", "step")
