"""Quantiles and extremes, of a leaf, of the model, or of the last values of a ring; and what
rounding needs.

No program of the machine knows them: it would sort in every step, whatever the program.
"""

from __future__ import annotations

import functools

from primitives.kinds import Array, Scalar, Tensor, Value
from primitives.registry import LEAF, MODEL, WINDOW, primitive

statistics = functools.partial(primitive, family="statistics", flat=False)


@statistics(scope=LEAF, flops=20, source="numpy.quantile")
def quantile(xp, x: Array, q: Scalar) -> Scalar:
    """The number that a fraction q of one leaf lies below, between ranks on a straight line.

    Domain  q is clamped to [0, 1]; 0 for an empty leaf.
    """
    return _quantile(xp, xp.ravel(x), q) if x.size else xp.sum(x)


@statistics(scope=LEAF, flops=20, source="numpy.median")
def median(xp, x: Array) -> Scalar:
    """The middle of the numbers of one leaf, or the mean of the two in the middle; 0 for an empty
    leaf.
    """
    return _quantile(xp, xp.ravel(x), 0.5) if x.size else xp.sum(x)


@statistics(scope=MODEL, flops=20, source="numpy.quantile")
def global_quantile(xp, x: Tensor, q: Scalar) -> Scalar:
    """The number that a fraction q of the whole model lies below; q is clamped to [0, 1]."""
    whole = xp.concatenate([xp.ravel(leaf) for leaf in x])
    value = _quantile(xp, whole, q[0]) if whole.size else xp.sum(whole)
    return (value,) * len(x)


@statistics(scope=MODEL, source="numpy.linalg.norm with ord=inf")
def global_largest(xp, x: Tensor) -> Scalar:
    """Largest |x| of the whole model; 0 for an empty one."""
    most = xp.max(xp.abs(x[0]), initial=0.0)
    for leaf in x[1:]:
        most = xp.maximum(most, xp.max(xp.abs(leaf), initial=0.0))
    return (most,) * len(x)


# --- of the last values of a ring -----------------------------------------------------------------


@statistics(scope=WINDOW, source="numpy.sum")
def window_total(xp, *x: Value) -> Value:
    """Sum of the last values of a ring, element by element: `window_total(past)`."""
    return _sum(x)


@statistics(scope=WINDOW, source="Lee et al. 2024, arXiv:2405.20233, GrokFast-MA")
def window_mean(xp, *x: Value) -> Value:
    """Mean of the last values of a ring, element by element: `window_mean(past)`."""
    return _sum(x) / len(x)


@statistics(scope=WINDOW, flops=20, source="Seetharaman et al. 2020, arXiv:2007.14469")
def window_quantile(xp, q: Scalar, *x: Value) -> Value:
    """The value that a fraction q of the last values of a ring lies below, element by element.

    Domain  q is clamped to [0, 1].
    """
    return _quantile(xp, xp.stack(xp.broadcast_arrays(*x)), q)


# --- rounding -------------------------------------------------------------------------------------


@statistics(flops=30, source="Cody 1969, doi:10.1090/S0025-5718-1969-0247736-4")
def erf(xp, x: Value) -> Value:
    """The error function. Of normal noise x, 0.5 + 0.5·erf(x / sqrt(2)) is uniform in [0, 1].

    Two rational functions, below 1/2 and above.
    """
    y = xp.minimum(xp.abs(x), 6.0)
    s = xp.minimum(y, 0.5)
    z = s * s
    up = ((0.185777706184603153 * z + 3.16112374387056560) * z + 113.864154151050156) * z
    up = (up + 377.485237685302021) * z + 3209.37758913846947
    down = ((z + 23.6012909523441209) * z + 244.024637934444173) * z
    down = (down + 1282.61652607737228) * z + 2844.23683343917062
    near = s * up / down

    b = xp.maximum(y, 0.5)
    up = ((2.15311535474403846e-8 * b + 0.564188496988670089) * b + 8.88314979438837594) * b
    up = ((up + 66.1191906371416295) * b + 298.635138197400131) * b + 881.952221241769090
    up = ((up * b + 1712.04761263407058) * b + 2051.07837782607147) * b + 1230.33935479799725
    down = ((b + 15.7449261107098347) * b + 117.693950891312499) * b + 537.181101862009858
    down = ((down * b + 1621.38957456669019) * b + 3290.79923573345963) * b + 4362.61909014324716
    down = (down * b + 3439.36767414372164) * b + 1230.33935480374942
    far = 1.0 - xp.exp(-b * b) * up / down
    return xp.where(y < 0.5, xp.sign(x) * near, xp.sign(x) * far)


@statistics(flops=6, jumps=True, source="numpy.spacing")
def spacing(xp, x: Value, bits: Scalar) -> Value:
    """Distance between the numbers around x that have `bits` bits: 8 is bfloat16; 0 where x is 0.

    `floor(x / s + 0.5) * s` rounds to the nearest of them.

    Domain  `bits` is clamped to [0, 64], and its fraction is cut off.
    """
    whole = xp.floor(xp.minimum(xp.maximum(bits, 0.0), 64.0)).astype("int32")
    size = xp.ldexp(xp.ones_like(x), xp.frexp(x)[1] - whole)
    return xp.where(x == 0.0, 0.0, size)


# --- shared by several definitions ----------------------------------------------------------------


def _sum(values):
    whole = values[0]
    for value in values[1:]:
        whole = whole + value
    return whole


def _quantile(xp, x, q):
    """Quantile along the first axis of what is not empty, as numpy's: linear between two ranks."""
    x = xp.sort(x, axis=0)
    rank = xp.minimum(xp.maximum(q, 0.0), 1.0) * (x.shape[0] - 1)
    low = xp.floor(rank)
    part = xp.asarray(rank - low, x.dtype)
    first = xp.asarray(low, "int32")
    second = xp.minimum(first + 1, x.shape[0] - 1)
    return (1.0 - part) * xp.take(x, first, axis=0) + part * xp.take(x, second, axis=0)
