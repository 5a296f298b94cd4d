"""Checking: whether what a program says is legal, and if not, where, why and what to do.

Names, arities and bounds are checked, and the kind of every value is inferred, statement by
statement. The first fault found is raised.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Mapping
from functools import lru_cache

from primitives.errors import ProgramError, did_you_mean
from primitives.kinds import LEFT, OF_MATRICES, RIGHT, SCALAR, TENSOR, Kind, shown, takes
from primitives.registry import ORACLE, PRIMITIVES, WINDOW, of_matrices, oracles
from primitives.statements import (
    IDENTITY,
    INPUTS,
    KERNELS,
    LEARNING_RATE,
    MAX_CONSTANT,
    MAX_DECLARED,
    MAX_RING,
    MAX_STATEMENTS,
    MAX_TUNED,
    RESERVED,
    SCALES,
    Draft,
    Fallback,
    Hyperparameter,
    Instruction,
    State,
)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")

Part = tuple[str, int]
"""Where a fault is: ("body", 3) is the fourth statement, ("fallback output", 0) what the fallback
returns.
"""


class Illegal(ProgramError):
    """A fault in one part of a program under construction."""

    def __init__(self, part: Part, what: str, hint: str = ""):
        super().__init__(what, hint=hint)
        self.part = part


class _Unknown(Illegal):
    """A word that has no value where it is read.

    What to do about it is found later, by whoever shows it: that takes long, and mutations, which
    meet this fault all the time, never ask.
    """

    def __init__(self, part: Part, word: str, kinds: Mapping[str, Kind], what: str = ""):
        super().__init__(part, what or f"{word!r} has no value here")
        self.word, self.kinds = word, kinds


def check(draft: Draft) -> tuple[Kind, ...]:
    """Return the kind of each statement's target. Raises `ProgramError` where it is not legal."""
    try:
        return _check(draft)
    except _Unknown as fault:
        raise Illegal(fault.part, fault.what, _remedy(draft, fault.word, fault.kinds)) from None


def _check(draft: Draft) -> tuple[Kind, ...]:
    check_length(draft)
    _check_declarations(draft)
    kinds = dict(draft.entry_kinds)
    targets = check_statements(draft, kinds, 0, len(draft.body))
    check_ends(draft, kinds)
    if draft.kernels not in KERNELS:
        what = f"no rule for kernels is called {draft.kernels!r}"
        raise Illegal(("kernels", 0), what, f"There are: {', '.join(KERNELS)}.")
    if draft.kernels == "fallback" and draft.fallback is None:
        raise Illegal(
            ("kernels", 0), "there is no fallback for kernels", "Write def fallback(w, g, lr)."
        )
    if draft.fallback is not None:
        _check_fallback(draft, draft.fallback)
    return tuple(targets)


# --- the fallback ---------------------------------------------------------------------------------


def _check_fallback(draft: Draft, fallback: Fallback) -> None:
    if bool(draft.evaluate_at) != bool(fallback.evaluate_at):
        what = "only one of step and fallback returns a value to evaluate at"
        raise Illegal(("fallback output", 0), what, "Return one in both, or in none.")
    try:
        _check_without_matrices(draft, fallback)
        check(draft.of_fallback())
    except Illegal as fault:
        hint = fault.hint.replace("def step(", "def fallback(")
        raise Illegal((f"fallback {fault.part[0]}", fault.part[1]), fault.what, hint) from None
    for number, instruction in enumerate(fallback.body):
        _check_oracle(("fallback body", number), instruction.op)


def _check_without_matrices(draft: Draft, fallback: Fallback) -> None:
    """Refuse a fallback that needs matrices, or that leaves a ring without a value."""
    for part, instruction in enumerate(fallback.body):
        if instruction.op in of_matrices():
            what = f"{instruction.op} needs a matrix, and the fallback is for leaves that are none"
            raise Illegal(("body", part), what, "Do without it here.")
    for state in draft.mentioned(fallback):
        if state.kind in OF_MATRICES:
            what = (
                f"state {state.name!r} is a {state.kind}, which leaves that are no matrices do not "
                "have"
            )
            at = (
                n
                for n, i in enumerate(fallback.body)
                if {i.target, *i.args} & {state.name, *state.slots}
            )
            part = next((("body", n) for n in at), ("output", 0))
            raise Illegal(part, what, "Use another state in the fallback.")
        if state.ring and state.name not in {i.target for i in fallback.body}:
            what = f"the ring {state.name!r} is given no value in the fallback"
            raise Illegal(("output", 0), what, f"Assign it: {state.name} = ...")


def _check_oracle(part: Part, op: str) -> None:
    """Refuse what a program with a fallback may not call."""
    if op in oracles():
        what = f"{op} is of the whole model, and a program with a fallback sees it in two groups"
        raise Illegal(part, what, "Write it without a fallback.")


# --- the whole, and what stands above the step ----------------------------------------------------


