"""Mutations: from one program to a child that differs in one statement or constant.

The three kinds of Lion: insert a statement, delete one, change one argument. A
new constant is a draw from N(0, 1); an existing one is multiplied by 2^a with
a ~ N(0, 1) (for a hyperparameter on the scale log1m, 1 - x is, so that a decay
of 0.99 stays a decay). Children that are not legal are drawn again.
Source: Chen et al. 2023, arXiv:2302.06675, section 2.2.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from primitives.errors import ProgramError
from primitives.kinds import SCALAR, Kind, Slot, takes
from primitives.program import LEARNING_RATE, MAX_CONSTANT, Hyperparameter, Instruction, Program
from primitives.registry import PRIMITIVES, Primitive

ATTEMPTS = 64  # draws of a child before the parent itself is returned

NEW_CONSTANT = 0.2  # probability that an argument of any kind is a new constant
NEW_VARIABLE = 0.5  # probability that an inserted statement writes a new variable


@dataclass(frozen=True)
class Space:
    """What mutations may do."""

    families: tuple[str, ...] = ("lion",)
    max_statements: int = 24
    insert: float = 1.0
    delete: float = 1.0
    modify: float = 1.0


@dataclass(frozen=True)
class Child:
    """A program and the name of the mutation that made it."""

    program: Program
    mutation: str


@cache
def _choices(families: tuple[str, ...]) -> tuple[Primitive, ...]:
    return tuple(p for p in PRIMITIVES.values() if p.family in families)


def mutate(program: Program, space: Space, rng: np.random.Generator) -> Child:
    """One legal child; the mutation is drawn by the weights of the space."""
    room = len(program.body) < space.max_statements
    weights = (space.insert * room, space.delete * (len(program.body) > 1), space.modify)
    total = sum(weights)
    if total == 0.0:
        return Child(program, "none")
    edges = [edge / total for edge in itertools.accumulate(weights)]
    for _ in range(ATTEMPTS):
        mutation = (insert, delete, modify)[bisect.bisect_right(edges, rng.random())]
        child = mutation(program, space, rng)
        if child is not None:
            return Child(child, mutation.__name__)
    return Child(program, "none")


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
    return _legal(program, line, line, Instruction(target, primitive.name, tuple(args)))


def delete(program: Program, space: Space, rng: np.random.Generator) -> Program | None:
    """Drop a random statement. None where another one needs its value."""
    line = int(rng.integers(len(program.body)))
    return _legal(program, line, line + 1)


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
        return _with_hyperparameter(program, pick - slots, rng)
    line = bisect.bisect_right(ends, pick) - 1
    slot = pick - ends[line]
    instruction = program.body[line]
    old = instruction.args[slot]
    if isinstance(old, float) and rng.random() < 0.5:
        new = _scaled(old, rng)
        if new == old:  # 0 stays 0
            return None
    else:
        wanted = PRIMITIVES[instruction.op].slots[slot]
        drawn = _draw_argument(wanted, program.kinds_before(line), rng)
        if drawn is None or drawn == old:
            return None
        new = drawn
    return _with_argument(program, line, slot, new)


def tweak(program: Program, rng: np.random.Generator) -> Child:
    """Change one constant, literal or hyperparameter, and nothing else: the `constants` control."""
    literals = [
        (line, slot)
        for line, i in enumerate(program.body)
        for slot, a in enumerate(i.args)
        if isinstance(a, float)
    ]
    for _ in range(ATTEMPTS if literals or program.hyperparameters else 0):
        pick = int(rng.integers(len(literals) + len(program.hyperparameters)))
        if pick >= len(literals):
            child = _with_hyperparameter(program, pick - len(literals), rng)
        else:
            line, slot = literals[pick]
            old = float(program.body[line].args[slot])
            new = _scaled(old, rng)
            child = None if new == old else _with_argument(program, line, slot, new)  # 0 stays 0
        if child is not None:
            return Child(child, "constant")
    return Child(program, "none")


def random_program(like: Program, space: Space, rng: np.random.Generator) -> Child:
    """A program of random statements with the state of `like`: the `random` control."""
    rate = Hyperparameter(LEARNING_RATE, float(10.0 ** rng.uniform(-4.0, 0.0)))
    program = Program(
        inputs=tuple(dict.fromkeys((*like.inputs, "g", "lr"))),
        body=(Instruction("update", "multiply", ("g", "lr")),),
        output="update",
        states=like.states,
        hyperparameters=(rate,),
        name="random",
    )
    for _ in range(int(rng.integers(1, space.max_statements))):
        program = insert(program, space, rng) or program
    return Child(program, "random")


def _legal(program: Program, first: int, last: int, *new: Instruction) -> Program | None:
    """The program with other statements from the first line to the last, without it.

    None where it is not legal, or where it needs matrices and its parent did not: its task may have
    leaves that it has no rule for.
    """
    try:
        child = program.with_statements(first, last, new)
    except ProgramError:
        return None
    ruled = program.fallback or program.matrix_statement
    return child if ruled or not child.matrix_statement else None


def _with_argument(program: Program, line: int, slot: int, argument: str | float) -> Program | None:
    old = program.body[line]
    args = (*old.args[:slot], argument, *old.args[slot + 1 :])
    return _legal(program, line, line + 1, Instruction(old.target, old.op, args))


def _draw_argument(
    slot: Slot, kinds: Mapping[str, Kind], rng: np.random.Generator
) -> str | float | None:
    if takes(slot, SCALAR) and rng.random() < NEW_CONSTANT:
        return float(rng.standard_normal())
    names = [n for n, k in kinds.items() if takes(slot, k)]
    return names[rng.integers(len(names))] if names else None


def _scaled(value: float, rng: np.random.Generator) -> float:
    scaled = value * 2.0 ** rng.standard_normal()
    return float(np.clip(scaled, -MAX_CONSTANT, MAX_CONSTANT))


def _with_hyperparameter(program: Program, number: int, rng: np.random.Generator) -> Program | None:
    h = program.hyperparameters[number]
    value = 1.0 - _scaled(1.0 - h.value, rng) if h.scale == "log1m" else _scaled(h.value, rng)
    if value == h.value or (h.scale == "log1m" and value >= 1.0):  # 1 - 2^-54 rounds to 1
        return None
    try:
        return program.with_values({h.name: value})
    except ProgramError:
        return None


def _new_name(program: Program) -> str:
    taken = {i.target for i in program.body}.union(
        program.entry_kinds, [s.name for s in program.states]
    )
    number = 0
    while f"v{number}" in taken:
        number += 1
    return f"v{number}"


Breeder = Callable[[Program, np.random.Generator], Child]
