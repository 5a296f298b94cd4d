"""The controls: two searches that an evolution should beat, with the same budget and scores.

`constants` changes no structure, `random` selects nothing.
"""

from __future__ import annotations

import numpy as np

from evolve.search.mutation import (
    ATTEMPTS,
    Child,
    Space,
    insert,
    with_scaled_hyperparameter,
    with_scaled_literal,
)
from primitives.program import Program
from primitives.statements import LEARNING_RATE, Hyperparameter, Instruction


def tweak(program: Program, rng: np.random.Generator) -> Child:
    """Change one constant, literal or hyperparameter, and nothing else: the `constants` control.

    Where all draws fail, the child is the program itself, by the mutation "none".
    """
    literals = [
        (line, slot)
        for line, i in enumerate(program.body)
        for slot, a in enumerate(i.args)
        if isinstance(a, float)
    ]
    for _ in range(ATTEMPTS if literals or program.hyperparameters else 0):
        pick = int(rng.integers(len(literals) + len(program.hyperparameters)))
        if pick < len(literals):
            child = with_scaled_literal(program, *literals[pick], rng)
        else:
            child = with_scaled_hyperparameter(program, pick - len(literals), rng)
        if child is not None:
            return Child(child, "constant")
    return Child(program, "none")


def random_program(like: Program, space: Space, rng: np.random.Generator) -> Child:
    """Draw a program of random statements with the state of `like`: the `random` control."""
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