def check_length(draft: Draft) -> None:
    """Raise `ProgramError` where a program has too many statements or declarations."""
    # Rings become statements when a program is unrolled (`program.py`): one a slot, two besides.
    moves = sum([min(s.ring, MAX_RING) for s in draft.states])
    moves += 2 if moves else 0
    if len(draft.body) + moves > MAX_STATEMENTS:
        what = f"the program has {len(draft.body)} statements"
        what += f", and rings that need {moves} more" if moves else ""
        raise ProgramError(f"{what}; the most is {MAX_STATEMENTS}", hint="Write a shorter program.")
    declared = len(draft.hyperparameters) + len(draft.states)
    if declared > MAX_DECLARED:
        what = (
            f"the program declares {declared} hyperparameters and states; "
            f"the most is {MAX_DECLARED}"
        )
        raise ProgramError(what, hint="Write a shorter program.")


def _check_declarations(draft: Draft) -> None:
    """Check what stands above the body: inputs, hyperparameters and states."""
    _check_inputs(draft)
    names = list(draft.inputs)
    for number, h in enumerate(draft.hyperparameters):
        part = ("hyperparameters", number)
        _check_name(part, h.name, names)
        _check_constant(part, h.value)
        _check_range(part, h)
        for value in h.tuned:
            _check_constant(part, value)
        if len(h.tuned) > MAX_TUNED or (h.tuned and len(h.tuned) != draft.uses):
            raise Illegal(
                part,
                f"{h.name!r} is tuned for {len(h.tuned)} uses",
                f"Give as many values as the others have, at most {MAX_TUNED}.",
            )
    for number, s in enumerate(draft.states):
        part = ("states", number)
        if not 0 <= s.ring <= MAX_RING:  # before its slots are counted out
            raise Illegal(
                part, f"a ring of {s.ring} is not possible", f"Keep 1 to {MAX_RING} values."
            )
        for name in dict.fromkeys((s.name, *s.slots)):
            _check_name(part, name, names)
        _check_start(part, s)


def _check_inputs(draft: Draft) -> None:
    known = (*INPUTS, *oracles())
    for number, name in enumerate(draft.inputs):
        if name not in known:
            hint = did_you_mean(name, known) or f"There are: {', '.join(known)}."
            raise Illegal(("inputs", number), f"no input is called {name!r}", hint)


_STARTS = {"w": (TENSOR,), "g": (TENSOR,), IDENTITY: (LEFT, RIGHT)}
"""Starts that are no numbers, and the kinds of states that can have them."""


def _check_start(part: Part, s: State) -> None:
    if isinstance(s.start, float):
        _check_constant(part, s.start)
        return
    ring_of_gradients = bool(s.ring) and s.start == "g"
    if s.kind not in _STARTS.get(str(s.start), ()) or ring_of_gradients:
        hint = "Start it at a number, a tensor at w or at g, a left or a right at the identity."
        hint = "Start a ring at a number or at w." if ring_of_gradients else hint
        raise Illegal(part, f"state {s.name!r}, a {s.kind}, cannot start at {s.start!r}", hint)


@lru_cache(1024)
def _is_name(word: str) -> bool:
    return bool(_NAME.fullmatch(word)) and not keyword.iskeyword(word) and not word.startswith("__")


def _check_name(part: Part, name: str, taken: list[str]) -> None:
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


def _check_constant(part: Part, value: float) -> None:
    if not isinstance(value, float) or not math.isfinite(value) or abs(value) > MAX_CONSTANT:
        raise Illegal(
            part, f"{value!r} is no constant", f"Use a finite number within ±{MAX_CONSTANT:g}."
        )


def _check_range(part: Part, h: Hyperparameter) -> None:
    if h.scale not in SCALES:
        raise Illegal(part, f"no scale is called {h.scale!r}", f"There are: {', '.join(SCALES)}.")
    low, high = h.low, h.high
    if low is None and high is None:
        return
    fine = (
        low is not None
        and high is not None
        and low < high
        and (h.scale != "log" or low > 0)
        and (h.scale != "log1m" or high < 1)
    )
    if not fine:
        raise Illegal(
            part,
            f"{low} to {high} is no {h.scale} range for {h.name!r}",
            "Give low < high; above 0 for the scale log, below 1 for log1m.",
        )


# --- the step -------------------------------------------------------------------------------------


def check_statements(draft: Draft, kinds: dict[str, Kind], first: int, end: int) -> list[Kind]:
    """Check the statements from number `first` up to `end`, without it.

    kinds: of what has a value before them; what they assign is added. Returns the kinds of their
    targets in order.
    """
    fixed, targets = draft.fixed, []
    for number in range(first, end):
        instruction = draft.body[number]
        target = instruction.target
        if target in fixed:
            raise _assigned(draft, number, target)
        if target not in kinds:
            _check_name(("body", number), target, [])
        kind = kinds[target] = _check_call(number, instruction, kinds, draft)
        targets.append(kind)
    return targets


