"""Calls compiled one by one: how programs run that the machine cannot hold.

A call is compiled for the kinds of its arguments, once for all programs, and a
step makes one call after the other from Python. Compiling a program whole would
make each step a little faster, and the first one a hundred to a thousand times
slower (measured, see DECISIONS.md).

A value is one array, whatever its kind, because what a call costs beside its
arithmetic grows with the number of arrays: its leaves one after the other. A
scalar is a number for each leaf, or one number for all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from primitives.kinds import SCALAR, TENSOR, Kind
from primitives.machine.layout import Layout
from primitives.program import Program
from primitives.registry import ELEMENTWISE, MODEL, ORACLE, PRIMITIVES, Primitive
from primitives.statements import IDENTITY
from primitives.views import Shape, as_matrix

ASKED = "the batch"  # the name of what oracles are asked about; no variable has it


class Call(NamedTuple):
    """One statement, ready to be made on an environment of values by name."""

    function: Callable[..., jax.Array]
    arguments: tuple[str, ...]
    target: str
    last: tuple[str, ...]  # what nobody reads afterwards


class Flat:
    """The values of a part of a program beside some leaves, and the calls on them."""

    def __init__(self, shapes: Sequence[Shape]):
        """shapes: of the leaves, as the part sees them."""
        self.shapes = tuple(shapes)
        self.call = functools.cache(self._call)

    def extents(self, kind: Kind) -> list[Shape]:
        """Return the shape that a value of some kind has beside each leaf."""
        if kind is SCALAR or kind is TENSOR:
            return [() if kind is SCALAR else shape for shape in self.shapes]
        found = []
        for shape in self.shapes:
            rows, columns = as_matrix(shape)
            extent = {"1": 1, "r": rows, "c": columns}
            found.append((extent[kind.axes[0]], extent[kind.axes[1]]))
        return found

    def size(self, kind: Kind) -> int:
        """Return how many numbers a value of some kind has."""
        return Layout(tuple(self.extents(kind))).size

    def split(self, kind: Kind, value: jax.Array) -> tuple[jax.Array, ...]:
        """Cut a value into leaves."""
        if value.ndim == 0:
            return (value,) * len(self.shapes)
        return tuple(Layout(tuple(self.extents(kind))).split(value))

    def join(self, kind: Kind, leaves: Sequence[jax.Array]) -> jax.Array:
        """Make one value of its leaves: the inverse of `split`."""
        # Each leaf is written in place; a concatenation XLA writes number by number, twenty times
        # slower.
        value, at = jnp.zeros(self.size(kind), leaves[0].dtype if leaves else jnp.float32), 0
        for leaf in leaves:
            value = jax.lax.dynamic_update_slice(value, leaf.reshape(-1), (at,))
            at += leaf.size
        return value

    def start(self, part: Program, w: jax.Array) -> dict[str, jax.Array]:
        """Return constants and states by name before the first step.

        A state that starts at the first gradient is 0 here.
        """
        values = {
            name: jnp.asarray(number, w.dtype)
            for name, number in (part.values | _literals(part)).items()
        }
        for state in part.states:
            if state.start == "w":
                values[state.name] = w
            elif state.start == IDENTITY:
                squares = [
                    np.eye(rows, dtype=w.dtype).ravel() for rows, _ in self.extents(state.kind)
                ]
                values[state.name] = jnp.asarray(np.concatenate(squares))
            else:
                number = 0.0 if isinstance(state.start, str) else state.start
                size = () if state.kind is SCALAR else (self.size(state.kind),)
                values[state.name] = jnp.asarray(np.full(size, number, w.dtype))
        return values

    def calls(self, part: Program, ask: Callable[[str], Callable]) -> list[Call]:
        """Return the statements of a part, in order, as calls.

        ask: gives, for the name of an oracle, its function of what is `ASKED` and a tensor.
        """
        kinds, found = dict(part.entry_kinds), []
        for instruction, kind in zip(part.body, part.kinds, strict=True):
            primitive, arguments = PRIMITIVES[instruction.op], tuple(map(str, instruction.args))
            if primitive.scope == ORACLE:
                function, arguments = ask(primitive.name), (ASKED, *arguments)
            else:
                function = self.call(primitive, kind, *(kinds.get(a, SCALAR) for a in arguments))
            found.append(Call(function, arguments, instruction.target, ()))
            kinds[instruction.target] = kind

        needed = {
            part.output,
            part.evaluate_at,
            ASKED,
            *part.values,
            *_literals(part),
            *(s.name for s in part.states),
        }
        for number, call in reversed(list(enumerate(found))):
            found[number] = call._replace(
                last=tuple(sorted({*call.arguments} - needed - {call.target}))
            )
            needed = (needed - {call.target}) | {*call.arguments}
        return found

    def _call(self, primitive: Primitive, result: Kind, *kinds: Kind) -> Callable[..., jax.Array]:
        """Compile a primitive for values of these kinds."""

        def call(*values: jax.Array) -> jax.Array:
            alike = all(
                v.ndim == 0 or kind is result for v, kind in zip(values, kinds, strict=True)
            )
            if primitive.scope == ELEMENTWISE and alike:
                value = jnp.asarray(
                    primitive.apply(jnp, *values), jnp.result_type(jnp.float32, *values)
                )
                return value if result is SCALAR else jnp.broadcast_to(value, (self.size(result),))
            seen = [self.split(kind, value) for kind, value in zip(kinds, values, strict=True)]
            if primitive.scope == MODEL:
                leaves = primitive.apply(jnp, *seen)
                if result is SCALAR:  # the same beside every leaf
                    return leaves[0]
            else:
                leaves = [primitive.apply(jnp, *leaf) for leaf in zip(*seen, strict=True)]
            return self.join(result, list(map(jnp.broadcast_to, leaves, self.extents(result))))

        return jax.jit(call)


def _literals(part: Program) -> dict[str, float]:
    """Return the literals of a part by their text, which is no variable's name."""
    return {
        str(a): a for instruction in part.body for a in instruction.args if isinstance(a, float)
    }
