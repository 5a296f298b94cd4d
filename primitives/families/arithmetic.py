"""Elementwise primitives that known optimizers need beyond Lion's 45."""

from __future__ import annotations

import functools

from primitives.kinds import Value
from primitives.registry import primitive

arithmetic = functools.partial(primitive, family="arithmetic")


@arithmetic(flops=20, source="IEEE 754-2019, atan2")
def atan2(xp, y: Value, x: Value) -> Value:
    """Angle of the point (x, y) in radians, within ±pi; 0 at the origin.

    For x >= 0 it is a division that needs no epsilon: atan2(m, sqrt(v)) is at most pi/2.
    """
    return xp.arctan2(y, x)


@arithmetic(flops=4, source="Donoho 1995, doi:10.1109/18.382009")
def soft_threshold(xp, x: Value, a: Value) -> Value:
    """x moved towards 0 by |a|, and 0 where |x| is smaller: the proximal step of |a|·|x|."""
    return xp.sign(x) * xp.maximum(xp.abs(x) - xp.abs(a), 0.0)


@arithmetic(idempotent=True, source="numpy.floor")
def floor(xp, x: Value) -> Value:
    """The largest whole number that is not above x."""
    return xp.floor(x)


@arithmetic(infix="%", flops=6, source="numpy.mod")
def modulo(xp, x: Value, y: Value) -> Value:
    """What is left of x after whole multiples of y, with the sign of y; 0 where y is exactly 0.

    Every tenth step is `t % 10 == 0`.
    """
    zero = y == 0.0
    left = xp.mod(x, xp.where(zero, 1.0, y))
    return xp.where(zero | (x == y), 0.0, left)
