"""Mutations: from one program to a child that differs in one statement or constant.

The three kinds of Lion: insert a statement, delete one, change one argument. A
new constant is a draw from N(0, 1); an existing one is multiplied by 2^a with
a ~ N(0, 1) (for a hyperparameter on the scale log1m, 1 - x is, so that a decay
of 0.99 stays a decay). Children that are not legal are drawn again.
Source: Chen et al. 2023, arXiv:2302.06675, section 2.2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
    weights = np.array([space.insert * room, space.delete * (len(program.body) > 1), space.modify], float)
    if weights.sum() == 0.0:
        return Child(program, "none")
    edges = np.cumsum(weights) / weights.sum()
    for _ in range(ATTEMPTS):
        kind = int(np.searchsorted(edges, rng.random(), side="right"))
        child = (insert, delete, modify)[kind](program, space, rng)
        if child is not None:
            return Child(child, ("insert", "delete", "modify")[kind])
    return Child(program, "none")


def insert(program: Program, space: Space, rng: np.random.Generator) -> Program | None:
    """Add a random statement at a random place.

        u = m * lr      →   c = sin(m)
                            u = m * lr

    None where no argument fits the drawn primitive.
    """
    line = int(rng.integers(len(program.body) + 1))
    kinds = _kinds_before(program, line)
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
    fixed = {*program.values, *(slot for s in program.states if s.ring for slot in s.slots)}
    targets = [n for n, k in kinds.items() if k is result and n not in fixed]
    reuse = targets and rng.random() >= NEW_VARIABLE
    target = targets[rng.integers(len(targets))] if reuse else _new_name(program)
    body = (*program.body[:line], Instruction(target, primitive.name, tuple(args)), *program.body[line:])
    return _legal(program, body=body)


def delete(program: Program, space: Space, rng: np.random.Generator) -> Program | None:
    """Drop a random statement. None where another one needs its value."""
    line = int(rng.integers(len(program.body)))
    return _legal(program, body=program.body[:line] + program.body[line + 1 :])


def modify(program: Program, space: Space, rng: np.random.Generator) -> Program | None:
    """Change one argument of a random statement, or one hyperparameter.

        u = m * lr      →   u = g * lr
        c = x * 0.5     →   c = x * 0.41

    None where an argument has no alternative.
    """
    slots = [(line, slot) for line, i in enumerate(program.body) for slot in range(len(i.args))]
    if not slots and not program.hyperparameters:
        return None
    pick = int(rng.integers(len(slots) + len(program.hyperparameters)))
    if pick >= len(slots):
        return _with_hyperparameter(program, pick - len(slots), rng)
    line, slot = slots[pick]
    instruction = program.body[line]
    old = instruction.args[slot]
    if isinstance(old, float) and rng.random() < 0.5:
        new = _scaled(old, rng)
        if new == old:  # 0 stays 0
            return None
    else:
        kinds = _kinds_before(program, line)
        wanted = PRIMITIVES[instruction.op].slots[slot]
        drawn = _draw_argument(wanted, kinds, rng)
        if drawn is None or drawn == old:
            return None
        new = drawn
    args = (*instruction.args[:slot], new, *instruction.args[slot + 1 :])
    body = (*program.body[:line], replace(instruction, args=args), *program.body[line + 1 :])
    return _legal(program, body=body)


def tweak(program: Program, rng: np.random.Generator) -> Child:
    """Change one constant, literal or hyperparameter, and nothing else: the `constants` control."""
    literals = [
        (line, slot) for line, i in enumerate(program.body) for slot, a in enumerate(i.args) if isinstance(a, float)
    ]
    for _ in range(ATTEMPTS if literals or program.hyperparameters else 0):
        pick = int(rng.integers(len(literals) + len(program.hyperparameters)))
        if pick >= len(literals):
            child = _with_hyperparameter(program, pick - len(literals), rng)
        else:
            line, slot = literals[pick]
            instruction = program.body[line]
            args = list(instruction.args)
            args[slot] = _scaled(args[slot], rng)
            changed = replace(instruction, args=tuple(args))
            body = (*program.body[:line], changed, *program.body[line + 1 :])
            child = None if changed == instruction else _legal(program, body=body)  # 0 stays 0
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


def _legal(program: Program, **changes) -> Program | None:
    """The changed program; None where it is none, or where it needs matrices and its parent did not: its task may
    have leaves that it has no rule for."""
    try:
        child = replace(program, **changes)
    except ProgramError:
        return None
    unruled = child.matrix_statement and not child.fallback and not program.matrix_statement
    return None if unruled else child


def _kinds_before(program: Program, line: int) -> dict[str, Kind]:
    kinds = program.entry_kinds
    for instruction, kind in zip(program.body[:line], program.kinds, strict=False):
        kinds[instruction.target] = kind
    return kinds


def _draw_argument(slot: Slot, kinds: dict[str, Kind], rng: np.random.Generator) -> str | float | None:
    if takes(slot, SCALAR) and rng.random() < NEW_CONSTANT:
        return float(rng.standard_normal())
    names: Sequence[str] = [n for n, k in kinds.items() if takes(slot, k)]
    return names[rng.integers(len(names))] if names else None


def _scaled(value: float, rng: np.random.Generator) -> float:
    scaled = value * 2.0 ** rng.standard_normal()
    return float(np.clip(scaled, -MAX_CONSTANT, MAX_CONSTANT))


def _with_hyperparameter(program: Program, number: int, rng: np.random.Generator) -> Program | None:
    h = program.hyperparameters[number]
    value = 1.0 - _scaled(1.0 - h.value, rng) if h.scale == "log1m" else _scaled(h.value, rng)
    if value == h.value or (h.scale == "log1m" and value >= 1.0):  # 1 - 2^-54 rounds to 1
        return None
    changed = list(program.hyperparameters)
    changed[number] = replace(h, value=float(value))
    return _legal(program, hyperparameters=tuple(changed))


def _new_name(program: Program) -> str:
    taken = {i.target for i in program.body} | set(program.entry_kinds) | {s.name for s in program.states}
    number = 0
    while f"v{number}" in taken:
        number += 1
    return f"v{number}"


Breeder = Callable[[Program, np.random.Generator], Child]
