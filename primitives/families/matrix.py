"""Matrix primitives: a leaf is read as a matrix [r, c], a left is [r, r], a right is [c, c].

Squares that are decomposed are symmetric: both halves are averaged first. What
is not finite in gives nan out; no decomposition ever fails.
"""

from __future__ import annotations

import functools

from primitives.kinds import Array, Left, Right, Scalar, Square, Tensor, product
from primitives.registry import AXIS, MATRIX, primitive

matrix = functools.partial(primitive, family="matrix", scope=MATRIX)


@matrix(infix="@", flops=64, linear=((0,), (1,)), rule=product, source="numpy.matmul")
def matmul(xp, x: Array, y: Array) -> Array:
    """Matrix product: left @ x, x @ right, left @ left, and column @ row, the outer product."""
    return xp.matmul(x, y)


@matrix(flops=64, source="Gupta, Koren and Singer 2018, arXiv:1802.09568")
def gram_left(xp, x: Tensor) -> Left:
    """x xᵀ: inner products of the rows."""
    return xp.matmul(x, x.T)


@matrix(flops=64, source="Gupta, Koren and Singer 2018, arXiv:1802.09568")
def gram_right(xp, x: Tensor) -> Right:
    """xᵀ x: inner products of the columns."""
    return xp.matmul(x.T, x)


@matrix(flops=1, involution=True, linear=((0,),), source="numpy.transpose")
def transpose(xp, x: Square) -> Square:
    """xᵀ."""
    return x.T


@matrix(flops=1, linear=((0, 1),), source="Levenberg 1944, doi:10.1090/qam/10666")
def add_diagonal(xp, x: Square, a: Scalar) -> Square:
    """x + a·I: damping."""
    return x + a * xp.eye(x.shape[0], dtype=x.dtype)


@matrix(flops=1, linear=((0,),), source="numpy.trace")
def trace(xp, x: Square) -> Scalar:
    """Sum of the diagonal."""
    return xp.sum(xp.diagonal(x))


@matrix(flops=2000, source="Gupta, Koren and Singer 2018, arXiv:1802.09568")
def inverse_root(xp, x: Square, p: Scalar) -> Square:
    """x^(-1/p) of a symmetric x by its eigenvalues; those that are not above 0 give 0.

    Domain  p is not 0. Eigenvalues below the largest times r·eps of the dtype count as 0.
    """
    values, vectors = _eigh(xp, x)
    floor = xp.max(xp.abs(values), initial=0.0) * (x.shape[0] * float(xp.finfo(x.dtype).eps))
    positive = values > floor
    powers = xp.where(
        positive, xp.power(xp.where(positive, values, 1.0), -1.0 / xp.where(p == 0.0, 1.0, p)), 0.0
    )
    return xp.matmul(vectors * powers[None, :], vectors.T)


@matrix(flops=2000, source="Vyas et al. 2024, arXiv:2409.11321")
def eigenbasis(xp, x: Square) -> Square:
    """Eigenvectors of a symmetric x as columns, the largest eigenvalue first.

    Each has its largest component above 0, so that the basis is a function of x where eigenvalues
    differ. Of equal ones, as the zeros of an x of low rank, any basis is as good: rounding chooses,
    so compiled code, code that is not, and other machines may find different ones.
    """
    if x.shape[0] == 0:
        return x
    vectors = _eigh(xp, x)[1][:, ::-1]
    size = xp.abs(vectors)
    # the first component that is nearly the largest: rounding must not choose between equal ones
    first = xp.argmax(size > 0.99 * xp.max(size, axis=0, keepdims=True, initial=0.0), axis=0)
    sign = xp.sign(xp.take_along_axis(vectors, first[None, :], axis=0))
    return vectors * xp.where(sign == 0.0, xp.ones_like(sign), sign)


@matrix(flops=500, source="Vyas et al. 2024, arXiv:2409.11321")
def orthonormal(xp, x: Square) -> Square:
    """An orthonormal basis of the columns of x by QR, the diagonal of R not below 0.

    One step of power iteration towards the eigenbasis of p is `orthonormal(p @ q)`.
    """
    finite = xp.all(xp.isfinite(x))
    q, r = xp.linalg.qr(xp.where(finite, x, 0.0))
    one = xp.ones(x.shape[:1], dtype=x.dtype)
    sign = xp.where(xp.diagonal(r) < 0.0, -one, one)
    return xp.where(finite, q * sign[None, :], xp.nan)


@matrix(
    flops=200,
    flat=True,
    linear=((1, 2, 3),),
    source="Jordan et al. 2024; Bernstein and Newhouse 2024, arXiv:2409.20325",
)
def newton_schulz(xp, x: Tensor, a: Scalar, b: Scalar, c: Scalar) -> Tensor:
    """One step of Newton-Schulz orthogonalisation: a·x + b·(x xᵀ) x + c·(x xᵀ)² x.

    It moves the singular values s of x to a·s + b·s³ + c·s⁵. Muon takes five steps with 3.4445,
    -4.775, 2.0315 after dividing by the norm.
    """
    if x.shape[0] <= x.shape[1]:
        gram = xp.matmul(x, x.T)
        return a * x + xp.matmul(b * gram + c * xp.matmul(gram, gram), x)
    gram = xp.matmul(x.T, x)  # the same polynomial, on the smaller side
    return a * x + xp.matmul(x, b * gram + c * xp.matmul(gram, gram))


@matrix(scope=AXIS, flops=1, linear=((0,),), source="Zhao et al. 2024, arXiv:2403.03507")
def keep_rows(xp, x: Tensor, k: Scalar) -> Tensor:
    """x with all rows after the first k set to 0.

    In a basis whose largest eigenvalue comes first, this is the projection on k directions:
    `keep_rows(transpose(q) @ x, k)`.
    """
    return xp.where(xp.arange(x.shape[0], dtype=x.dtype)[:, None] < k, x, 0.0)


@matrix(scope=AXIS, flops=1, linear=((0,),), source="Zhao et al. 2024, arXiv:2403.03507")
def keep_columns(xp, x: Tensor, k: Scalar) -> Tensor:
    """x with all columns after the first k set to 0."""
    return xp.where(xp.arange(x.shape[1], dtype=x.dtype)[None, :] < k, x, 0.0)


def _eigh(xp, x):
    """Eigenvalues, rising, and eigenvectors of the symmetric part of x; nan where x is not
    finite.
    """
    finite = xp.all(xp.isfinite(x))
    values, vectors = xp.linalg.eigh(xp.where(finite, 0.5 * (x + x.T), 0.0))
    return xp.where(finite, values, xp.nan), xp.where(finite, vectors, xp.nan)
