"""How a parameter tree lies in one flat vector: leaves one after the other, in tree order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp

from primitives.registry import ELEMENTWISE, MODEL, Primitive


@dataclass(frozen=True)
class Layout:
    """Shapes of the leaves and the structure of the tree."""

    shapes: tuple[tuple[int, ...], ...]
    tree: Any = None

    @classmethod
    def of(cls, params: Any) -> Layout:
        """The layout of a tree of arrays, or of their shapes."""
        leaves, tree = jax.tree.flatten(params)
        return cls(tuple(tuple(leaf.shape) for leaf in leaves), tree)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        return tuple(math.prod(shape) for shape in self.shapes)

    @property
    def size(self) -> int:
        """Numbers in the tree."""
        return sum(self.sizes)

    def split(self, flat: Any) -> list[Any]:
        """[size] -> the leaves in their shapes."""
        leaves, at = [], 0
        for shape, size in zip(self.shapes, self.sizes, strict=True):
            leaves.append(flat[at : at + size].reshape(shape))
            at += size
        return leaves

    def unflatten(self, flat: Any) -> Any:
        """[size] -> the tree."""
        return jax.tree.unflatten(self.tree, self.split(flat))

    def flatten(self, tree: Any) -> Any:
        """The tree -> [size]."""
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    def apply(self, primitive: Primitive, xp: Any, *arguments: Any) -> Any:
        """One primitive on flat values.

        A value is a vector [size], or one number that holds for the whole model. What differs from
        leaf to leaf only (the norm of a leaf) is a vector too, constant along each leaf.
        """
        if primitive.scope == ELEMENTWISE:
            return primitive.apply(xp, *arguments)
        if primitive.scope == MODEL:  # one leaf that is the whole model
            return primitive.apply(xp, *((a,) for a in arguments))[0]
        leaves = zip(*(self.split(a) for a in arguments), strict=True)
        results = [primitive.apply(xp, *leaf) for leaf in leaves]
        return xp.concatenate([xp.broadcast_to(r, (n,)) for r, n in zip(results, self.sizes, strict=True)])
