"""What a loaded program looks like: registers, opcodes, and tables of instructions of fixed shape.

There are two banks of registers, one of vectors (a number per parameter) and one of numbers that
hold for the whole model. `loading.py` writes the tables, `step.py` runs them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import jax
import numpy as np

from primitives.kinds import SCALAR
from primitives.registry import (
    ELEMENTWISE,
    MACHINE,
    MATRIX,
    MODEL,
    PRIMITIVES,
    Primitive,
    per_registry,
)

VECTORS = 32  # registers of [size]; 0 is w, 1 is g
NUMBERS = 96  # registers of []; 0 is lr, 1 is t, 2 is the loss
INSTRUCTIONS = 128  # of each of the two kinds
SEGMENTS = 16  # alternations between number and vector instructions
OPERANDS = 8

W, G = 0, 1
STATES = 2  # the first register of a state, or of a mask
LR, T, LOSS = 0, 1, 2
# What a vector register starts as: its fill, a copy of w, or 1 where the matrices are and 0
# elsewhere, which is MASK + the number of the rule for kernels.
FILL, COPY_W, MASK = 0, 1, 2


class DoesNotFit(Exception):
    """A program that the machine cannot hold; scoring then takes a slower reading."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Code:
    """A loaded program: arrays of fixed shape, whatever the program.

    To jax it is a tree of its arrays. The opcodes belong to its structure, so a loop that is given
    code with other opcodes than those it was compiled for is compiled again.
    """

    # int32[INSTRUCTIONS, OPERANDS + 2]: opcode, operands, result. What multiplies matrices has as
    # its last operand how many times it is applied to its own result.
    vectors: np.ndarray
    numbers: np.ndarray  # int32[INSTRUCTIONS, OPERANDS + 2]
    segments: np.ndarray  # int32[SEGMENTS, 4]: number instructions from, to; vector ones from, to
    segment_count: np.int32  # []
    states: np.int32  # []: vector registers that hold something before the first step
    fill: np.ndarray  # dtype[VECTORS]: initial value of each vector register
    starts: np.ndarray  # int32[VECTORS]: FILL, COPY_W, or MASK + the number of a rule for kernels
    constants: np.ndarray  # dtype[NUMBERS]
    learning_rate: np.floating  # dtype[]
    update: np.int32  # []: vector register that is subtracted from w
    evaluation: np.int32  # []: vector register at which the model is evaluated, -1 for w
    opcodes: Opcodes = field(metadata={"static": True})  # which its numbers are


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
    """Return the form of a fused call: its leaves in order."""
    return pattern if isinstance(pattern, str) else "".join(map(form_of, pattern[1:]))


# --- opcodes --------------------------------------------------------------------------------------

# The form of a call says where each operand lives: "vn" is a vector and a number.


def forms(primitive: Primitive) -> list[str]:
    """Return the forms in which the machine knows a primitive.

    For other mixtures, numbers are spread into vectors first. There is none for a primitive without
    arguments, which is a constant, or with more of them than an instruction has room for.
    """
    if not 0 < primitive.arity <= OPERANDS:
        return []
    if primitive.scope == ELEMENTWISE:
        if primitive.arity == 1:
            return ["v", "n"]
        if primitive.arity == 2:
            return ["vv", "vn", "nn"] if primitive.commutative else ["vv", "vn", "nv", "nn"]
        fixed = "".join("n" if slot is SCALAR else "v" for slot in primitive.slots)
        return sorted({fixed, "v" * primitive.arity, "n" * primitive.arity})
    fixed = "".join("n" if slot is SCALAR else "v" for slot in primitive.slots)
    if primitive.scope == MATRIX:  # which is long to compile
        return [fixed]
    return sorted({fixed, "v" * primitive.arity})


def _result_is_number(primitive: Primitive, form: str) -> bool:
    return "v" not in form or (primitive.scope == MODEL and primitive.result is SCALAR)


Call = str | tuple
"""What one instruction computes: a primitive, by its name; a pattern of `FUSED`; or "spread"."""


@dataclass(frozen=True, eq=False)
class Opcodes:
    """What the machine can do: the number of each call in each form, one table a bank.

    The tables are in the order of the numbers. Of two primitives, the one that registered first has
    the smaller number, so whoever registers late changes none of them.
    """

    vectors: dict[tuple[Call, str], int]  # whose result is a vector
    numbers: dict[tuple[Call, str], int]  # whose result is one number for the whole model


def opcodes() -> Opcodes:
    """Return the opcodes of all primitives that the machine knows.

    The same object as long as these are the same, so that what is compiled for it stays compiled.
    """
    return _opcodes_of(_known())


@per_registry
def _known() -> tuple[Primitive, ...]:
    # of those with a mirror, the graph writes the mirror instead
    return tuple(p for p in PRIMITIVES.values() if not p.mirror and MACHINE in p.readings)


@lru_cache(8)
def _opcodes_of(primitives: tuple[Primitive, ...]) -> Opcodes:
    vectors: dict[tuple[Call, str], int] = {("spread", "n"): 0}
    numbers: dict[tuple[Call, str], int] = {}
    for pattern in FUSED:
        vectors[pattern, form_of(pattern)] = len(vectors)
    for primitive in primitives:
        for form in forms(primitive):
            table = numbers if _result_is_number(primitive, form) else vectors
            table[primitive.name, form] = len(table)
    return Opcodes(vectors, numbers)
