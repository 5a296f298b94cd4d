"""Projections of a matrix [r, c] on few directions: products of two leaves, and bases of tall ones.

A random projection on k directions is `cross_right(keep_columns(noise, k), g)`.
"""

from __future__ import annotations

import functools

from primitives.kinds import Left, Right, Tensor
from primitives.registry import MATRIX, primitive

projection = functools.partial(primitive, family="projection", scope=MATRIX, flat=False)


@projection(flops=64, linear=((0,), (1,)), source="numpy.matmul")
def cross_left(xp, x: Tensor, y: Tensor) -> Left:
    """x yᵀ: inner products of the rows of x with those of y."""
    return xp.matmul(x, y.T)


@projection(flops=64, linear=((0,), (1,)), source="numpy.matmul")
def cross_right(xp, x: Tensor, y: Tensor) -> Right:
    """xᵀ y: inner products of the columns of x with those of y."""
    return xp.matmul(x.T, y)


@projection(flops=300, source="Ahn et al. 2025, arXiv:2504.05295")
def orthonormal_columns(xp, x: Tensor) -> Tensor:
    """An orthonormal basis of the columns of x by QR, the diagonal of R not below 0.

    Domain  A column that depends on those before it gives 0, up to rounding; what is not finite
            gives nan.
    """
    if x.size == 0:
        return x
    finite = xp.all(xp.isfinite(x))
    q, r = xp.linalg.qr(xp.where(finite, x, 0.0))
    kept = xp.diagonal(r)
    floor = xp.max(xp.abs(r)) * (x.shape[0] * float(xp.finfo(x.dtype).eps))
    sign = xp.where(xp.abs(kept) > floor, xp.sign(kept), 0.0)
    basis = xp.where(finite, q * sign[None, :], xp.nan)
    more = xp.zeros((x.shape[0], x.shape[1] - basis.shape[1]), x.dtype)
    return xp.concatenate([basis, more], axis=1)
