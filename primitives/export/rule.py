"""What an exported optimizer does, whatever library it is written for.

Where the learning rate and the decoupled weight decay stand decides what a rule is:

    update = lr · (d + w · c)   the rule is d; both stand outside
    update = lr · d             the rule is d; the learning rate stands outside
    anything else               the rule is the update, and reads the learning rate itself

A program with a body for matrices and one for other leaves has two rules, of one form.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from primitives.canonical.liveness import prune
from primitives.export.placement import decays_inside, without_decay, without_learning_rate
from primitives.kinds import SCALAR, TENSOR
from primitives.program import Program
from primitives.registry import oracles
from primitives.statements import IDENTITY, LEARNING_RATE, Hyperparameter, State
from primitives.writing.listing import Line, Listing, Value, listing


@dataclass(frozen=True)
class Part:
    """One plain program: for all leaves, for matrices, or for those that are none."""

    program: Program
    full: Listing  # the step as it is
    code: Listing  # the rule: the step without what stands outside of it

    @cached_property
    def entries(self) -> set[str]:
        """Variables that the rule reads as they are at the start of a step."""
        return self.code.live()[1]

    @cached_property
    def over_model(self) -> bool:
        """Whether the rule must see all leaves at once."""
        return any(line.whole for line in self.code.live_lines())


@dataclass(frozen=True)
class ExportedRule:
    """A program as an exporter sees it.

    whole: the program as it was given, whose words are shown; program: without what is dead;
    rate_outside: whether the learning rate stands outside of the rules;
    decay: the weight decay that stands outside, a hyperparameter's name or a number; None without;
    decays: hyperparameters that shrink the weights inside of the rules.
    """

    whole: Program
    program: Program
    parts: tuple[Part, ...]
    rate_outside: bool
    decay: Value | None
    decays: frozenset[str] = frozenset()

    @property
    def by_shape(self) -> bool:
        """Whether leaves of different shapes are treated differently."""
        return self.whole.fallback is not None or self.whole.matrix_statement is not None

    @property
    def stacked(self) -> bool:
        """Whether a leaf of more axes is a stack of matrices."""
        return self.by_shape and self.program.kernels == "stack"

    @property
    def flattened(self) -> bool:
        """Whether a leaf of more axes is one matrix."""
        return self.by_shape and self.program.kernels in ("flatten", "first_axis")

    @cached_property
    def states(self) -> tuple[State, ...]:
        """The states of all parts."""
        return tuple({s.name: s for part in self.parts for s in part.program.states}.values())

    @cached_property
    def entries(self) -> set[str]:
        """Variables that a rule reads as they are at the start of a step."""
        return set().union(*(part.entries for part in self.parts))

    @cached_property
    def oracles(self) -> tuple[str, ...]:
        """Inputs that a rule calls, as `hvp(x)`."""
        called = {line.op for part in self.parts for line in part.code.live_lines()}
        return tuple(name for name in oracles() if name in called)

    @property
    def reads_parameters(self) -> bool:
        """Whether a rule reads w."""
        return "w" in self.entries

    @property
    def reads_rate(self) -> bool:
        """Whether a rule reads the learning rate."""
        return "lr" in self.entries

    @property
    def tuned(self) -> list[Hyperparameter]:
        """The hyperparameters beside the learning rate."""
        return [h for h in self.program.hyperparameters if h.name != LEARNING_RATE]

    @property
    def inner(self) -> list[Hyperparameter]:
        """Those of them that a rule reads."""
        return [h for h in self.tuned if h.name in self.entries]

    @property
    def evaluation_state(self) -> State | None:
        """The state that holds the parameters to evaluate the model at; None where there is none.

        It starts at w and becomes this value in every step.
        """
        codes = [part.code for part in self.parts]
        for state in self.states if self.program.evaluate_at else ():
            becomes = [code.states.get(state.name) == code.evaluate_at for code in codes]
            if state.start == "w" and all(becomes):
                return state
        return None

    @property
    def beside(self) -> bool:
        """Whether a state is neither a number nor of its leaf's shape."""
        return any(s.kind not in (TENSOR, SCALAR) for s in self.states)

    @property
    def identities(self) -> bool:
        """Whether a state starts at the identity matrix."""
        return any(s.start == IDENTITY for s in self.states)

    @property
    def lines(self) -> list[Line]:
        """The lines that matter of the whole step, of all parts."""
        return [line for part in self.parts for line in part.full.live_lines()]

    def parts_of(self, state: State) -> list[bool]:
        """Tell for each part whether it knows a state."""
        return [state.name in {s.name for s in part.program.states} for part in self.parts]


def exported_rule(whole: Program) -> ExportedRule:
    """Return what an exporter needs to know of a program."""
    program = prune(whole)
    plain = [prune(part) for part in program.parts]
    full = [listing(part) for part in plain]

    directions = [d for code in full if (d := without_learning_rate(code)) is not None]
    if len(directions) < len(full):
        parts = [Part(part, code, code) for part, code in zip(plain, full, strict=True)]
        return ExportedRule(whole, program, tuple(parts), False, None, _decays(parts))

    decayed = [
        found
        for code, part in zip(directions, plain, strict=True)
        if (found := without_decay(code, part)) is not None
    ]
    decays = {decay for _, decay in decayed}
    rules, decay = directions, None
    if len(decayed) == len(full) and len(decays) == 1:  # all leaves decay alike
        rules, decay = [code for code, _ in decayed], decays.pop()
    parts = [Part(*three) for three in zip(plain, full, rules, strict=True)]
    inside = _decays(parts) if decay is None else frozenset()
    return ExportedRule(whole, program, tuple(parts), True, decay, inside)


def _decays(parts: list[Part]) -> frozenset[str]:
    return frozenset().union(*(decays_inside(part.code, part.program) for part in parts))
