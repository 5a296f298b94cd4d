"""Reductions over one leaf, over one axis of it, over the whole model; and facts of a leaf's shape.

A reduction over the rows leaves one number a column, which is a row: as numpy with `axis=0,
keepdims=True`.
"""

from __future__ import annotations

import functools

from primitives.kinds import Array, Column, Row, Scalar, Tensor
from primitives.registry import AXIS, LEAF, MODEL, primitive

reduction = functools.partial(primitive, family="reduction")


@reduction(scope=LEAF, linear=((0,),), source="numpy.sum")
def total(xp, x: Tensor) -> Scalar:
    """Sum over one leaf; 0 for an empty leaf."""
    return xp.sum(x)


@reduction(scope=LEAF, linear=((0,),), source="numpy.mean")
def mean(xp, x: Array) -> Scalar:
    """Mean over one leaf, or over a row, a column or a square of it; 0 for an empty leaf."""
    return xp.sum(x) / max(x.size, 1)


@reduction(scope=LEAF, source="numpy.linalg.norm with ord=inf")
def largest(xp, x: Array) -> Scalar:
    """Largest |x| of one leaf, or of a row, a column or a square of it; 0 for an empty leaf."""
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


# --- over one axis of a leaf that is read as a matrix [r, c] --------------------------------------

axis = functools.partial(reduction, scope=AXIS)


@axis(linear=((0,),), source="numpy.sum")
def total_over_rows(xp, x: Tensor) -> Row:
    """Sum of each column: over the rows."""
    return xp.sum(x, axis=0, keepdims=True)


@axis(linear=((0,),), source="numpy.sum")
def total_over_columns(xp, x: Tensor) -> Column:
    """Sum of each row: over the columns."""
    return xp.sum(x, axis=1, keepdims=True)


@axis(linear=((0,),), source="numpy.mean")
def mean_over_rows(xp, x: Tensor) -> Row:
    """Mean of each column: over the rows; 0 for an empty leaf."""
    return xp.sum(x, axis=0, keepdims=True) / max(x.shape[0], 1)


@axis(linear=((0,),), source="numpy.mean")
def mean_over_columns(xp, x: Tensor) -> Column:
    """Mean of each row: over the columns; 0 for an empty leaf."""
    return xp.sum(x, axis=1, keepdims=True) / max(x.shape[1], 1)


@axis(source="numpy.linalg.norm with ord=inf")
def largest_over_rows(xp, x: Tensor) -> Row:
    """Largest |x| of each column: over the rows; 0 for an empty leaf."""
    return xp.max(xp.abs(x), axis=0, keepdims=True, initial=0.0)


@axis(source="numpy.linalg.norm with ord=inf")
def largest_over_columns(xp, x: Tensor) -> Column:
    """Largest |x| of each row: over the columns; 0 for an empty leaf."""
    return xp.max(xp.abs(x), axis=1, keepdims=True, initial=0.0)


@axis(flops=2, source="numpy.linalg.norm")
def norm_over_rows(xp, x: Tensor) -> Row:
    """Euclidean norm of each column: over the rows."""
    return xp.sqrt(xp.sum(x * x, axis=0, keepdims=True))


@axis(flops=2, source="numpy.linalg.norm")
def norm_over_columns(xp, x: Tensor) -> Column:
    """Euclidean norm of each row: over the columns."""
    return xp.sqrt(xp.sum(x * x, axis=1, keepdims=True))


@axis(flops=0, source="numpy.shape")
def row_count(xp, x: Tensor) -> Scalar:
    """How many rows a leaf has: the fan-in of a layer that computes x @ w."""
    return xp.asarray(x.shape[0], x.dtype)


@axis(flops=0, source="numpy.shape")
def column_count(xp, x: Tensor) -> Scalar:
    """How many columns a leaf has: the fan-out of a layer that computes x @ w."""
    return xp.asarray(x.shape[1], x.dtype)
