"""Conformance: whether a primitive keeps what every reading of a program relies on.

It is computed on fixed numbers, in float32 by `jax.numpy` and in float64 by `numpy`. The tests of
this package hold its own primitives to more; this is what a primitive from elsewhere must pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from primitives import meaning
from primitives.kinds import SCALAR, TENSOR, Kind
from primitives.registry import ELEMENTWISE, MATRIX, ORACLE, Primitive

LEAVES = ((3, 4), (2, 5))  # rows and columns of the leaves of a small model
AWKWARD = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 1e-8, -1e-8, 30.0, -30.0, 1e4, -1e4])
TOLERANCE = 1e-3  # between float32 and float64, relative to the largest result


def faults(primitive: Primitive) -> Iterator[str]:
    """Yield what is wrong with a primitive, a sentence each with its remedy; the gravest first."""
    name = primitive.name
    if not primitive.doc:
        yield f"{name}: has no docstring; say in its first line what it computes"
    if primitive.scope == ORACLE:
        yield f"{name}: an oracle is computed by a task; give it another scope"
        return

    for kinds in _choices(primitive):
        wanted = primitive.kind(*kinds)
        if wanted is None:
            continue
        args = [_values(kind, number) for number, kind in enumerate(kinds)]
        try:
            single = _computed(primitive, jnp, args, np.float32)
            double = _computed(primitive, np, args, np.float64)
        except Exception as fault:  # of the user's code, whatever it is
            words = f"{type(fault).__name__}: {str(fault).splitlines()[0] if str(fault) else ''}"
            yield (
                f"{name}: fails on {_shown(kinds)} ({words}); compute with its first argument, xp, "
                "which is jax.numpy or numpy"
            )
            return
        if said := _differs(primitive, wanted, single, double):
            yield f"{name}: {said}"
            return
    if primitive.scope == ELEMENTWISE and (said := _mixes(primitive)):
        yield f"{name}: {said}"


def _choices(primitive: Primitive) -> Iterator[tuple[Kind, ...]]:
    """Yield kinds that the arguments may have: tensors where there is a choice, then numbers."""
    for wide in (TENSOR, SCALAR):
        yield tuple(
            slot if isinstance(slot, Kind) else slot[0] if isinstance(slot, tuple) else wide
            for slot in primitive.slots
        )


def _extent(kind: Kind, leaf: tuple[int, int]) -> tuple[int, ...]:
    if kind is SCALAR:
        return ()
    axes = {"1": 1, "r": leaf[0], "c": leaf[1]}
    return (axes[kind.axes[0]], axes[kind.axes[1]])


def _values(kind: Kind, number: int) -> list[np.ndarray]:
    """Make an argument, leaf by leaf: awkward numbers in an order that no other argument has."""
    values = []
    for leaf in LEAVES:
        shape = _extent(kind, leaf)
        size = int(np.prod(shape))
        order = np.arange(size) * (2 * number + 1) + number
        values.append(AWKWARD[order % len(AWKWARD)].reshape(shape))
    return values


def _computed(
    primitive: Primitive, xp: Any, args: list[list[np.ndarray]], dtype: type
) -> list[np.ndarray]:
    given = [tuple(xp.asarray(leaf, dtype) for leaf in argument) for argument in args]
    with np.errstate(all="ignore"), jax.numpy_dtype_promotion("standard"):
        if not given:
            return [np.asarray(xp.asarray(primitive.apply(xp), dtype))] * len(LEAVES)
        return [np.asarray(leaf) for leaf in meaning.apply(primitive, xp, *given)]


def _differs(
    primitive: Primitive, wanted: Kind, single: list[np.ndarray], double: list[np.ndarray]
) -> str:
    """Say how results are not what they should be; empty where they are."""
    for leaf, a, b in zip(LEAVES, single, double, strict=True):
        shape = _extent(wanted, leaf)
        for result in (a, b):
            if result.shape != shape:
                return (
                    f"gives the shape {result.shape} where its signature says {shape}, a {wanted}; "
                    "mend the annotations or the result"
                )
        if (a.dtype, b.dtype) != (np.float32, np.float64):
            return (
                f"gives {a.dtype} for float32 and {b.dtype} for float64; keep the dtype of the "
                "arguments"
            )
        if np.isnan(a).any() or np.isnan(b).any():
            return (
                "gives nan for finite numbers; a primitive is total: say what it gives outside its "
                "domain, with xp.where"
            )
        finite = np.isfinite(a) & np.isfinite(b)
        a, b = a[finite], b[finite]
        scale = max(float(np.abs(b).max(initial=0.0)), 1.0)
        if primitive.scope != MATRIX and np.abs(a - b).max(initial=0.0) > TOLERANCE * scale:
            return (
                "gives other numbers by jax.numpy than by numpy; compute with its first argument, "
                "xp, alone"
            )
    return ""


def _mixes(primitive: Primitive) -> str:
    """Say so where one element of an elementwise result depends on others."""
    args = [AWKWARD[(np.arange(12) * (2 * n + 1) + n) % 12] for n in range(primitive.arity)]
    if not args:
        return ""
    with np.errstate(all="ignore"):
        whole = np.asarray(primitive.apply(np, *args))
        parts = [np.asarray(primitive.apply(np, *(a[k : k + 1] for a in args))) for k in range(12)]
    if not np.array_equal(whole, np.concatenate(parts)):
        return (
            "is declared elementwise, and an element of its result depends on other elements; "
            "declare scope=LEAF, or another scope that reduces"
        )
    return ""


def _shown(kinds: tuple[Kind, ...]) -> str:
    return ", ".join(f"a {kind}" for kind in kinds) or "no arguments"
