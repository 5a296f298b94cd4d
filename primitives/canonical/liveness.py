"""Liveness across steps: which statements and states can reach an update, now or in a later step.

Dead statements stay in the genome, as stepping stones for mutations, and never run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Any, TypeVar

from primitives.program import Program
from primitives.registry import PRIMITIVES, WINDOW
from primitives.statements import LEARNING_RATE, Fallback, Instruction

Place = TypeVar("Place", bound=Hashable)


def reached(roots: Iterable[Place], needs: Callable[[Place], Iterable[Place]]) -> set[Place]:
    """Return everything that some roots need, directly or through others, and the roots."""
    found: set[Place] = set()
    waiting = list(roots)
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            waiting.extend(needs(place))
    return found


def live_statements(program: Program) -> tuple[frozenset[int], frozenset[str]]:
    """Return the numbers of the live statements of `step`, and the names of the live states (those
    of a fallback too).
    """
    alive, states = _alive(program, program)
    if program.fallback is not None:
        states |= _alive(program, program.fallback)[1]
    return alive, states


def _alive(program: Program, function: Program | Fallback) -> tuple[frozenset[int], frozenset[str]]:
    """Return the live statements and states of one of the two bodies of a program."""
    state_of = {slot: s.name for s in program.states for slot in s.slots}
    wrote: dict[str, int] = {}  # the last statement so far that assigned a name
    # Of each statement: the statements that made its arguments, or names as they were before the
    # step
    reads: list[list[int | str]] = []
    for number, instruction in enumerate(function.body):
        args = [a for a in instruction.args if isinstance(a, str)]
        if PRIMITIVES[instruction.op].scope == WINDOW:
            args += [slot for a in args if a in program.rings for slot in program.rings[a].slots]
        reads.append([wrote.get(a, a) for a in args])
        wrote[instruction.target] = number

    def needs(place: int | str) -> list[int | str]:
        if isinstance(place, int):
            return reads[place]
        state = state_of.get(place)  # it holds what the step before assigned to the state's name
        return [] if state is None else [wrote.get(state, state)]

    returned = [name for name in (function.output, function.evaluate_at) if name]
    found = reached([wrote.get(name, name) for name in returned], needs)
    return (
        frozenset(place for place in found if isinstance(place, int)),
        frozenset(state_of[place] for place in found if place in state_of),
    )


def prune(program: Program) -> Program:
    """Return the program without what is dead: statements, states, hyperparameters and inputs."""
    alive, live = _alive(program, program)
    fallback = program.fallback
    if fallback is None:
        states = live
        main, read = _pruned(program, program, alive, frozenset())
    else:
        others_alive, others_live = _alive(program, fallback)
        states = live | others_live
        main, read = _pruned(program, program, alive, states - live)
        other, seen = _pruned(program, fallback, others_alive, states - others_live)
        fallback, read = replace(fallback, **other), read | seen

    return replace(
        program,
        **main,
        states=tuple(s for s in program.states if s.name in states),
        hyperparameters=tuple(
            h for h in program.hyperparameters if h.name in read or h.name == LEARNING_RATE
        ),
        fallback=fallback,
    )


def _pruned(
    program: Program, function: Program | Fallback, alive: frozenset[int], foreign: frozenset[str]
) -> tuple[dict[str, Any], set[str]]:
    """Return what is left of one body, and what it reads or calls.

    foreign: the states that only the other body needs; they may have lent their names to passing
    values here, which get others.
    """
    taken = {*program.entry_kinds, *(i.target for body in program.bodies for i in body)}
    free = (name for name in (f"kept{n}" for n in itertools.count(1)) if name not in taken)
    new = dict(zip(sorted(foreign), free, strict=False))
    body = tuple(
        Instruction(
            new.get(i.target, i.target),
            i.op,
            tuple(new.get(a, a) if isinstance(a, str) else a for a in i.args),
        )
        for n, i in enumerate(function.body)
        if n in alive
    )

    output, point = (new.get(name, name) for name in (function.output, function.evaluate_at))
    read = (
        {a for i in body for a in i.args if isinstance(a, str)}
        | {i.op for i in body}
        | {output, point}
    )
    inputs = tuple(i for i in function.inputs if i in read)
    return {"inputs": inputs, "body": body, "output": output, "evaluate_at": point}, read
