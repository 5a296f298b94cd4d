"""Prologues: a program that changes the gradient before another one sees it, such as clipping."""

from __future__ import annotations

from dataclasses import replace

from primitives.errors import ProgramError
from primitives.program import Program
from primitives.registry import MODEL, PRIMITIVES
from primitives.statements import Fallback, Instruction


def with_prologue(prologue: Program, program: Program) -> Program:
    """Return the program whose gradient is what the prologue returns.

    It is one plain program, which can be printed and mutated.

    The first gradient of a state that starts at it is the changed one too.

    Raises `ProgramError` where the two do not fit, as a prologue with a fallback, or one that sees
    the whole model before a program that sees it in two groups.
    """
    if (
        prologue.fallback is not None
        or prologue.evaluate_at
        or prologue.matrix_statement is not None
    ):
        raise ProgramError(
            f"{prologue.name} cannot stand before another program",
            hint="A prologue changes g, on leaves of any shape.",
        )
    if program.fallback is not None and any(PRIMITIVES[i.op].scope == MODEL for i in prologue.body):
        raise ProgramError(
            f"{prologue.name} is of the whole model, and {program.name} sees it in two groups, "
            "matrices and other leaves",
            hint="Take a prologue of single leaves, or export the program and put the other before "
            "it with optax.chain.",
        )
    fixed = {*program.inputs, *prologue.inputs}
    taken = {"w", "g", "lr", "t", *_names(program)}
    called = {name: _fresh(name, taken) for name in _names(prologue) if name not in fixed}

    def renamed(name: str) -> str:
        return called.get(name, name)

    before = tuple(
        Instruction(
            renamed(i.target), i.op, tuple(renamed(a) if isinstance(a, str) else a for a in i.args)
        )
        for i in prologue.body
    )
    changed = renamed(prologue.output)
    firsts = [s.name for s in program.states if s.start == "g"]

    def joined(
        inputs: tuple[str, ...], body: tuple[Instruction, ...]
    ) -> tuple[tuple[str, ...], tuple[Instruction, ...]]:
        """Put the prologue before one body; return its inputs and statements."""
        read = {a for i in body for a in i.args} | {i.target for i in body}
        start = [s for s in firsts if s in read]
        first = _fresh("first_step", taken)
        begin = [Instruction(first, "equal", ("t", 1.0))] if start else []
        begin += [Instruction(s, "where", (first, changed, s)) for s in start]
        after = [replace(i, args=tuple(changed if a == "g" else a for a in i.args)) for i in body]
        more = ("t",) if start else ()
        return tuple(dict.fromkeys((*inputs, *prologue.inputs, *more))), (*before, *begin, *after)

    inputs, body = joined(program.inputs, program.body)
    fallback = program.fallback
    if fallback is not None:
        fallback = Fallback(
            *joined(fallback.inputs, fallback.body), fallback.output, fallback.evaluate_at
        )
    return replace(
        program,
        inputs=inputs,
        body=body,
        states=(
            *(replace(s, start=0.0) if s.start == "g" else s for s in program.states),
            *(replace(s, name=renamed(s.name)) for s in prologue.states),
        ),
        hyperparameters=(
            *program.hyperparameters,
            *(replace(h, name=renamed(h.name)) for h in prologue.hyperparameters),
        ),
        output=changed if program.output == "g" else program.output,
        evaluate_at=changed if program.evaluate_at == "g" else program.evaluate_at,
        fallback=fallback,
        doc=program.doc and f"{prologue.name}, then {program.doc}",
        name=f"{prologue.name}_{program.name}",
    )


def _names(program: Program) -> list[str]:
    """Return all names that a program gives."""
    bodies = [i.target for body in program.bodies for i in body]
    states = [name for s in program.states for name in (s.name, *s.slots)]
    return list(dict.fromkeys([*program.values, *states, *bodies]))


def _fresh(name: str, taken: set[str]) -> str:
    """Return the name, with an underscore or more where it is taken, and take it."""
    while name in taken:
        name += "_"
    taken.add(name)
    return name
