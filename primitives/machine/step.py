"""The machine: a program as data, executed inside one training loop that is compiled once.

A program is loaded as tables of instructions over two banks of registers, one
of vectors (a number per parameter) and one of numbers that hold for the whole
model. The loop over the instructions is compiled once per task; a new program
costs no compilation.

Two things make it fast (measured, see DECISIONS.md): a branch reads its
registers itself and returns only its result, which is written outside; and
numbers of the whole model (constants, lr, 1 - beta^t) never become vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from primitives.machine.code import (
    COPY_W,
    LR,
    MASK,
    NUMBERS,
    OPERANDS,
    STATES,
    VECTORS,
    Call,
    Code,
    DoesNotFit,
    G,
    Opcodes,
    W,
)
from primitives.machine.layout import Layout
from primitives.machine.loading import load
from primitives.registry import MATRIX, PRIMITIVES
from primitives.statements import KERNELS

__all__ = [
    "NUMBERS",
    "VECTORS",
    "Bank",
    "Code",
    "DoesNotFit",
    "load",
    "point",
    "restart",
    "start",
    "step",
]


class Bank(NamedTuple):
    """The parameters and the registers while a program runs.

    The parameters have a buffer of their own: were they read from register 0, XLA would copy the
    whole bank in every step, because the gradient still reads it while it is being overwritten.
    """

    w: jax.Array  # dtype[size]
    vectors: jax.Array  # dtype[VECTORS, size]
    numbers: jax.Array  # dtype[NUMBERS]


def start(code: Code, layout: Layout, w: Float[Array, " size"]) -> Bank:
    """Return the registers before the first step."""
    blank = Bank(w, jnp.zeros((VECTORS, layout.size), w.dtype), jnp.zeros(NUMBERS, w.dtype))
    return restart(code, layout, w, blank, True)


def restart(code: Code, layout: Layout, w: Float[Array, " size"], bank: Bank, fresh: Any) -> Bank:
    """Return the registers before the first step, in the memory of a bank that was used before.

    fresh: bool[]; where it is false, the bank stays as it is.
    """
    code = jax.tree.map(jnp.asarray, code)
    masks = [jnp.asarray(layout.mask(rule), w.dtype) for rule in KERNELS]

    def fill(register, vectors):  # what holds no state is written before it is read
        row = jnp.where(code.starts[register] == COPY_W, w, code.fill[register])
        for number, mask in enumerate(masks):
            row = jnp.where(code.starts[register] == MASK + number, mask, row)
        return jax.lax.dynamic_update_index_in_dim(vectors, row, register, 0)

    vectors = jax.lax.fori_loop(
        STATES, jnp.where(fresh, STATES + code.states, STATES), fill, bank.vectors
    )
    return Bank(
        jnp.where(fresh, w, bank.w), vectors, jnp.where(fresh, code.constants, bank.numbers)
    )


def step(
    code: Code,
    layout: Layout,
    bank: Bank,
    gradient: Any,
    shape: jax.Array,
    t: jax.Array,
    loss: Any = 0.0,
) -> Bank:
    """Take one step of whatever program is loaded: w becomes w - update.

    gradient: the tree of the layout, or dtype[size]; shape: dtype[], the schedule at this step,
    peak 1; t: dtype[], from 1; loss: dtype[], this step's loss at w.
    """
    code = jax.tree.map(jnp.asarray, code)

    # Leaf by leaf: XLA writes each in place; a concatenation of them it writes number by number,
    # twenty times slower.
    vectors = jax.lax.dynamic_update_slice(bank.vectors, bank.w[None], (W, 0))
    at = 0
    for leaf in jax.tree.leaves(gradient):
        vectors = jax.lax.dynamic_update_slice(vectors, leaf.reshape(1, -1), (G, at))
        at += leaf.size
    said = jnp.stack(
        [jnp.asarray(x, bank.numbers.dtype) for x in (shape * code.learning_rate, t, loss)]
    )
    numbers = jax.lax.dynamic_update_slice(bank.numbers, said, (LR,))
    vector_branches, number_branches = _branches(code.opcodes, layout)

    def segment(k, banks):
        bounds = code.segments[k]

        def number_instruction(i, numbers, vectors=banks[0]):
            row = code.numbers[i]
            result = jax.lax.switch(row[0], number_branches, vectors, numbers, row)
            return numbers.at[row[-1]].set(result)

        numbers = jax.lax.fori_loop(bounds[0], bounds[1], number_instruction, banks[1])

        def vector_instruction(i, vectors):
            row = code.vectors[i]
            result = jax.lax.switch(row[0], vector_branches, vectors, numbers, row)
            return jax.lax.dynamic_update_index_in_dim(vectors, result, row[-1], 0)

        vectors = jax.lax.fori_loop(bounds[2], bounds[3], vector_instruction, banks[0])
        return vectors, numbers

    vectors, numbers = jax.lax.fori_loop(0, code.segment_count, segment, (vectors, numbers))
    update = jax.lax.dynamic_index_in_dim(vectors, code.update, 0, keepdims=False)
    return Bank(bank.w - update, vectors, numbers)


def point(code: Code, bank: Bank) -> Float[Array, " size"]:
    """Return where the model is evaluated after a step: w unless the program says otherwise."""
    said = jax.lax.dynamic_index_in_dim(
        bank.vectors, jnp.maximum(code.evaluation, 0), 0, keepdims=False
    )
    return jnp.where(jnp.asarray(code.evaluation) < 0, bank.w, said)


def _branches(opcodes: Opcodes, layout: Layout) -> tuple[list[Callable], list[Callable]]:
    """Make one branch per opcode, in order: it reads its own operands and returns its result."""

    def read(form: str, vectors, numbers, row):
        for slot, bank in enumerate(form):
            source = vectors if bank == "v" else numbers
            yield jax.lax.dynamic_index_in_dim(source, row[1 + slot], 0, keepdims=False)

    def branch(name: Call, form: str, wide: bool) -> Callable:
        def call(vectors, numbers, row):
            args = tuple(read(form, vectors, numbers, row))
            if name == "spread":
                result = args[0]
            elif name in PRIMITIVES and PRIMITIVES[name].scope == MATRIX:
                result = layout.apply(PRIMITIVES[name], jnp, *args, times=row[OPERANDS])
            else:
                result = _apply(name, layout, iter(args))
            return jnp.broadcast_to(result, (layout.size,) if wide else ()).astype(vectors.dtype)

        return call

    return (
        [branch(name, form, True) for name, form in opcodes.vectors],
        [branch(name, form, False) for name, form in opcodes.numbers],
    )


def _apply(call: Call, layout: Layout, args: Iterator[jax.Array]) -> jax.Array:
    """Apply a primitive, or a pattern of calls, to as many of the arguments as it has leaves."""
    if isinstance(call, str):
        return layout.apply(PRIMITIVES[call], jnp, *args)
    parts = [
        next(args) if isinstance(part, str) else _apply(part, layout, args) for part in call[1:]
    ]
    return layout.apply(PRIMITIVES[call[0]], jnp, *parts)