def _check_call(
    number: int, instruction: Instruction, kinds: dict[str, Kind], draft: Draft
) -> Kind:
    """Check one call, and return the kind of its result."""
    primitive = PRIMITIVES.get(instruction.op)
    part = ("body", number)
    if primitive is None:
        hint = of_another_name(instruction.op)
        raise Illegal(part, f"no primitive is called {instruction.op!r}", hint)
    count, window = len(instruction.args), primitive.scope == WINDOW
    if count < primitive.arity or (count > primitive.arity and not window):
        least = "at least " if window else ""
        raise Illegal(
            part,
            f"{primitive.name} takes {least}{primitive.arity} arguments, not {count}",
            f"Write {primitive.signature}.",
        )
    if primitive.scope == ORACLE:
        if primitive.name not in draft.inputs:
            raise _Unknown(part, primitive.name, kinds)
        if draft.fallback is not None:
            _check_oracle(part, primitive.name)
    given = []
    for argument in instruction.args:
        if isinstance(argument, str):
            if window and argument in draft.rings:  # it stands for all that the ring holds
                given.append(draft.rings[argument].kind)
            elif argument not in kinds:
                raise _Unknown(part, argument, kinds)
            if argument in kinds:
                given.append(kinds[argument])
        else:
            _check_constant(part, argument)
            given.append(SCALAR)
    kind = primitive.kind(*given)
    if kind is None:
        wrong = [
            f"argument {n + 1} is a {have}, not a {shown(want)}"
            for n, (have, want) in enumerate(
                zip(given, primitive.slots_of(len(given)), strict=True)
            )
            if not takes(want, have)
        ]
        what = wrong[0] if wrong else f"{' and '.join(map(str, given))} do not combine"
        raise Illegal(part, f"{primitive.name}: {what}", f"Its signature is {primitive.signature}.")
    return kind


def _assigned(draft: Draft, number: int, name: str) -> Illegal:
    """Say why a statement may not assign this name, which is fixed."""
    if name in draft.values:
        what = f"{name!r} is a hyperparameter and cannot be assigned"
        return Illegal(("body", number), what, "Assign to another name, or make it state.")
    ring = next(s.name for s in draft.states if s.ring and name in s.slots)
    what = f"{name!r} is an earlier value of the ring {ring!r} and cannot be assigned"
    return Illegal(("body", number), what, f"Assign this step's value to {ring!r}.")


def check_ends(draft: Draft, kinds: Mapping[str, Kind]) -> None:
    """Check what the states hold after the last statement, and what the step returns.

    kinds: of all that has a value there.
    """
    for number, s in enumerate(draft.states):
        if s.name not in kinds:
            if draft.fallback is not None and s not in draft.mentioned(draft):
                continue  # the fallback's alone
            what = f"the ring {s.name!r} is given no value in this step"
            raise Illegal(("states", number), what, f"Assign it: {s.name} = ...")
        if kinds[s.name] is not s.kind:
            last = max(n for n, i in enumerate(draft.body) if i.target == s.name)
            raise Illegal(
                ("body", last),
                f"state {s.name!r} is a {s.kind}, but it ends the step as a {kinds[s.name]}",
                f"Give it a {s.kind}, or use another name for this value.",
            )
    for name, what, remedy in (
        (draft.output, "update", "Multiply it with g, or with another tensor."),
        (draft.evaluate_at, "value to evaluate at", "Return a tensor, as w is."),
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


# --- what to do -----------------------------------------------------------------------------------


def of_another_name(word: str) -> str:
    """Say which primitives may be meant by a word that is the name of none.

    It may be a name of numpy's, which the definitions cite.
    """
    same = [p.name for p in PRIMITIVES.values() if p.source.endswith(f".{word}")]
    if word in PRIMITIVES:
        hint = f"Write {PRIMITIVES[word].signature}."
    else:
        hint = f"Here it is {' or '.join(same)}." if same else did_you_mean(word, PRIMITIVES)
    return f"{hint} `evolve list primitives` shows all of them.".strip()


def _remedy(draft: Draft, word: str, kinds: Mapping[str, Kind]) -> str:
    """Say what to do about a word that has no value."""
    if word in oracles() and word in draft.inputs:
        return f"Call it: {word}(x)."
    if word in INPUTS or word in oracles():
        return f"Declare it: def step(..., {word})."
    if word == LEARNING_RATE:
        return "Read lr, the schedule's value at this step; its peak is learning_rate."
    for s in draft.states:
        if s.ring and word.removeprefix(s.name).isdecimal() and word not in s.slots:
            return f"The ring {s.name!r} keeps {s.ring}, the last of them {s.slots[-1]}."
    if any(s.ring and s.name == word for s in draft.states):
        return f"Read {word}1, its value in the step before, or assign it first."
    if word in {i.target for i in draft.body}:  # here, or further down
        what = f"To keep it from step to step, declare it above step: {word} = zeros_like(w)"
        return f"{what}, or {word} = scalar(0.0) if it is a number. Else assign it first."
    return did_you_mean(word, kinds) or (
        f"Declare it above step: {word} = 0.9 is a hyperparameter, {word} = zeros_like(w) a state."
    )
