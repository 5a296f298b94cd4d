"""Liveness across steps: which statements and states can reach an update, now or in a later step.

Dead statements stay in the genome, as stepping stones for mutations, and never run.
"""

from __future__ import annotations

from dataclasses import replace

from primitives.program import LEARNING_RATE, Instruction, Program


def live_statements(program: Program) -> tuple[frozenset[int], frozenset[str]]:
    """Numbers of the live statements of `step` and names of the live states (those of a fallback too)."""
    outputs = {program.output, program.evaluate_at} - {""}
    alive, live = _alive(program, program.body, outputs)
    if program.fallback is not None:
        other = program.fallback
        live |= _alive(program, other.body, {other.output, other.evaluate_at} - {""})[1]
    return alive, live


def _alive(program: Program, body: tuple[Instruction, ...], outputs: set[str]) -> tuple[frozenset[int], frozenset[str]]:
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
    alive, states = live_statements(program)
    body = tuple(i for n, i in enumerate(program.body) if n in alive)
    read = _read(body, program.output, program.evaluate_at)
    everywhere = read
    fallback = program.fallback
    if fallback is not None:
        alive = _alive(program, fallback.body, {fallback.output, fallback.evaluate_at} - {""})[0]
        other = tuple(i for n, i in enumerate(fallback.body) if n in alive)
        seen = _read(other, fallback.output, fallback.evaluate_at)
        fallback = replace(fallback, body=other, inputs=tuple(i for i in fallback.inputs if i in seen))
        everywhere = read | seen
    return replace(
        program,
        body=body,
        states=tuple(s for s in program.states if s.name in states),
        hyperparameters=tuple(h for h in program.hyperparameters if h.name in everywhere or h.name == LEARNING_RATE),
        inputs=tuple(i for i in program.inputs if i in read),
        fallback=fallback,
    )


def _read(body: tuple[Instruction, ...], *outputs: str) -> set[str]:
    """What a body reads or calls."""
    return {a for i in body for a in i.args if isinstance(a, str)} | {i.op for i in body} | set(outputs)
