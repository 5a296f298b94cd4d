"""Reductions over one leaf, over the whole model, and facts of a leaf's shape."""

from __future__ import annotations

import functools

from primitives.kinds import Scalar, Tensor
from primitives.registry import LEAF, MODEL, primitive

reduction = functools.partial(primitive, family="reduction")


@reduction(scope=LEAF, linear=((0,),), source="numpy.sum")
def total(xp, x: Tensor) -> Scalar:
    """Sum over one leaf; 0 for an empty leaf."""
    return xp.sum(x)


@reduction(scope=LEAF, linear=((0,),), source="numpy.mean")
def mean(xp, x: Tensor) -> Scalar:
    """Mean over one leaf; 0 for an empty leaf."""
    return xp.sum(x) / max(x.size, 1)


@reduction(scope=LEAF, source="numpy.linalg.norm with ord=inf")
def largest(xp, x: Tensor) -> Scalar:
    """Largest |x| of one leaf; 0 for an empty leaf."""
    return xp.max(xp.abs(x), initial=0.0)


@reduction(scope=LEAF, flops=0, source="numpy.size")
def count(xp, x: Tensor) -> Scalar:
    """How many numbers one leaf has."""
    return xp.asarray(x.size, x.dtype)


@reduction(scope=MODEL, linear=((0,),), source="numpy.sum")
def global_total(xp, x: Tensor) -> Scalar:
    """Sum over the whole model."""
    whole = xp.sum(x[0])
    for leaf in x[1:]:
        whole = whole + xp.sum(leaf)
    return (whole,) * len(x)


@reduction(scope=MODEL, flops=0, source="numpy.size")
def global_count(xp, x: Tensor) -> Scalar:
    """How many numbers the whole model has."""
    return tuple(xp.asarray(sum(leaf.size for leaf in x), leaf.dtype) for leaf in x)
