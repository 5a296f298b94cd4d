"""The 45 primitives of Lion's search, made total.

Source of the list: Chen et al. 2023, arXiv:2302.06675, and its released code.
Total means finite in, finite out, except for overflow; where that differs from
the plain function, the docstring says so. `invert`, a bitwise "not" that Lion's
own check rejects on floats, is the logical "not" of a truth value here.
"""

from __future__ import annotations

import functools
import math

from primitives.kinds import Scalar, Tensor, Value
from primitives.registry import LEAF, MODEL, primitive

SOURCE = "Chen et al. 2023, arXiv:2302.06675"
TINY = 2.0**-126  # smallest normal float32: the logarithms clamp |x| to it
INSIDE = 1.0 - 2.0**-23  # largest |x| that arctanh takes: the last float32 step before 1 but one

lion = functools.partial(primitive, family="lion", source=SOURCE)


# --- 30 functions of one argument --------------------------------------------------------------


@lion(idempotent=True)
def abs(xp, x: Value) -> Value:
    """|x|."""
    return xp.abs(x)


@lion(flops=15)
def cos(xp, x: Value) -> Value:
    """Cosine of x in radians."""
    return xp.cos(x)


@lion(flops=15)
def sin(xp, x: Value) -> Value:
    """Sine of x in radians."""
    return xp.sin(x)


@lion(flops=20)
def tan(xp, x: Value) -> Value:
    """Tangent of x in radians."""
    return xp.tan(x)


@lion(flops=20)
def arcsin(xp, x: Value) -> Value:
    """Inverse sine; x is clamped to [-1, 1]."""
    return xp.arcsin(xp.minimum(xp.maximum(x, -1.0), 1.0))


@lion(flops=20)
def arccos(xp, x: Value) -> Value:
    """Inverse cosine; x is clamped to [-1, 1]."""
    return xp.arccos(xp.minimum(xp.maximum(x, -1.0), 1.0))


@lion(flops=20)
def arctan(xp, x: Value) -> Value:
    """Inverse tangent."""
    return xp.arctan(x)


@lion(flops=20)
def sinh(xp, x: Value) -> Value:
    """Hyperbolic sine; overflows to ±inf."""
    return xp.sinh(x)


@lion(flops=20)
def cosh(xp, x: Value) -> Value:
    """Hyperbolic cosine; overflows to inf."""
    return xp.cosh(x)


@lion(flops=15)
def tanh(xp, x: Value) -> Value:
    """Hyperbolic tangent."""
    return xp.tanh(x)


@lion(flops=20)
def arcsinh(xp, x: Value) -> Value:
    """Inverse hyperbolic sine."""
    return xp.arcsinh(x)


@lion(flops=20)
def arccosh(xp, x: Value) -> Value:
    """Inverse hyperbolic cosine; x below 1 counts as 1."""
    return xp.arccosh(xp.maximum(x, 1.0))


@lion(flops=20)
def arctanh(xp, x: Value) -> Value:
    """Inverse hyperbolic tangent; |x| is clamped to 1 - 2^-23, so the result stays within ±8.32."""
    return xp.arctanh(xp.minimum(xp.maximum(x, -INSIDE), INSIDE))


@lion(flops=10)
def exp(xp, x: Value) -> Value:
    """e^x; overflows to inf."""
    return xp.exp(x)


@lion(flops=10)
def exp2(xp, x: Value) -> Value:
    """2^x; overflows to inf."""
    return xp.exp2(x)


@lion(flops=10)
def exp10(xp, x: Value) -> Value:
    """10^x; overflows to inf."""
    return xp.exp2(x * math.log2(10.0))


@lion(flops=10)
def expm1(xp, x: Value) -> Value:
    """e^x - 1, exact near 0; overflows to inf."""
    return xp.expm1(x)


@lion(flops=10)
def log(xp, x: Value) -> Value:
    """Natural logarithm of |x|; |x| below 2^-126 counts as 2^-126, so log(0) = -87.3."""
    return xp.log(xp.maximum(xp.abs(x), TINY))


@lion(flops=10)
def log10(xp, x: Value) -> Value:
    """Decimal logarithm of |x|; |x| below 2^-126 counts as 2^-126."""
    return xp.log10(xp.maximum(xp.abs(x), TINY))


@lion(flops=10)
def log2(xp, x: Value) -> Value:
    """Binary logarithm of |x|; |x| below 2^-126 counts as 2^-126, so log2(0) = -126."""
    return xp.log2(xp.maximum(xp.abs(x), TINY))


@lion(flops=12)
def log1p(xp, x: Value) -> Value:
    """Natural logarithm of |1 + x|, exact near 0; |1 + x| below 2^-126 counts as 2^-126."""
    near = xp.log1p(xp.maximum(x, -0.5))
    return xp.where(x > -0.5, near, xp.log(xp.maximum(xp.abs(1.0 + x), TINY)))


@lion()
def square(xp, x: Value) -> Value:
    """x·x; overflows to inf."""
    return x * x


@lion(flops=4)
def sqrt(xp, x: Value) -> Value:
    """Square root of |x|."""
    return xp.sqrt(xp.abs(x))


@lion(flops=2)
def cube(xp, x: Value) -> Value:
    """x·x·x; overflows to ±inf."""
    return x * x * x


@lion(flops=15)
def cbrt(xp, x: Value) -> Value:
    """Cube root, with the sign of x."""
    return xp.cbrt(x)


@lion(idempotent=True, jumps=True)
def sign(xp, x: Value) -> Value:
    """-1, 0 or 1."""
    return xp.sign(x)


