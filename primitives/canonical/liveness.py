"""Liveness across steps: which statements and states can reach an update, now or in a later step.

Dead statements stay in the genome, as stepping stones for mutations, and never run.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from primitives.program import Program
from primitives.statements import LEARNING_RATE, Fallback, Instruction


def live_statements(program: Program) -> tuple[frozenset[int], frozenset[str]]:
    """Numbers of the live statements of `step` and names of the live states (those of a fallback
    too).
    """
    alive, live = _alive(program, program)
    if program.fallback is not None:
        live |= _alive(program, program.fallback)[1]
    return alive, live


def _alive(program: Program, function: Program | Fallback) -> tuple[frozenset[int], frozenset[str]]:
    """Of one of the two bodies of a program."""
    state_of = {slot: s.name for s in program.states for slot in s.slots}
    wrote: dict[str, int] = {}  # the last statement so far that assigned a name
    # Of each statement: the statements that made its arguments, or names as they were before the
    # step
    reads = []
    for number, instruction in enumerate(function.body):
        reads.append(list(map(wrote.get, instruction.args, instruction.args)))
        wrote[instruction.target] = number
    alive: set[int] = set()
    live: set[str] = set()
    needed = [wrote.get(name, name) for name in (function.output, function.evaluate_at)]
    while needed:
        at = needed.pop()
        if isinstance(at, int):
            if at not in alive:
                alive.add(at)
                needed += reads[at]
        elif at in state_of and state_of[at] not in live:
            live.add(state_of[at])
            needed.append(wrote.get(state_of[at], state_of[at]))
    return frozenset(alive), frozenset(live)


def prune(program: Program) -> Program:
    """The program without what is dead: statements, states, hyperparameters and inputs."""
    states = live_statements(program)[1]
    main, read = _pruned(program, program, states)
    fallback, everywhere = program.fallback, read
    if fallback is not None:
        other, seen = _pruned(program, fallback, states)
        fallback, everywhere = replace(fallback, **other), read | seen
    return replace(
        program,
        **main,
        states=tuple(s for s in program.states if s.name in states),
        hyperparameters=tuple(
            h for h in program.hyperparameters if h.name in everywhere or h.name == LEARNING_RATE
        ),
        fallback=fallback,
    )


def _pruned(
    program: Program, function: Program | Fallback, states: frozenset[str]
) -> tuple[dict, set[str]]:
    """What is left of one body when these states stay, and what it reads or calls."""
    alive, live = _alive(program, function)
    # a state that only the other body needs may have lent its name to a passing value here
    taken = {*program.entry_kinds, *(i.target for body in program.bodies for i in body)}
    free = (name for name in (f"kept{n}" for n in itertools.count(1)) if name not in taken)
    new = dict(zip(sorted(states - live), free, strict=False))
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
