"""Comparisons, selection, and the plain assignment.

A truth value is a number: 1 for true, 0 for false; every number but 0 selects.
"""

from __future__ import annotations

import functools

from primitives.kinds import Value
from primitives.registry import primitive

logic = functools.partial(primitive, family="logic", jumps=True, source="IEEE 754")


def _truth(xp, condition, x, y):
    return xp.where(condition, xp.ones_like(x + y), xp.zeros_like(x + y))


@logic(infix=">", mirror="less")
def greater(xp, x: Value, y: Value) -> Value:
    """1 where x > y, else 0."""
    return _truth(xp, x > y, x, y)


@logic(infix=">=", mirror="less_equal")
def greater_equal(xp, x: Value, y: Value) -> Value:
    """1 where x >= y, else 0."""
    return _truth(xp, x >= y, x, y)


@logic(infix="<")
def less(xp, x: Value, y: Value) -> Value:
    """1 where x < y, else 0."""
    return _truth(xp, x < y, x, y)


@logic(infix="<=")
def less_equal(xp, x: Value, y: Value) -> Value:
    """1 where x <= y, else 0."""
    return _truth(xp, x <= y, x, y)


@logic(infix="==", commutative=True)
def equal(xp, x: Value, y: Value) -> Value:
    """1 where x and y are the same number, else 0."""
    return _truth(xp, x == y, x, y)


@logic(infix="!=", commutative=True)
def not_equal(xp, x: Value, y: Value) -> Value:
    """1 where x and y differ, else 0."""
    return _truth(xp, x != y, x, y)


@logic(linear=((1, 2),))
def where(xp, condition: Value, x: Value, y: Value) -> Value:
    """x where the condition is not 0, else y."""
    return xp.where(condition != 0.0, x, y)


@primitive(family="structure", flops=0, linear=((0,),), source="the assignment statement")
def copy(xp, x: Value) -> Value:
    """x itself; written `y = x`."""
    return x