@lion(flops=4)
def reciprocal(xp, x: Value) -> Value:
    """1/x; 0 where x is exactly 0."""
    return _quotient(xp, 1.0, x)


@lion(scope=LEAF, flops=2)
def norm(xp, x: Tensor) -> Scalar:
    """Euclidean norm of one leaf."""
    return xp.sqrt(xp.sum(x * x))


@lion(jumps=True)
def invert(xp, x: Value) -> Value:
    """Logical not: 1 where x is 0, else 0."""
    return xp.where(x == 0.0, xp.ones_like(x), xp.zeros_like(x))


@lion(involution=True, linear=((0,),))
def negative(xp, x: Value) -> Value:
    """-x."""
    return -x


# --- 6 operators of two arguments ---------------------------------------------------------------


@lion(infix="+", commutative=True, identity=0.0, linear=((0, 1),))
def add(xp, x: Value, y: Value) -> Value:
    """x + y."""
    return x + y


@lion(infix="-", identity=0.0, linear=((0, 1),))
def subtract(xp, x: Value, y: Value) -> Value:
    """x - y."""
    return x - y


@lion(infix="*", commutative=True, identity=1.0, linear=((0,), (1,)))
def multiply(xp, x: Value, y: Value) -> Value:
    """x · y."""
    return x * y


@lion(infix="/", flops=4, identity=1.0, linear=((0,),))
def divide(xp, x: Value, y: Value) -> Value:
    """x / y; 0 where y is exactly 0."""
    return _quotient(xp, x, y)


@lion(commutative=True, idempotent=True)
def maximum(xp, x: Value, y: Value) -> Value:
    """The larger of x and y."""
    return xp.maximum(x, y)


@lion(commutative=True, idempotent=True)
def minimum(xp, x: Value, y: Value) -> Value:
    """The smaller of x and y."""
    return xp.minimum(x, y)


# --- 6 others -----------------------------------------------------------------------------------


@lion(infix="**", flops=20, identity=1.0)
def power(xp, x: Value, y: Value) -> Value:
    """x to the power y.

    Domain  A negative x with a y that is no whole number counts as |x|; 0 to a
            negative power is 0. Overflow becomes ±inf.
    """
    size = xp.power(xp.where(x == 0.0, 1.0, xp.abs(x)), y)
    size = xp.where((x == 0.0) & (y != 0.0), 0.0, size)
    odd = xp.abs(xp.fmod(y, 2.0)) == 1.0
    return xp.where((x < 0.0) & odd, -size, size)


@lion(scope=MODEL, flops=2)
def global_norm(xp, x: Tensor) -> Scalar:
    """Euclidean norm over the whole model: sqrt(sum of squares of all leaves)."""
    return _everywhere(xp.sqrt(_inner(xp, x, x)), x)


@lion(flops=3, linear=((0, 1),))
def interp(xp, x: Value, y: Value, a: Scalar) -> Value:
    """Walk a fraction `a` of the way from x to y: (1 - a)·x + a·y.

    Momentum is `interp(gradient, momentum, decay)`: the decay weighs the past.

    Domain  Every input; `a` is not confined to [0, 1].
    """
    return (1.0 - a) * x + a * y


@lion(scope=MODEL, flops=2, commutative=True, linear=((0,), (1,)))
def dot(xp, x: Tensor, y: Tensor) -> Scalar:
    """Inner product over the whole model."""
    return _everywhere(_inner(xp, x, y), x)


@lion(scope=MODEL, flops=6, commutative=True)
def cosine_sim(xp, x: Tensor, y: Tensor) -> Scalar:
    """Cosine of the angle between x and y over the whole model; 0 where one of them is 0."""
    lengths = xp.sqrt(_inner(xp, x, x)) * xp.sqrt(_inner(xp, y, y))
    return _everywhere(_quotient(xp, _inner(xp, x, y), lengths), x)


@lion(scope=MODEL, flops=3)
def clip_by_global_norm(xp, x: Tensor, c: Scalar) -> Tensor:
    """x · min(1, c / global norm of x)."""
    length = xp.sqrt(_inner(xp, x, x))
    return tuple(
        leaf * xp.where(length == 0.0, 1.0, xp.minimum(1.0, _quotient(xp, bound, length)))
        for leaf, bound in zip(x, c, strict=True)
    )


# --- 3 constants --------------------------------------------------------------------------------


@lion(flops=0)
def get_pi(xp) -> Scalar:
    """The number 3.14159..."""
    return xp.asarray(math.pi)


@lion(flops=0)
def get_e(xp) -> Scalar:
    """The number 2.71828..."""
    return xp.asarray(math.e)


@lion(flops=0)
def get_eps(xp) -> Scalar:
    """1e-8, the customary guard of a denominator."""
    return xp.asarray(1e-8)


# --- shared by several definitions ----------------------------------------------------------------


def _quotient(xp, x, y):
    """x / y, 0 where y is exactly 0: the inner `where` keeps the division itself finite."""
    zero = y == 0.0
    return xp.where(zero, 0.0, x / xp.where(zero, 1.0, y))


def _inner(xp, x, y):
    """Inner product of two tuples of leaves; the sum runs over the leaves in order."""
    total = xp.sum(x[0] * y[0])
    for a, b in zip(x[1:], y[1:], strict=True):
        total = total + xp.sum(a * b)
    return total


def _everywhere(value, leaves):
    """A number of the whole model, seen from each leaf."""
    return (value,) * len(leaves)
