"""How a parameter tree lies in one flat vector: leaves one after the other, in tree order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from primitives.kinds import SCALAR, Slot
from primitives.registry import AXIS, ELEMENTWISE, MATRIX, MODEL, Primitive
from primitives.views import as_matrix, is_matrix


@dataclass(frozen=True)
class Layout:
    """Shapes of the leaves and the structure of the tree."""

    shapes: tuple[tuple[int, ...], ...]
    tree: Any = None

    @classmethod
    def of(cls, params: Any) -> Layout:
        """Return the layout of a tree of arrays, or of their shapes."""
        leaves, tree = jax.tree.flatten(params)
        return cls(tuple(tuple(leaf.shape) for leaf in leaves), tree)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """How many numbers each leaf has."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        """How many numbers the tree has."""
        return sum(self.sizes)

    def split(self, flat: Any) -> list[Any]:
        """Cut a flat vector [size] into the leaves, in their shapes."""
        leaves, at = [], 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            leaves.append(flat[at : at + size].reshape(shape))
            at += size
        return leaves

    def unflatten(self, flat: Any) -> Any:
        """Make the tree of a flat vector [size]."""
        return jax.tree.unflatten(self.tree, self.split(flat))

    def flatten(self, tree: Any) -> Any:
        """Make a flat vector [size] of the tree."""
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    def mask(self, kernels: str) -> np.ndarray:
        """Tell where the numbers of matrices lie, by a rule for kernels: bool[size]."""
        return np.repeat([is_matrix(shape, kernels) for shape in self.shapes], self.sizes)

    def apply(self, primitive: Primitive, xp: Any, *arguments: Any, times: Any = None) -> Any:
        """Apply one primitive to flat values; some times to its own result, where `times` says so.

        A value is a vector [size], or one number that holds for the whole model. What differs from
        leaf to leaf only (the norm of a leaf) is a vector too, constant along each leaf; a row is
        constant along the columns of its leaf, a column along the rows.
        """
        if primitive.scope == ELEMENTWISE:
            return primitive.apply(xp, *arguments)
        if primitive.scope == MODEL:  # one leaf that is the whole model
            return primitive.apply(xp, *((a,) for a in arguments))[0]

        seen = [
            self._leaves(a, slot, xp) for a, slot in zip(arguments, primitive.slots, strict=True)
        ]
        matrices = primitive.scope in (AXIS, MATRIX)  # a vector is one column, and nobody asks
        shapes = [as_matrix(s) if matrices else s for s in self.shapes]
        results = []
        for shape, *leaf in zip(shapes, *seen, strict=True):
            first, *rest = (x.reshape(shape) if x.ndim else x for x in leaf)
            if times is None:
                result = primitive.apply(xp, first, *rest)
            else:
                result = jax.lax.fori_loop(
                    0, times, lambda _, x, rest=rest: primitive.apply(xp, x, *rest), first
                )
            results.append(xp.broadcast_to(result, shape).reshape(-1))
        return xp.concatenate(results)

    def _leaves(self, value: Any, slot: Slot, xp: Any) -> list[Any]:
        """Cut a flat value into leaves, each a vector; a number for a slot that takes one."""
        if xp.ndim(value) == 0:
            return [xp.asarray(value)] * len(self.shapes)
        leaves, at = [], 0
        for size in self.sizes:
            leaves.append(
                xp.sum(value[at : min(at + 1, at + size)])
                if slot is SCALAR
                else value[at : at + size]
            )
            at += size
        return leaves
