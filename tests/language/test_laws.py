"""Every law of the table is exact, is applied, and is applied nowhere else."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from primitives import PRIMITIVES, Primitive, parse
from primitives.canonical.graph import graph
from primitives.canonical.laws import LAWS, Call, Law, Pattern, laws_of, read
from primitives.kinds import Square
from primitives.registry import ELEMENTWISE, MODEL

ALL = [law for p in PRIMITIVES.values() for law in laws_of(p)]
every_law = pytest.mark.parametrize("law", ALL, ids=lambda law: f"{law.left} = {law.right}")

SIZE = 24  # rows and columns of a tensor

LOSES_THE_SIGN_OF_ZERO = (
    "add(x, 0.0)", "add(0.0, x)", "subtract(x, 0.0)",  # -0.0 + 0.0 is 0.0; k may be -0.0
    "power(x, 1.0)",
    "column @ row",  # a sum that begins at 0.0
)  # fmt: skip


def numbers(dtype: type, count: int, xp) -> list[np.ndarray]:
    """dtype[SIZE, SIZE] each: all pairs of awkward numbers, and random ones of all magnitudes.

    Not for jax, which flushes them to 0 in an addition: subnormal numbers.
    """
    small = np.finfo(dtype).tiny / (2 if xp is np else 1)
    awkward = [
        0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -3.0, 1e-8, 1e30, -1e30, small, -small,
        np.finfo(dtype).max, np.finfo(dtype).eps, np.inf, -np.inf, np.nan,
    ]  # fmt: skip
    pairs = np.array(list(itertools.product(awkward, repeat=count)), dtype).T
    rng = np.random.default_rng(3)
    drawn = rng.normal(size=(count, SIZE**2)) * 10.0 ** rng.uniform(-30, 30, (count, SIZE**2))
    with np.errstate(over="ignore"):
        drawn = drawn.astype(dtype)
    taken = pairs[:, rng.permutation(pairs.shape[1])[: SIZE**2 // 2]]
    drawn[:, : taken.shape[1]] = taken
    return [np.ascontiguousarray(x.reshape(SIZE, SIZE)) for x in drawn]


def letters_of(pattern: Pattern) -> set[str]:
    if isinstance(pattern, Call):
        return set().union(*map(letters_of, pattern.args))
    return {pattern} if isinstance(pattern, str) else set()


def computed(pattern: Pattern, xp, letters: dict[str, np.ndarray], dtype: type):
    """What one side of a law comes to."""
    if isinstance(pattern, str):
        return letters[pattern]
    if isinstance(pattern, float):
        return xp.asarray(pattern, dtype)
    primitive = PRIMITIVES[pattern.op]
    args = [computed(argument, xp, letters, dtype) for argument in pattern.args]
    if primitive.scope == MODEL:
        return primitive.apply(xp, *((a,) for a in args))[0]
    return primitive.apply(xp, *args)


def cases(law: Law, dtype: type, xp):
    """Values for the letters of a law: a constant takes many values, one after the other."""
    names = sorted(letters_of(read(law.left)))
    values = dict(zip(names, numbers(dtype, max(2, len(names)), xp), strict=False))
    values |= {"row": numbers(dtype, 2, xp)[0][:1], "column": numbers(dtype, 2, xp)[1][:, :1]}
    for k in (0.0, -0.0, 1.0, -1.0, 0.1, -2.5, 1e10, 1e-30) if "k" in names else (None,):
        yield {name: dtype(k) if name == "k" else values[name] for name in names}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("xp", [np, jnp], ids=["numpy", "jax"])
@every_law
def test_both_sides_of_a_law_are_equal_to_the_last_bit(law, xp, dtype):
    with jax.enable_x64(dtype is np.float64), np.errstate(all="ignore"):
        for values in cases(law, dtype, xp):
            values = {name: xp.asarray(value) for name, value in values.items()}
            left = np.asarray(computed(read(law.left), xp, values, dtype))
            right = np.asarray(computed(read(law.right), xp, values, dtype))
            assert left.dtype == right.dtype == dtype
            np.testing.assert_array_equal(*np.broadcast_arrays(left, right))
            if law.left not in LOSES_THE_SIGN_OF_ZERO:
                known = ~np.isnan(left)
                np.testing.assert_array_equal(np.signbit(left)[known], np.signbit(right)[known])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "p",
    [p for p in PRIMITIVES.values() if p.scope == ELEMENTWISE and p.name != "atan2"],
    ids=lambda p: p.name,
)
def test_no_primitive_but_atan2_tells_a_zero_from_a_negative_zero(p, dtype):
    """So a law may lose the sign of a zero."""
    others = [dtype(x) for x in (0.0, 1.0, -2.5, np.inf, np.nan)]
    with np.errstate(all="ignore"):
        for slot in range(p.arity):
            for given in itertools.product(others, repeat=p.arity):
                plus, minus = (
                    p.apply(np, *given[:slot], zero, *given[slot + 1 :])
                    for zero in (dtype(0.0), dtype(-0.0))
                )
                np.testing.assert_array_equal(plus, minus)


def said(side: str, primitive: Primitive):
    """The graph of a program that computes one side of a law."""
    square = primitive.slots[0] == Square.__metadata__[0]
    lines = [
        "x = gram_left(g)" if square else "x = sin(g)", "y = cos(w)", "c = g > w",
        "row = mean_over_rows(g)", "column = mean_over_columns(g)",
        f"u = {side}", "u = u @ g" if square else "u = u * lr",
    ]  # fmt: skip
    body = "".join(f"    {line}\n" for line in lines)
    return graph(parse(f"k = 0.37\n\ndef step(w, g, lr):\n{body}    return u\n"))


@every_law
def test_a_law_is_applied(law):
    primitive = PRIMITIVES[law.op]
    assert said(law.left, primitive).key == said(law.right, primitive).key


def test_the_table_is_read_for_every_primitive_that_it_names():
    assert set(LAWS) <= set(ALL)
    assert all(law.op in PRIMITIVES for law in LAWS)


MISSES = {
    "x * y": "multiply",  # no square
    "x - y": "subtract",  # y is no constant
    "x - t": "subtract",
    "gram_left(g) @ column": "matmul",
    "where(c, x, y)": "where",
    "where(c, lr, lr)": "where",  # a tensor, and lr is a number
    "maximum(x, y)": "maximum",
    "abs(sign(abs(x)))": "sign",
    "x + 1.0": "add",
    "x * 0.0": "multiply",  # nan where x is infinite
    "1.0 / x": "divide",
    "0.0 - x": "subtract",
    "x ** 2.0": "power",
}


@pytest.mark.parametrize(("text", "op"), MISSES.items())
def test_what_only_looks_like_a_law_stays(text, op):
    program = parse(
        "def step(w, g, lr, t):\n    x = sin(g)\n    y = cos(w)\n    c = g > w\n"
        f"    column = mean_over_columns(g)\n    u = {text}\n    u = u * g\n    return u\n"
    )
    assert op in graph(program).ops


def test_a_fact_of_the_registry_is_a_law():
    assert Law("less(x, y)", "greater(y, x)") not in ALL
    assert Law("greater(x, y)", "less(y, x)") in ALL
    assert Law("negative(negative(x))", "x") in ALL
    assert Law("add(0.0, x)", "x") in ALL
    assert Law("subtract(0.0, x)", "x") not in ALL
