"""Liveness across steps: which statements and states can reach an update, now or in a later step.

Dead statements stay in the genome, as stepping stones for mutations, and never run.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from primitives.program import LEARNING_RATE, Fallback, Instruction, Program


def live_statements(program: Program) -> tuple[frozenset[int], frozenset[str]]:
    """Numbers of the live statements of `step` and names of the live states (those of a fallback too)."""
    alive, live = _alive(program, program)
    if program.fallback is not None:
        live |= _alive(program, program.fallback)[1]
    return alive, live


def _alive(program: Program, function: Program | Fallback) -> tuple[frozenset[int], frozenset[str]]:
    """Of one of the two bodies of a program."""
    body, outputs = function.body, {function.output, function.evaluate_at} - {""}
    state_of = {slot: s.name for s in program.states for slot in s.slots}
    live: frozenset[str] = frozenset()
    while True:
        needed = {*outputs, *live}  # at the end of the step
        alive = set()
        for number in range(len(body) - 1, -1, -1):
            instruction = body[number]
            if instruction.target in needed:
                needed.discard(instruction.target)
                alive.add(number)
                needed.update(a for a in instruction.args if isinstance(a, str))
        entering = frozenset(state_of[name] for name in needed if name in state_of) | live
        if entering == live:
            return frozenset(alive), live
        live = entering


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
        hyperparameters=tuple(h for h in program.hyperparameters if h.name in everywhere or h.name == LEARNING_RATE),
        fallback=fallback,
    )


def _pruned(program: Program, function: Program | Fallback, states: frozenset[str]) -> tuple[dict, set[str]]:
    """What is left of one body when these states stay, and what it reads or calls."""
    alive, live = _alive(program, function)
    # a state that only the other body needs may have lent its name to a passing value here
    taken = {*program.entry_kinds, *(i.target for body in program.bodies for i in body)}
    free = (name for name in (f"kept{n}" for n in itertools.count(1)) if name not in taken)
    new = dict(zip(sorted(states - live), free, strict=False))
    body = tuple(
        Instruction(
            new.get(i.target, i.target), i.op, tuple(new.get(a, a) if isinstance(a, str) else a for a in i.args)
        )
        for n, i in enumerate(function.body)
        if n in alive
    )
    output, point = (new.get(name, name) for name in (function.output, function.evaluate_at))
    read = {a for i in body for a in i.args if isinstance(a, str)} | {i.op for i in body} | {output, point}
    inputs = tuple(i for i in function.inputs if i in read)
    return {"inputs": inputs, "body": body, "output": output, "evaluate_at": point}, read
