"""What a loaded program looks like: registers, opcodes, and tables of instructions of fixed shape.

There are two banks of registers, one of vectors (a number per parameter) and one of numbers that
hold for the whole model. `loading.py` writes the tables, `machine.py` runs them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from primitives.kinds import SCALAR
from primitives.registry import ELEMENTWISE, MACHINE, MODEL, PRIMITIVES, Primitive

VECTORS = 32  # registers of [size]; 0 is w, 1 is g
NUMBERS = 96  # registers of []; 0 is lr, 1 is t, 2 is the loss
INSTRUCTIONS = 128  # of each of the two kinds
SEGMENTS = 16  # alternations between number and vector instructions
OPERANDS = 8

W, G = 0, 1
STATES = 2  # the first register of a state, or of a mask
LR, T, LOSS = 0, 1, 2
FILL, COPY_W, MASK = (
    0,
    1,
    2,
)  # what a vector register starts as; a mask of a rule for kernels is MASK + its number


class DoesNotFit(Exception):
    """A program that is too large for the machine's banks; the compiled path takes it."""


class Code(NamedTuple):
    """A loaded program: arrays of fixed shape, whatever the program."""

    vectors: np.ndarray  # int32[INSTRUCTIONS, OPERANDS + 2]: opcode, operands, result
    numbers: np.ndarray  # int32[INSTRUCTIONS, OPERANDS + 2]
    segments: (
        np.ndarray
    )  # int32[SEGMENTS, 4]: number instructions from, to; vector instructions from, to
    segment_count: np.ndarray  # int32[]
    states: np.ndarray  # int32[]: vector registers that hold something before the first step
    fill: np.ndarray  # dtype[VECTORS]: initial value of each vector register
    starts: (
        np.ndarray
    )  # int32[VECTORS]: 0 the fill, 1 a copy of w, 2... where the matrices are, by a rule
    constants: np.ndarray  # dtype[NUMBERS]
    learning_rate: np.ndarray  # dtype[]
    update: np.ndarray  # int32[]: vector register that is subtracted from w
    evaluation: np.ndarray  # int32[]: vector register at which the model is evaluated, -1 for w


# --- fused calls ----------------------------------------------------------------------------------
# An instruction reads its operands and writes its result once, whatever it computes between. Calls
# that often feed each other (counted in the known optimizers and in 1,500 mutants) are one
# instruction where nobody else needs what lies between: the 11 vector instructions of AdamW become
# 3.

ADAM = ("divide", ("divide", "v", "n"), ("add", ("sqrt", ("divide", "v", "n")), "n"))
"""The direction of Adam from its two averages: where most searches start."""

FUSED: tuple[tuple, ...] = (
    ("interp", ("square", "v"), "v", "n"),
    ("sign", ("interp", "v", "v", "n")),
    ("add", ("multiply", "v", "n"), "v"),
    ("multiply", ("add", "v", "v"), "n"),
    ("multiply", ("add", ("multiply", "v", "n"), "v"), "n"),
    ("sqrt", ("divide", "v", "n")),
    ("add", ("sqrt", "v"), "n"),
    ("add", ("sqrt", ("divide", "v", "n")), "n"),
    ("divide", ("divide", "v", "n"), "v"),
    ADAM,
    ("multiply", ("add", ("multiply", "v", "n"), ADAM), "n"),
    ("divide", "v", ("add", "v", "n")),
    ("divide", "v", ("sqrt", "v")),
    ("multiply", ("divide", "v", "v"), "n"),
)
"""Calls of calls. A leaf is "v" for a vector, "n" for a number."""


def form_of(pattern: tuple | str) -> str:
    """The form of a fused call: its leaves in order."""
    return pattern if isinstance(pattern, str) else "".join(map(form_of, pattern[1:]))


# --- opcodes --------------------------------------------------------------------------------------
# The form of a call says where each operand lives: "vn" is a vector and a number.


def forms(primitive: Primitive) -> list[str]:
    """The forms in which the machine knows a primitive; other mixtures spread numbers into vectors
    first.
    """
    if primitive.arity == 0:
        return []
    if primitive.scope == ELEMENTWISE:
        if primitive.arity == 1:
            return ["v", "n"]
        if primitive.arity == 2:
            return ["vv", "vn", "nn"] if primitive.commutative else ["vv", "vn", "nv", "nn"]
        fixed = "".join("n" if slot is SCALAR else "v" for slot in primitive.slots)
        return sorted({fixed, "v" * primitive.arity, "n" * primitive.arity})
    fixed = "".join("n" if slot is SCALAR else "v" for slot in primitive.slots)
    return sorted({fixed, "v" * primitive.arity})


def _result_is_number(primitive: Primitive, form: str) -> bool:
    return "v" not in form or (primitive.scope == MODEL and primitive.result is SCALAR)


def _tables() -> tuple[dict, dict]:
    vectors: dict[tuple[str | tuple, str], int] = {("spread", "n"): 0}
    numbers: dict[tuple[str | tuple, str], int] = {}
    for primitive in PRIMITIVES.values():
        if (
            primitive.mirror or MACHINE not in primitive.readings
        ):  # the graph writes the mirror instead
            continue
        for form in forms(primitive):
            table = numbers if _result_is_number(primitive, form) else vectors
            table[primitive.name, form] = len(table)
    for pattern in FUSED:
        vectors[pattern, form_of(pattern)] = len(vectors)
    return vectors, numbers


VECTOR_OPCODES, NUMBER_OPCODES = _tables()
