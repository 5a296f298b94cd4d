"""What a program is made of: its statements, states, hyperparameters and fallback, as plain data.

Nothing here asks whether a program makes sense: that is `check.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from primitives.errors import ProgramError, did_you_mean
from primitives.kinds import SCALAR, TENSOR, Kind

Argument = str | float  # a variable's name, or a literal

STANDING: dict[str, Kind] = {"w": TENSOR, "g": TENSOR, "lr": SCALAR, "t": SCALAR}
"""What every program may read: the parameter, its gradient, the learning rate at this step, and the
number of the step (1, 2, ...).
"""

INPUTS: dict[str, Kind] = STANDING | {
    "loss": SCALAR, "noise": TENSOR, "rademacher": TENSOR, "run_progress": SCALAR,
}  # fmt: skip
"""What the task may offer besides: the loss of this step at w, fresh normal numbers, fresh signs
(-1 or 1), and the share of the run's steps that is done before this one, from 0 to 1.
"""

LEARNING_RATE = "learning_rate"
"""Reserved hyperparameter: the peak of the schedule, so `lr` = learning_rate · shape(t)."""
DEFAULT_LEARNING_RATE = 1e-3

SCALES = ("linear", "log", "log1m")
"""How a tuning range is walked: evenly in x, in log x, or in log(1 - x) (for decays near 1)."""

KERNELS = ("flatten", "stack", "fallback", "first_axis")
"""How a leaf with more than two axes is read: flatten all but the last one into the rows; take the
last two as a matrix and those before as a stack of them; leave it to the fallback; or take the
first axis as the rows and flatten the others into the columns. The machine's codes count them, so
one more stands at the end.
"""

RESERVED = ("zeros_like", "full_like", "scalar", "tunable", "step", "fallback", "kernels")
"""Words of the language, which no variable and no primitive may have as a name."""

IDENTITY = "identity"  # the start of a square state

MAX_STATEMENTS = 256
MAX_DECLARED = 256  # hyperparameters and states
MAX_RING = 128
MAX_TUNED = 32  # values of a hyperparameter, one for each use of the program
MAX_CONSTANT = 1e10  # the bound that Lion's search has on constants


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
    last of `past`, past2 the one before. A call of a window, as `window_mean(past)`, is given the
    last k so far: with that of this step, where it is assigned before.
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
    """A named constant with its default, and the range in which tuning looks for it.

    tuned: its values where the program is put to several uses, such as the tasks of a suite; one
    for each. Empty where the default serves all of them.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    scale: str = "linear"
    tuned: tuple[float, ...] = ()


AnyTunable = TypeVar("AnyTunable", bound="Tunable")


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

    def with_values(self: AnyTunable, values: Mapping[str, float]) -> AnyTunable:
        """Return the same optimizer with other values of some hyperparameters, in all its uses.

        Raises `ProgramError` for an unknown one.
        """
        unknown = set(values) - set(self.values)
        if unknown:
            word = min(unknown)
            what = f"{self.name} has no hyperparameter called {word!r}"
            raise ProgramError(what, hint=did_you_mean(word, self.values))

        changed = tuple(
            replace(h, value=float(values[h.name]), tuned=()) if h.name in values else h
            for h in self.hyperparameters
        )
        return replace(self, hyperparameters=changed)  # type: ignore[type-var]  # all are dataclasses

    # --- several uses -----------------------------------------------------------------------------

    @property
    def uses(self) -> int:
        """How many uses it has values of its own for; 0 where its defaults serve all."""
        return max((len(h.tuned) for h in self.hyperparameters), default=0)

    def for_uses(self: AnyTunable, uses: Sequence[Mapping[str, float]]) -> AnyTunable:
        """Return the same optimizer with values for several uses; those of the first are defaults.

        uses: values by name, of the same hyperparameters in each. Raises `ProgramError`.
        """
        settled = self.with_values(uses[0])
        changed = tuple(
            replace(h, tuned=tuple(float(use[h.name]) for use in uses)) if h.name in uses[0] else h
            for h in settled.hyperparameters
        )
        return replace(settled, hyperparameters=changed)  # type: ignore[type-var]

    def in_use(self: AnyTunable, number: int) -> AnyTunable:
        """Return the optimizer as it is in one of its uses, counted from 0."""
        return self.with_values({h.name: h.tuned[number] for h in self.hyperparameters if h.tuned})

    def settled(self: AnyTunable) -> AnyTunable:
        """Return the optimizer with its defaults alone."""
        return self.with_values({h.name: h.value for h in self.hyperparameters if h.tuned})


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
class Draft(Tunable):
    """All that a program says, whether it is legal or not.

    A draft can be checked and printed; only a `Program`, which is a legal draft, can be run.

    evaluate_at: the value at which the model is evaluated after the step; empty for the new w
    itself.
    lines: the number of the line in `file` where each statement stands, and where "step" begins.
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
    lines: Mapping[Instruction | str, int] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def fixed(self) -> frozenset[str]:
        """The names that no statement may assign: hyperparameters, and earlier values of rings."""
        return frozenset(self.values).union(*(s.slots for s in self.states if s.ring))

    @cached_property
    def rings(self) -> Mapping[str, State]:
        """The states that are rings, by name."""
        return {s.name: s for s in self.states if s.ring}

    @cached_property
    def entry_kinds(self) -> Mapping[str, Kind]:
        """Kinds of all variables at the start of a step: inputs, hyperparameters and state."""
        kinds = {name: INPUTS[name] for name in self.inputs if name in INPUTS}
        kinds.update((h.name, SCALAR) for h in self.hyperparameters if h.name != LEARNING_RATE)
        kinds.update((slot, s.kind) for s in self.states for slot in s.slots)
        return kinds

    def mentioned(self, function: Draft | Fallback) -> tuple[State, ...]:
        """Return the states that a body reads or writes: its own, or that of its fallback."""
        names = {function.output, function.evaluate_at}.union(
            *((i.target, *i.args) for i in function.body)
        )
        return tuple(s for s in self.states if names & {s.name, *s.slots})

    def of_fallback(self) -> Draft:
        """Return the fallback as a draft of its own, with the states that it reads or writes."""
        assert self.fallback is not None
        return Draft(
            self.fallback.inputs,
            self.fallback.body,
            self.fallback.output,
            self.mentioned(self.fallback),
            self.hyperparameters,
            evaluate_at=self.fallback.evaluate_at,
            name=self.name,
        )
