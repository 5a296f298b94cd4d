"""Programs: an optimizer as data, legal by construction.

A program is written for one parameter leaf. It has named hyperparameters, state
with its initial values, and a body of one primitive call a statement. The
caller applies `w - update`. A `Program` that exists has passed `check.py`, with
its names, arities and kinds, so later code need not ask.

A program that treats its leaf as a matrix says what becomes of the others: it
has a second body, the fallback, for vectors and numbers, and a rule for kernels
of more axes. Every reading takes a program by its `parts`: one plain program
for each of the two, without rings.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

from primitives.check import check, check_ends, check_length, check_statements
from primitives.kinds import OF_MATRICES, Kind
from primitives.printing import print_program
from primitives.registry import PRIMITIVES, WINDOW, of_matrices
from primitives.statements import KERNELS, STANDING, Argument, Draft, Instruction


@dataclass(frozen=True)
class Program(Draft):
    """An optimizer: a draft that is legal.

    Equality ignores the name, which is where the program came from and not what it says.

    Raises `ProgramError` where it is not legal.
    """

    kinds: tuple[Kind, ...] = field(init=False, compare=False, repr=False)  # of statements' targets

    def __post_init__(self) -> None:
        object.__setattr__(self, "kinds", check(self))

    def __str__(self) -> str:
        return print_program(self)

    def with_statements(self, first: int, last: int, new: tuple[Instruction, ...]) -> Program:
        """Return the program with new statements in the place of those from number `first` up to
        `last`, without it.

        Only what they touch is checked. Raises `ProgramError`, without a hint, where the result is
        not legal.
        """
        kinds = self.kinds_before(first)
        expected = kinds | {
            i.target: k for i, k in zip(self.body[first:last], self.kinds[first:last], strict=True)
        }

        # Made without its check, which would go through all statements again. What was worked out
        # about the parent holds for the child too, but for what depends on the body.
        child = object.__new__(Program)
        known = vars(child)
        known.update(vars(self), body=(*self.body[:first], *new, *self.body[last:]))
        for of_body in ("matrix_statement", "_unrolled_parts"):
            known.pop(of_body, None)

        check_length(child)
        end = first + len(new)
        changed = check_statements(child, kinds, first, end)
        # Where the rest finds all that it found before, it is legal. But a ring that only the
        # fallback knew until now must be given a value once these statements touch it.
        if expected.items() <= kinds.items() and self.fallback is None:
            rest = self.kinds[last:]
        else:
            rest = check_statements(child, kinds, end, len(child.body))
            check_ends(child, kinds)
        known["kinds"] = (*self.kinds[:first], *changed, *rest)
        return child

    def kinds_before(self, number: int) -> dict[str, Kind]:
        """Return the kinds of all variables that have a value before a statement."""
        kinds = dict(self.entry_kinds)
        for instruction, kind in zip(self.body[:number], self.kinds, strict=False):
            kinds[instruction.target] = kind
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
        on_matrices = of_matrices()
        if (
            not held
            and OF_MATRICES.isdisjoint(self.kinds)
            and on_matrices.isdisjoint([i.op for i in self.body])
        ):
            return None  # as most have none, it pays to ask for any before looking for the first

        for instruction, kind in zip(self.body, self.kinds, strict=True):
            among_matrices = kind in OF_MATRICES or not held.isdisjoint(instruction.args)
            if among_matrices or instruction.op in on_matrices:
                return instruction
        return None

    @property
    def parts(self) -> tuple[Program, ...]:
        """Plain programs: one for matrices (or for all leaves), then the fallback's where there is
        one.
        """
        plain = self.fallback is None and not any(
            [s.ring or s.kind in OF_MATRICES for s in self.states]
        )
        if (
            plain
        ):  # not kept: a program that refers to itself is freed by the garbage collector only
            return (self,)
        return self._unrolled_parts

    @cached_property
    def _unrolled_parts(self) -> tuple[Program, ...]:
        states = self.mentioned(self)
        if self.fallback is None:
            needless = any(s.kind in OF_MATRICES and s not in states for s in self.states)
            return (_unrolled(replace(self, states=states) if needless else self),)
        matrices = replace(self, fallback=None, states=states, kernels=KERNELS[0])
        return (_unrolled(matrices), _unrolled(_checked(self.of_fallback())))


def _checked(draft: Draft) -> Program:
    return Program(**{f.name: getattr(draft, f.name) for f in fields(draft)})


def _with_windows(program: Program) -> list[Instruction]:
    """Return the statements, where a ring given to a window is the last values of the ring."""
    body, assigned = [], set()
    for instruction in program.body:
        if PRIMITIVES[instruction.op].scope == WINDOW:
            args: list[Argument] = []
            for a in instruction.args:
                ring = program.rings.get(a) if isinstance(a, str) else None
                new = [a] if ring is None or a in assigned else []
                args += [*new, *ring.slots][: ring.ring] if ring is not None else new
            instruction = replace(instruction, args=tuple(args))
        body.append(instruction)
        assigned.add(instruction.target)
    return body


def _unrolled(program: Program) -> Program:
    """Return the program with a plain state for each slot of its rings.

    The values move on by one slot at the end of the step.
    """
    if not any(s.ring for s in program.states):
        return program
    states, body = [], _with_windows(program)
    taken = {*program.entry_kinds, *(i.target for i in body)}

    # What is returned may be an earlier value of a ring, which moves on before the end.
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
