"""Mutations: from one program to a child that differs in one statement or constant.

The three kinds of Lion: insert a statement, delete one, change one argument. A new constant is a
draw from N(0, 1); an existing one is multiplied by 2^a with a ~ N(0, 1) (for a hyperparameter on
the scale log1m, 1 - x is, so that a decay of 0.99 stays a decay). Children that are not legal are
drawn again.

`@mutation` enters one more into the table that they are drawn from; a plug-in may bring its own.
Source: Chen et al. 2023, arXiv:2302.06675, section 2.2.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from evolve import plugins
from evolve.config.errors import ConfigError
from evolve.config.schema import SearchSettings
from primitives.errors import ProgramError, did_you_mean, printable
from primitives.kinds import SCALAR, Kind, Slot, takes
from primitives.program import Program
from primitives.registry import PRIMITIVES, Primitive, per_registry
from primitives.statements import MAX_CONSTANT, Instruction

ATTEMPTS = 64  # draws of a child before the parent itself is returned

NEW_CONSTANT = 0.2  # probability that an argument of any kind is a new constant
NEW_VARIABLE = 0.5  # probability that an inserted statement writes a new variable

# What the record calls the origin of a candidate where no mutation made it.
NOT_MUTATIONS = ("initial", "random", "constant", "none")

Mutate = Callable[[Program, "Space", np.random.Generator], Program | None]
Possible = Callable[[Program, "Space"], bool]


# --- the table ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutation:
    """A way to make a child, under its name."""

    name: str
    make: Mutate
    weight: float  # how often it is drawn, relative to the others, where a config says nothing
    possible: Possible  # whether it can be drawn at all for a program
    summary: str

    def child(self, program: Program, space: Space, rng: np.random.Generator) -> Program | None:
        """Draw a child that can be scored wherever its parent can.

        None where there was none this time. Raises `ConfigError` for one that is no program.
        """
        try:
            child = self.make(program, space, rng)
        except ProgramError:  # it was building a program that is not legal
            return None
        if child is None:
            return None
        if not isinstance(child, Program):
            shown = printable(repr(child), 60)
            raise ConfigError(f"the mutation {self.name!r} must return a Program or None: {shown}")
        if len(child.body) > max(space.max_statements, len(program.body)):
            return None
        return child if _is_for_the_tasks_of(program, child) else None


MUTATIONS: dict[str, Mutation] = {}
"""All mutations by name, in the order in which they were defined."""

plugins.TABLES.append(MUTATIONS)


def _always(program: Program, space: Space) -> bool:
    return True


def mutation(weight: float = 1.0, possible: Possible = _always) -> Callable[[Mutate], Mutate]:
    '''Enter the function below as a mutation, under its own name.

    It is given a program, the space and a generator, and returns a child, or None where it found
    none. All its random numbers come from that generator, and it asks nothing else: otherwise a run
    could not be repeated.

    weight: how often it is drawn, relative to the others, where a config says nothing. possible:
    whether it can be drawn at all for a program; one that is not leaves its share to the others.
    Raises `ValueError` for a weight that is none, or a name that is taken.

        @mutation(weight=0.5)
        def turn_around(program, space, rng):
            """Negate the update."""
            last = Instruction("turned", "negative", (program.output,))
            return replace(program, body=(*program.body, last), output="turned")
    '''
    if not (isinstance(weight, int | float) and 0.0 <= weight < float("inf")):
        raise ValueError(f"a mutation is drawn with a weight of 0 or more, not {weight!r}")

    def enter(make: Mutate) -> Mutate:
        name = getattr(make, "__name__", "")
        if name in MUTATIONS or name in NOT_MUTATIONS:
            raise ValueError(f"a mutation called {name!r} exists already")
        summary = (make.__doc__ or "").strip().split("\n")[0]
        MUTATIONS[name] = Mutation(name, make, float(weight), possible, summary)
        return make

    return enter


# --- drawing --------------------------------------------------------------------------------------

WITH_OWN_KEY = ("insert", "delete", "modify")
"""Mutations whose weight is a key of `search` itself, such as search.insert; the weights of all
others stand below search.mutations.
"""


def _weights() -> dict[str, float]:
    return {mutation.name: mutation.weight for mutation in MUTATIONS.values()}


@dataclass(frozen=True)
class Space:
    """What mutations may do, and how often each is drawn."""

    families: tuple[str, ...] = ("lion",)  # of primitives that are inserted
    max_statements: int = 24
    weights: Mapping[str, float] = field(default_factory=_weights)  # by name, in order

    @cached_property
    def mutations(self) -> tuple[tuple[Mutation, float], ...]:
        """The mutations that are drawn from, with their weights."""
        return tuple((MUTATIONS[name], weight) for name, weight in self.weights.items())


def space_of(settings: SearchSettings) -> Space:
    """Return the space that the settings of a search describe.

    Raises `ConfigError` for a mutation that nobody knows.
    """
    for name in settings.mutations:
        if name in WITH_OWN_KEY:
            raise ConfigError(f"search.mutations: the weight of {name!r} is search.{name}")
        if name not in MUTATIONS:
            others = [known for known in MUTATIONS if known not in WITH_OWN_KEY]
            hint = did_you_mean(name, others) or "Name the plug-in that brings it."
            raise ConfigError(f"search.mutations: no mutation is called {name!r}. {hint}")
    own = {name: getattr(settings, name) for name in WITH_OWN_KEY}
    # In the order of the names: plug-ins may be loaded in any order.
    return Space(
        tuple(settings.families),
        settings.max_statements,
        own | dict(sorted(settings.mutations.items())),
    )


def with_all_mutations(settings: SearchSettings) -> SearchSettings:
    """Return the settings with the weight of every mutation that was brought, written out."""
    brought = {n: weight for n, weight in _weights().items() if n not in WITH_OWN_KEY}
    return settings.model_copy(update={"mutations": brought | settings.mutations})


@dataclass(frozen=True)
class Child:
    """A program and the name of what made it."""

    program: Program
    mutation: str


def mutate(program: Program, space: Space, rng: np.random.Generator) -> Child:
    """Draw one legal child; the mutation is drawn by the weights of the space.

    Where all draws fail, the child is the program itself, by the mutation "none".
    """
    weights = [weight * m.possible(program, space) for m, weight in space.mutations]
    total = sum(weights)
    if total == 0.0:
        return Child(program, "none")
    edges = [edge / total for edge in itertools.accumulate(weights)]
    for _ in range(ATTEMPTS):
        drawn, _ = space.mutations[bisect.bisect_right(edges, rng.random())]
        child = drawn.child(program, space, rng)
        if child is not None:
            return Child(child, drawn.name)
    return Child(program, "none")


# --- the three of Lion ----------------------------------------------------------------------------


def _has_room(program: Program, space: Space) -> bool:
    return len(program.body) < space.max_statements


def _has_several(program: Program, space: Space) -> bool:
    return len(program.body) > 1


@per_registry
def _choices(families: tuple[str, ...]) -> tuple[Primitive, ...]:
    return tuple(p for p in PRIMITIVES.values() if p.family in families)


@mutation(possible=_has_room)
def insert(program: Program, space: Space, rng: np.random.Generator) -> Program | None:
    """Add a random statement at a random place.

        u = m * lr      →   c = sin(m)
                            u = m * lr

    None where no argument fits the drawn primitive.
    """
    line = int(rng.integers(len(program.body) + 1))
    kinds = program.kinds_before(line)
    options = _choices(space.families)
    primitive = options[rng.integers(len(options))]

    args = []
    for slot in primitive.slots:
        argument = _draw_argument(slot, kinds, rng)
        if argument is None:
            return None
        args.append(argument)
    given = [kinds[a] if isinstance(a, str) else SCALAR for a in args]
    result = primitive.kind(*given)
    if result is None:
        return None

    fixed = program.fixed
    targets = [n for n, k in kinds.items() if k is result and n not in fixed]
    reuse = targets and rng.random() >= NEW_VARIABLE
    target = targets[rng.integers(len(targets))] if reuse else _new_name(program)
    return _with_statements(program, line, line, Instruction(target, primitive.name, tuple(args)))


@mutation(possible=_has_several)
def delete(program: Program, space: Space, rng: np.random.Generator) -> Program | None:
    """Drop a random statement. None where another one needs its value."""
    line = int(rng.integers(len(program.body)))
    return _with_statements(program, line, line + 1)


@mutation()
def modify(program: Program, space: Space, rng: np.random.Generator) -> Program | None:
    """Change one argument of a random statement, or one hyperparameter.

        u = m * lr      →   u = g * lr
        c = x * 0.5     →   c = x * 0.41

    None where an argument has no alternative.
    """
    ends = list(itertools.accumulate([len(i.args) for i in program.body], initial=0))
    slots = ends[-1]
    if not slots and not program.hyperparameters:
        return None
    pick = int(rng.integers(slots + len(program.hyperparameters)))
    if pick >= slots:
        return with_scaled_hyperparameter(program, pick - slots, rng)

    line = bisect.bisect_right(ends, pick) - 1
    slot = pick - ends[line]
    instruction = program.body[line]
    old = instruction.args[slot]
    if isinstance(old, float) and rng.random() < 0.5:
        return with_scaled_literal(program, line, slot, rng)
    wanted = PRIMITIVES[instruction.op].slots_of(len(instruction.args))[slot]
    new = _draw_argument(wanted, program.kinds_before(line), rng)
    return None if new is None or new == old else _with_argument(program, line, slot, new)


# --- parts of them --------------------------------------------------------------------------------


def with_scaled_literal(
    program: Program, line: int, slot: int, rng: np.random.Generator
) -> Program | None:
    """Multiply a number that stands in a statement. None for 0, which stays 0."""
    old = float(program.body[line].args[slot])
    new = _scaled(old, _factor(rng))
    return None if new == old else _with_argument(program, line, slot, new)


def with_scaled_hyperparameter(
    program: Program, number: int, rng: np.random.Generator
) -> Program | None:
    """Multiply a hyperparameter, on its scale, by one factor in all uses of the program.

    None where it stays the same, or is not legal.
    """
    h, factor = program.hyperparameters[number], _factor(rng)
    before, near_one = (h.value, *h.tuned), h.scale == "log1m"
    after = tuple(
        1.0 - _scaled(1.0 - v, factor) if near_one else _scaled(v, factor) for v in before
    )
    if after == before or (near_one and max(after) >= 1.0):  # 1 - 2^-54 rounds to 1
        return None
    changed = replace(h, value=after[0], tuned=after[1:])
    others = list(program.hyperparameters)
    others[number] = changed
    try:
        return replace(program, hyperparameters=tuple(others))
    except ProgramError:
        return None


def _factor(rng: np.random.Generator) -> float:
    return 2.0 ** rng.standard_normal()


def _scaled(value: float, factor: float) -> float:
    return float(np.clip(value * factor, -MAX_CONSTANT, MAX_CONSTANT))


def _with_argument(program: Program, line: int, slot: int, argument: str | float) -> Program | None:
    old = program.body[line]
    args = (*old.args[:slot], argument, *old.args[slot + 1 :])
    return _with_statements(program, line, line + 1, Instruction(old.target, old.op, args))


def _with_statements(program: Program, first: int, last: int, *new: Instruction) -> Program | None:
    """Put other statements in place of those from the first line to the last, which is not one.

    None where the child is not legal, or not for the tasks of its parent.
    """
    try:
        child = program.with_statements(first, last, new)
    except ProgramError:
        return None
    return child if _is_for_the_tasks_of(program, child) else None


def _is_for_the_tasks_of(parent: Program, child: Program) -> bool:
    """Tell whether a child asks for nothing that the tasks of its parent may lack.

    They may lack inputs that its parent does without. And where nothing of its parent is for
    matrices alone, they may have leaves that are no matrices, for which the child has no rule.
    """
    if child.matrix_statement and not (parent.fallback or parent.matrix_statement):
        return False
    same = child.inputs == parent.inputs and child.fallback is parent.fallback
    return same or child.needs <= parent.needs


def _draw_argument(
    slot: Slot, kinds: Mapping[str, Kind], rng: np.random.Generator
) -> str | float | None:
    if takes(slot, SCALAR) and rng.random() < NEW_CONSTANT:
        return float(rng.standard_normal())
    names = [n for n, k in kinds.items() if takes(slot, k)]
    return names[rng.integers(len(names))] if names else None


def _new_name(program: Program) -> str:
    taken = {i.target for i in program.body}.union(
        program.entry_kinds, [s.name for s in program.states]
    )
    number = 0
    while f"v{number}" in taken:
        number += 1
    return f"v{number}"
