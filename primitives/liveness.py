"""Liveness across steps: which statements and states can reach an update, now or in a later step.

Dead statements stay in the genome, as stepping stones for mutations, and never run.
"""

from __future__ import annotations

from dataclasses import replace

from primitives.program import LEARNING_RATE, Program


def live_statements(program: Program) -> tuple[frozenset[int], frozenset[str]]:
    """Numbers of the live statements and names of the live states."""
    state_names = {s.name for s in program.states}
    live_states: frozenset[str] = frozenset()
    while True:
        needed = {program.output, *live_states}  # at the end of the step
        alive = set()
        for number in range(len(program.body) - 1, -1, -1):
            instruction = program.body[number]
            if instruction.target in needed:
                needed.discard(instruction.target)
                alive.add(number)
                needed.update(a for a in instruction.args if isinstance(a, str))
        entering = frozenset(needed & state_names) | live_states
        if entering == live_states:
            return frozenset(alive), live_states
        live_states = entering


def prune(program: Program) -> Program:
    """The program without what is dead: statements, states, hyperparameters and inputs."""
    alive, states = live_statements(program)
    body = tuple(i for n, i in enumerate(program.body) if n in alive)
    read = {a for i in body for a in i.args if isinstance(a, str)} | {program.output}
    return replace(
        program,
        body=body,
        states=tuple(s for s in program.states if s.name in states),
        hyperparameters=tuple(h for h in program.hyperparameters if h.name in read or h.name == LEARNING_RATE),
        inputs=tuple(i for i in program.inputs if i in read),
    )
