"""Every primitive against plain numpy, its declared algebra, its signature, and the promise to be
total.

A new primitive is tested by existing: it needs an entry in `PLAIN`, `LEAVES`, `WHOLE`, `AXES` or
`MATRICES`, by its scope (what it means, in float64 numpy, written again without looking), and is
otherwise found through the registry.
"""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from primitives import PRIMITIVES, SCALAR, TENSOR
from primitives.kinds import COLUMN, KINDS, LEFT, RIGHT, ROW, join, takes
from primitives.kinds import product as product_of_kinds
from primitives.registry import (
    AXIS,
    COMPILER,
    ELEMENTWISE,
    LEAF,
    MACHINE,
    MATRIX,
    MEANING,
    MODEL,
    ORACLE,
    SCOPES,
    WINDOW,
)

LION = """
    abs cos sin tan arcsin arccos arctan sinh cosh tanh arcsinh arccosh arctanh exp exp2 exp10 expm1 log log10 log2
    log1p square sqrt cube cbrt sign reciprocal norm invert negative add subtract multiply divide maximum minimum
    power global_norm interp dot cosine_sim clip_by_global_norm get_pi get_e get_eps
""".split()  # noqa: SIM905  a list of words, as the paper has it

VALUES = [
    0.0,
    -0.0,
    0.25,
    0.3,
    0.5,
    0.9,
    1.0,
    1.5,
    2.0,
    2.5,
    3.0,
    4.0,
    7.0,
    10.0,
    30.0,
    100.0,
    1e-3,
    1e-8,
    1e-30,
    1e30,
]
VALUES = np.array(
    [*VALUES, *(-v for v in VALUES[2:]), 33.0, 50.0, 1 - 2.0**-24, 1 + 2.0**-23, 123456.0]
)
WIDER = np.array([1e300, -1e300, 1e-300, -1e-300, 700.0])  # float64 only
FEW = np.array(
    [0.0, -0.0, 0.3, 1.0, -1.0, -2.5, 1e-30, 1e30, -1e30, 7.0]
)  # for functions of three arguments

TINY, INSIDE = 2.0**-126, 1.0 - 2.0**-23


def plain_power(x: float, y: float) -> float:
    """x ** y; 0 to a power that is not 0 is 0; a negative x counts as |x| unless y is whole, and
    then has a sign.
    """
    if x == 0.0:
        return float(y == 0.0)
    try:
        size = math.pow(abs(x), y)
    except OverflowError:
        size = math.inf
    return -size if x < 0.0 and abs(math.fmod(y, 2.0)) == 1.0 else size


def quotient(x, y):
    return np.divide(x, y, out=np.zeros(np.broadcast(x, y).shape), where=y != 0.0)


def plain_modulo(x, y):
    """x - y·floor(x / y), exactly; 0 for y = 0."""
    with np.errstate(all="ignore"):
        return np.where(y == 0.0, 0.0, np.mod(x, np.where(y == 0.0, 1.0, y)))


PLAIN = {
    "abs": np.abs, "cos": np.cos, "sin": np.sin, "tan": np.tan, "arctan": np.arctan,
    "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "arcsinh": np.arcsinh, "exp": np.exp,
    "exp2": np.exp2, "expm1": np.expm1, "square": np.square, "cbrt": np.cbrt, "sign": np.sign,
    "negative": np.negative, "add": np.add, "subtract": np.subtract, "multiply": np.multiply,
    "maximum": np.maximum, "minimum": np.minimum, "divide": quotient,
    "reciprocal": lambda x: quotient(np.float64(1.0), x),
    "arcsin": lambda x: np.arcsin(np.clip(x, -1.0, 1.0)),
    "arccos": lambda x: np.arccos(np.clip(x, -1.0, 1.0)),
    "arccosh": lambda x: np.arccosh(np.clip(x, 1.0, None)),
    "arctanh": lambda x: np.arctanh(np.clip(x, -INSIDE, INSIDE)),
    "exp10": lambda x: np.power(10.0, x), "log": lambda x: np.log(np.clip(np.abs(x), TINY, None)),
    "log10": lambda x: np.log10(np.clip(np.abs(x), TINY, None)),
    "log2": lambda x: np.log2(np.clip(np.abs(x), TINY, None)),
    "log1p": lambda x: np.where(
        np.abs(1 + x) < TINY, np.log(TINY), np.where(x < -1, np.log(-1 - x), np.log1p(x))
    ),
    "sqrt": lambda x: np.sqrt(np.abs(x)), "cube": lambda x: x * x * x,
    "invert": lambda x: np.float64(x == 0.0),
    "power": np.vectorize(plain_power, otypes=[np.float64]), "interp": lambda x, y,
    a: (1.0 - a) * x + a * y, "greater": lambda x, y: np.float64(x > y), "greater_equal": lambda x,
    y: np.float64(x >= y), "less": lambda x, y: np.float64(x < y), "less_equal": lambda x,
    y: np.float64(x <= y), "equal": lambda x, y: np.float64(x == y), "not_equal": lambda x,
    y: np.float64(x != y), "where": lambda c, x, y: np.where(c == 0.0, y, x), "copy": lambda x: x,
    "atan2": np.arctan2, "soft_threshold": lambda x,
    a: np.sign(x) * np.maximum(np.abs(x) - np.abs(a), 0.0), "modulo": plain_modulo,
    "floor": lambda x: (x - np.fmod(x, 1.0)) - (np.fmod(x, 1.0) < 0.0),
    "get_pi": lambda: np.float64(math.pi), "get_e": lambda: np.float64(math.e),
    "get_eps": lambda: np.float64(1e-8), "erf": np.vectorize(math.erf),
    "spacing": lambda x, bits: np.where(
        x == 0.0, 0.0, np.exp2(np.frexp(x)[1] - np.trunc(np.clip(bits, 0.0, 64.0)))
    ),
}  # fmt: skip

ELEMENTS = [p for p in PRIMITIVES.values() if p.scope == ELEMENTWISE]
every = pytest.mark.parametrize("p", PRIMITIVES.values(), ids=lambda p: p.name)
elementwise = pytest.mark.parametrize("p", ELEMENTS, ids=lambda p: p.name)
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])


def table(arity: int, dtype) -> list[np.ndarray]:
    """All combinations of the values, one array an argument."""
    values = {0: [], 1: VALUES, 2: VALUES, 3: FEW}[arity]
    if dtype is np.float64 and 0 < arity < 3:
        values = np.concatenate([values, WIDER])
    if arity == 0:
        return []
    return [
        np.array(column, dtype)
        for column in zip(*itertools.product(values, repeat=arity), strict=True)
    ]


def tolerance(name: str, arguments: list[np.ndarray], dtype) -> np.ndarray | float:
    """In units of the last place. The libraries promise a few; the exceptions have a reason."""
    match name:
        case "floor":
            return 0.0
        case (
            "abs"
            | "copy"
            | "sign"
            | "negative"
            | "where"
            | "maximum"
            | "minimum"
            | "invert"
            | "get_pi"
            | "get_e"
        ):
            return 0.5  # exact
        case "add" | "subtract" | "multiply" | "square" | "sqrt":
            return 0.5 + 1e-6  # rounded once
        # 2^(x log2 10): the product is rounded, and a relative error there is multiplied by x ln 10
        case "exp10":
            return 4 + 3 * np.abs(arguments[0])
        case (
            "exp2" | "sinh" | "cosh"
        ):  # XLA takes e^(x ln 2) and e^(x - ln 2), whose arguments are rounded
            return 4 + np.abs(arguments[0])
        case "power":  # |x|^y = e^(y ln |x|), the same way
            with np.errstate(all="ignore"):
                return 4 + np.abs(
                    arguments[1] * np.log(np.abs(np.where(arguments[0] == 0.0, 1.0, arguments[0])))
                )
        case _:
            return 4


def compare(name: str, got, plain, arguments, dtype) -> None:
    """Equal within the tolerance; what is too large for the dtype is inf; what is too small for it
    may be 0.
    """
    limits = np.finfo(dtype)
    got = np.asarray(got).astype(np.float64)
    with np.errstate(over="ignore"):
        overflow = np.isinf(np.asarray(plain).astype(dtype))
    error = np.abs(got - np.where(overflow, 0.0, plain))
    bound = (
        float(limits.eps)
        * np.where(overflow, 0.0, np.abs(plain))
        * tolerance(name, arguments, dtype)
    )
    fine = np.where(
        overflow, got == np.copysign(np.inf, plain), error <= bound + float(limits.smallest_normal)
    )
    wrong = np.flatnonzero(~fine)
    shown = [
        (tuple(a.flat[i] for a in arguments), got.flat[i], np.asarray(plain).flat[i])
        for i in wrong[:5]
    ]
    assert not len(wrong), f"{name}: {len(wrong)} wrong, such as (arguments, got, wanted) {shown}"


# --- the registry ---------------------------------------------------------------------------------


def test_the_family_lion_has_the_45_primitives_of_the_paper():
    assert len(LION) == 45
    assert sorted(p.name for p in PRIMITIVES.values() if p.family == "lion") == sorted(LION)


@every
def test_a_primitive_says_what_it_does_and_where_it_comes_from(p):
    assert p.summary.endswith((".", "`."))
    assert p.source
    assert p.family
    assert p.scope in SCOPES
    assert p.flops >= 0
    assert p.signature.startswith(f"{p.name}(")


@every
def test_which_readings_know_a_primitive_is_said_by_its_scope_and_whether_it_is_flat(p):
    """The machine holds no squares and asks the task for nothing but gradients and losses."""
    assert p.readings == (
        (MEANING, COMPILER)
        if p.scope in (WINDOW, ORACLE) or not p.flat
        else (MEANING, COMPILER, MACHINE)
    )
    has_square = any(
        isinstance(slot, tuple) or slot in (LEFT, RIGHT) for slot in (*p.slots, p.result)
    )
    if has_square and p.name not in (
        "mean",
        "largest",
        "quantile",
        "median",
    ):  # which take other kinds too
        assert MACHINE not in p.readings


@pytest.mark.parametrize(
    "p", [p for p in PRIMITIVES.values() if p.scope == ORACLE], ids=lambda p: p.name
)
def test_an_oracle_is_computed_by_the_task_alone(p):
    with pytest.raises(NotImplementedError, match="computed by the task"):
        p.apply(np, np.ones((2, 3)))


def test_hash_codes_and_infix_signs_are_unique():
    assert len({p.code for p in PRIMITIVES.values()}) == len(PRIMITIVES)
    signs = [p.infix for p in PRIMITIVES.values() if p.infix]
    assert len(set(signs)) == len(signs)
    assert all(PRIMITIVES[name].name == name for name in PRIMITIVES)


@every
def test_declared_facts_fit_the_arity(p):
    if p.commutative or p.identity is not None or p.mirror or p.infix:
        assert p.arity == 2
    if p.involution:
        assert p.arity == 1
    if p.idempotent:
        assert p.arity in (1, 2)
    if p.mirror:
        assert not PRIMITIVES[p.mirror].mirror, "a mirror that points back would never end"


# --- meaning --------------------------------------------------------------------------------------


@DTYPES
@elementwise
def test_an_elementwise_primitive_is_plain_numpy_made_total(p, dtype):
    arguments = table(p.arity, dtype)
    wide = [a.astype(np.float64) for a in arguments]
    with np.errstate(all="ignore"):
        plain = PLAIN[p.name](*wide)
        if p.name == "interp":  # a product that overflows is an overflow, whatever is added to it
            terms = ((1.0 - wide[2]) * wide[0]).astype(dtype), (wide[2] * wide[1]).astype(dtype)
            keep = np.isfinite(terms[0]) & np.isfinite(terms[1])
            size = np.abs(terms[0]) + np.abs(
                terms[1]
            )  # they may cancel, so the error is relative to both
            arguments, plain, size = [a[keep] for a in arguments], plain[keep], size[keep]
        if p.name in (
            "sin",
            "cos",
            "tan",
        ):  # 1e30 radians is a matter of the library; see the test below
            keep = np.abs(wide[0]) < 1e6
            arguments, plain = [arguments[0][keep]], plain[keep]
    with jax.enable_x64(dtype is np.float64):
        ours = p.apply(jnp, *map(jnp.asarray, arguments))
        if p.arity:
            assert ours.dtype == dtype
            assert ours.shape == arguments[0].shape
    with np.errstate(all="ignore"):
        host = p.apply(np, *arguments)  # the probe and the folding of constants use numpy
    for got in (np.asarray(ours), np.asarray(host)):
        if p.name == "interp":
            assert (
                np.abs(got.astype(np.float64) - plain) <= 4 * np.finfo(dtype).eps * size + 1e-37
            ).all()
        else:
            compare(p.name, got, plain, arguments, dtype)


@DTYPES
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_a_wave_stays_finite_and_bounded_at_huge_arguments(name, dtype):
    with jax.enable_x64(dtype is np.float64):
        got = np.asarray(
            PRIMITIVES[name].apply(jnp, jnp.asarray([1e6, -1e9, 1e30, -1e30, 3e38], dtype))
        )
    assert np.isfinite(got).all()
    assert name == "tan" or (np.abs(got) <= 1.0).all()


@DTYPES
@elementwise
def test_finite_in_finite_out_except_for_overflow(p, dtype):
    """Never NaN, but for an interp of which both products overflow; inf only where the plain
    magnitude is too large.
    """
    arguments = table(p.arity, dtype)
    with jax.enable_x64(dtype is np.float64):
        got = np.asarray(p.apply(jnp, *map(jnp.asarray, arguments)))
    if p.name == "interp":
        x, y, a = (v.astype(np.float64) for v in arguments)
        with np.errstate(all="ignore"):
            excused = ~np.isfinite(((1.0 - a) * x).astype(dtype)) | ~np.isfinite(
                (a * y).astype(dtype)
            )
        got = got[~excused]
    assert not np.isnan(got).any()


DOCUMENTED = [
    ("sqrt", (-4.0,), 2.0),
    ("log", (-1.0,), 0.0),
    ("log", (0.0,), -87.33654),
    ("log2", (0.0,), -126.0),
    ("log10", (0.0,), -37.92978),
    ("log1p", (-1.0,), -87.33654),
    ("log1p", (-2.0,), 0.0),
    ("divide", (3.0, 0.0), 0.0),
    ("divide", (0.0, 0.0), 0.0),
    ("divide", (3.0, -0.0), 0.0),
    ("reciprocal", (0.0,), 0.0),
    ("reciprocal", (-0.0,), 0.0),
    ("arcsin", (2.0,), math.pi / 2),
    ("arccos", (-2.0,), math.pi),
    ("arccosh", (-5.0,), 0.0),
    ("arctanh", (1.0,), 8.317766),
    ("arctanh", (-9.0,), -8.317766),
    ("power", (-8.0, 1 / 3), 2.0),
    ("power", (-2.0, 3.0), -8.0),
    ("power", (0.0, -1.0), 0.0),
    ("power", (0.0, 0.0), 1.0),
    ("power", (-1.0, 1e30), 1.0),
    ("sign", (-0.0,), 0.0),
    ("invert", (0.0,), 1.0),
    ("invert", (-3.0,), 0.0),
    ("where", (-0.0, 1.0, 2.0), 2.0),
    ("where", (1e-30, 1.0, 2.0), 1.0),
    ("cbrt", (-27.0,), -3.0),
]


@pytest.mark.parametrize("xp", [jnp, np], ids=["jax", "numpy"])
@pytest.mark.parametrize(("name", "arguments", "value"), DOCUMENTED)
def test_outside_the_domain_of_the_plain_function_the_documented_value_holds(
    name, arguments, value, xp
):
    got = PRIMITIVES[name].apply(xp, *(xp.asarray(a, dtype=np.float32) for a in arguments))
    np.testing.assert_allclose(float(got), value, rtol=2e-6, atol=1e-30)


# --- reductions -----------------------------------------------------------------------------------

SHAPES = [(), (5,), (3, 4), (2, 2, 3, 2), (0,), (2, 0)]


def trees(dtype):
    rng = np.random.default_rng(3)
    whole = [tuple(np.asarray(rng.normal(0, 2, s), dtype) for s in SHAPES) for _ in range(2)]
    zero = tuple(np.zeros(s, dtype) for s in SHAPES)
    return [(whole[0], whole[1]), (whole[0], zero), (zero, zero), (whole[0], whole[0])]


def lengths(x):
    return math.sqrt(sum(float(np.sum(np.float64(a) ** 2)) for a in x))


def product(x, y):
    return sum(float(np.sum(np.float64(a) * np.float64(b))) for a, b in zip(x, y, strict=True))


LEAVES = {
    "norm": lambda x: np.sqrt(np.sum(x**2)),
    "total": np.sum,
    "mean": lambda x: np.sum(x) / max(1, x.size),
    "largest": lambda x: max([0.0, *np.abs(x).ravel()]),
    "count": lambda x: float(math.prod(x.shape)),
    "quantile": lambda x, q: np.quantile(x, np.clip(q, 0, 1)) if x.size else 0.0,
    "median": lambda x: np.median(x) if x.size else 0.0,
}
WHOLE = {
    "global_total": lambda x, y: [sum(math.fsum(np.ravel(np.float64(a))) for a in x)] * len(x),
    "global_count": lambda x, y: [float(sum(math.prod(a.shape) for a in x))] * len(x),
    "global_norm": lambda x, y: [lengths(x)] * len(x),
    "dot": lambda x, y: [product(x, y)] * len(x),
    "cosine_sim": lambda x, y: (
        [product(x, y) / (lengths(x) * lengths(y)) if lengths(x) * lengths(y) else 0.0] * len(x)
    ),
    "clip_by_global_norm": lambda x, c: [
        np.float64(a) * min(1.0, c / lengths(x) if lengths(x) else 1.0) for a in x
    ],
}


WINDOWS = {
    "window_total": lambda x: np.sum(x, axis=0),
    "window_mean": lambda x: np.mean(x, axis=0),
    "window_quantile": lambda x, q: np.quantile(x, np.clip(q, 0, 1), axis=0),
}
WHOLE |= {
    "global_largest": lambda x, y: [max(np.abs(a).max(initial=0.0) for a in x)] * len(x),
    "global_quantile": lambda x, q: (
        [np.quantile(np.concatenate([np.ravel(a) for a in x]), np.clip(q, 0, 1))] * len(x)
    ),
}


def test_every_primitive_has_a_second_opinion():
    for opinions, scope in (
        (PLAIN, ELEMENTWISE),
        (LEAVES, LEAF),
        (WHOLE, MODEL),
        (AXES, AXIS),
        (WINDOWS, WINDOW),
    ):
        assert {*opinions} == {p.name for p in PRIMITIVES.values() if p.scope == scope} - {
            *MATRICES
        }
    assert {*MATRICES} >= {p.name for p in PRIMITIVES.values() if p.scope == MATRIX}
    assert {*PLAIN, *LEAVES, *WHOLE, *AXES, *MATRICES, *WINDOWS} == {
        p.name for p in PRIMITIVES.values() if p.scope != ORACLE
    }


@DTYPES
@pytest.mark.parametrize("xp", [jnp, np], ids=["jax", "numpy"])
@pytest.mark.parametrize(
    "p", [p for p in PRIMITIVES.values() if p.scope == LEAF], ids=lambda p: p.name
)
def test_a_reduction_over_one_leaf_is_numpy_in_float64(p, xp, dtype):
    with jax.enable_x64(dtype is np.float64):
        for leaf in trees(dtype)[0][0] + trees(dtype)[2][0]:
            for q in [[0.25], [0.9], [-1.0], [7.0]] if p.arity == 2 else [[]]:
                got = p.apply(xp, xp.asarray(leaf), *(xp.asarray(v, dtype) for v in q))
                assert (np.shape(got), got.dtype) == ((), dtype)
                # A sum of 24 numbers of size 2 loses a few units in the last place of 50.
                bar = 100 * np.finfo(dtype).eps
                wanted = LEAVES[p.name](np.float64(leaf), *q)
                np.testing.assert_allclose(float(got), wanted, rtol=0, atol=bar)


@DTYPES
@pytest.mark.parametrize("xp", [jnp, np], ids=["jax", "numpy"])
@pytest.mark.parametrize(
    "p", [p for p in PRIMITIVES.values() if p.scope == MODEL], ids=lambda p: p.name
)
def test_a_reduction_over_the_model_is_numpy_in_float64(p, xp, dtype):
    with jax.enable_x64(dtype is np.float64):
        for x, y in trees(dtype):
            for c in [0.0, 0.5, 1e6, -1.0] if p.slots[-1] is SCALAR else [None]:
                second = y if c is None else c
                arguments = (x, y) if c is None else (x, tuple(np.asarray(c, dtype) for _ in x))
                got = p.apply(xp, *(tuple(map(xp.asarray, a)) for a in arguments[: p.arity]))
                assert len(got) == len(x)
                for a, b, leaf in zip(got, WHOLE[p.name](x, second), x, strict=True):
                    assert a.dtype == dtype
                    assert np.shape(a) == (leaf.shape if p.result is TENSOR else ())
                    # Sums of 42 squares of size 4: relative to 200.
                    np.testing.assert_allclose(
                        np.float64(a),
                        b,
                        rtol=8 * np.finfo(dtype).eps,
                        atol=200 * np.finfo(dtype).eps,
                    )


@pytest.mark.parametrize(
    "p", [p for p in PRIMITIVES.values() if p.scope in (LEAF, MODEL)], ids=lambda p: p.name
)
def test_a_reduction_is_finite_unless_a_square_overflows(p):
    for size in (
        1e-30,
        1.0,
        1e18,
    ):  # 1e18 squared is the last power of ten but one below the largest float32
        x = tuple(jnp.asarray(size * np.float32([1.0, -0.5]), jnp.float32) for _ in range(2))
        c = (jnp.float32(0.1),) * 2
        second = c if p.slots[-1] is SCALAR else x
        got = (
            p.apply(jnp, *(x, second)[: p.arity])
            if p.scope == MODEL
            else [p.apply(jnp, *pair[: p.arity]) for pair in zip(x, second, strict=True)]
        )
        assert all(np.isfinite(a).all() for a in got)


READINGS = pytest.mark.parametrize(  # jax compiles each call for each dtype, which takes long
    ("xp", "dtype"),
    [(jnp, np.float32), (np, np.float32), (np, np.float64)],
    ids=["jax", "numpy32", "numpy64"],
)


@READINGS
@pytest.mark.parametrize("name", WINDOWS)
def test_a_window_of_values_is_numpy_over_their_first_axis(name, xp, dtype):
    values = np.random.default_rng(5).normal(0.0, 2.0, (7, 3, 4)).astype(dtype)
    more = {2: [0.0, 0.3, 0.5, 1.0, 3.0], 1: [None]}[PRIMITIVES[name].arity]
    for shape, count, q in itertools.product([(3, 4), ()], [1, 2, 7], more):
        x = values[:count] if shape else values[:count, 0, 0]
        first = [] if q is None else [xp.asarray(q, dtype)]
        got = PRIMITIVES[name].apply(xp, *first, *map(xp.asarray, x))
        assert (np.shape(got), got.dtype) == (shape, dtype)
        wanted = WINDOWS[name](np.float64(x), *([] if q is None else [q]))
        np.testing.assert_allclose(got, wanted, rtol=0, atol=20 * np.finfo(dtype).eps)


# --- matrices -------------------------------------------------------------------------------------

EXTENTS = {"1": 1, "r": 3, "c": 2}
SHAPE = {kind: tuple(EXTENTS[a] for a in kind.axes) for kind in KINDS.values()} | {SCALAR: ()}
XP = pytest.mark.parametrize("xp", [jnp, np], ids=["jax", "numpy"])


def by_columns(fold):
    """A row from a matrix, column by column, in Python's floats."""
    return lambda x: np.array([[fold([float(v) for v in column]) for column in x.T]]).reshape(
        1, x.shape[1]
    )


def by_rows(fold):
    return lambda x: by_columns(fold)(x.T).T


def average(values):
    return math.fsum(values) / len(values) if values else 0.0


AXES = {
    "total_over_rows": by_columns(math.fsum), "total_over_columns": by_rows(math.fsum),
    "mean_over_rows": by_columns(average), "mean_over_columns": by_rows(average),
    "largest_over_rows": by_columns(lambda v: max(map(abs, v), default=0.0)),
    "largest_over_columns": by_rows(lambda v: max(map(abs, v), default=0.0)),
    "norm_over_rows": by_columns(lambda v: math.hypot(*v)),
    "norm_over_columns": by_rows(lambda v: math.hypot(*v)), "row_count": len,
    "column_count": lambda x: len(x.T), "keep_rows": lambda x,
    k: np.array([row if n < k else 0.0 * row for n, row in enumerate(x)]).reshape(x.shape),
    "keep_columns": lambda x, k: AXES["keep_rows"](x.T, k).T,
}  # fmt: skip


@READINGS
@pytest.mark.parametrize("name", AXES)
def test_a_reduction_over_an_axis_is_plain_python_column_by_column(name, xp, dtype):
    rng = np.random.default_rng(4)
    with jax.enable_x64(dtype is np.float64):
        for shape in [(3, 4), (1, 5), (5, 1), (2, 0), (0, 2)][
            : 1 if xp is jnp else None
        ]:  # jax compiles each shape
            x = np.asarray(rng.normal(0, 2, shape), dtype)
            for k in [0.0, 2.0, 2.5, -1.0, 1e9] if name.startswith("keep") else [None]:
                more = () if k is None else (k,)
                got = PRIMITIVES[name].apply(
                    xp, xp.asarray(x), *(xp.asarray(a, dtype) for a in more)
                )
                wanted = np.float64(AXES[name](np.float64(x), *more))
                assert (np.shape(got), got.dtype) == (wanted.shape, dtype)
                # A sum of 5 numbers of size 4 loses a few units in the last place of 20.
                np.testing.assert_allclose(
                    np.float64(got), wanted, rtol=0, atol=50 * np.finfo(dtype).eps
                )


def spd(size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A symmetric matrix with eigenvalues size, ..., 1 in an orthonormal basis of known vectors."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.normal(size=(size, size)))[0]
    values = np.arange(size, 0.0, -1.0)
    return sum(v * np.outer(q, q) for v, q in zip(values, basis.T, strict=True)), values, basis


def by_singular_values(x, a, b, c):
    """Newton and Schulz's step: what it does to each singular value, the bases staying."""
    u, s, v = np.linalg.svd(x, full_matrices=False)
    return (u * (a * s + b * s**3 + c * s**5)) @ v


def gram_schmidt(x):
    """Gram and Schmidt, twice for accuracy: the Q of a QR whose R has nothing below 0 on its
    diagonal.
    """
    columns = []
    for column in x.T:
        for _ in range(2):
            for q in columns:
                column = column - (q @ column) * q
        columns.append(column / math.sqrt(column @ column))
    return np.array(columns).T


def root_by_eigenvalues(x, p):
    x = (x + x.T) / 2
    values, vectors = np.linalg.eig(x)  # the general solver: not the one that the definition calls
    values, vectors = values.real, vectors.real
    return sum(v ** (-1.0 / p) * np.outer(q, q) for v, q in zip(values, vectors.T, strict=True))


def sorted_eigenvectors(x):
    values, vectors = np.linalg.eig((x + x.T) / 2)
    vectors = vectors.real[:, np.argsort(-values.real)]
    return np.array([q / np.sqrt(q @ q) * np.sign(q[np.argmax(np.abs(q))]) for q in vectors.T]).T


MATRICES = {
    "matmul": lambda x, y: np.array([[math.fsum(row * column) for column in y.T] for row in x]),
    "gram_left": lambda x: np.array([[math.fsum(a * b) for b in x] for a in x]),
    "gram_right": lambda x: np.array([[math.fsum(a * b) for b in x.T] for a in x.T]),
    "transpose": lambda x: np.array([[x[j, i] for j in range(len(x))] for i in range(len(x))]),
    "add_diagonal": lambda x,
    a: np.array([[v + a * (i == j) for j, v in enumerate(row)] for i, row in enumerate(x)]),
    "trace": lambda x: math.fsum(x[i, i] for i in range(len(x))),
    "inverse_root": root_by_eigenvalues, "eigenbasis": sorted_eigenvectors,
    "orthonormal": gram_schmidt, "newton_schulz": by_singular_values,
    "cross_left": lambda x, y: np.array([[math.fsum(a * b) for b in y] for a in x]),
    "cross_right": lambda x, y: np.array([[math.fsum(a * b) for b in y.T] for a in x.T]),
    "orthonormal_columns": lambda x: np.concatenate(
        [gram_schmidt(x[:, : len(x)]), np.zeros((len(x), max(x.shape[1] - len(x), 0)))], axis=1
    ),
}  # fmt: skip

ROOTS = [("inverse_root", (float(p),)) for p in (1, 2, 4, -2, 3.5)]
CALLS = [
    *((name, ()) for name in ("gram_left", "gram_right", "transpose", "trace", "eigenbasis")),
    *((name, ()) for name in ("orthonormal", "matmul", "cross_left", "cross_right")),
    ("orthonormal_columns", ()),
    ("add_diagonal", (0.3,)), *ROOTS, ("newton_schulz", (3.4445, -4.775, 2.0315)),
    ("newton_schulz", (1.5, -0.5, 0.0)),
]  # fmt: skip


@READINGS
@pytest.mark.parametrize(("name", "more"), CALLS, ids=str)
def test_a_matrix_primitive_is_what_numpy_says_in_float64(name, more, xp, dtype):
    rng = np.random.default_rng(5)
    p = PRIMITIVES[name]
    if isinstance(p.slots[0], tuple) and name != "matmul":
        noise = rng.normal(size=(2, 4, 4))
        inputs = [
            (spd(4)[0] + 0.01 * (noise[0] - noise[0].T),)
        ]  # what is not symmetric in it does not count
        if name in ("transpose", "add_diagonal", "trace", "orthonormal"):
            inputs = [(noise[0],), (noise[1],)]
    else:
        shapes = [(3, 5), (5, 3), (4, 4), (1, 3), (3, 1)][
            : 2 if xp is jnp else None
        ]  # jax compiles each
        inputs = [(rng.normal(size=shape),) for shape in shapes]
        if name == "newton_schulz":
            inputs = [(x / np.linalg.norm(x),) for (x,) in inputs]  # what Muon does first
        if name.startswith("cross"):
            inputs = [(x, rng.normal(size=x.shape)) for (x,) in inputs]
        if name == "matmul":
            pairs = [((3, 3), (3, 2)), ((3, 1), (1, 2)), ((1, 3), (3, 3))]
            inputs = [(rng.normal(size=a), rng.normal(size=b)) for a, b in pairs]
    with jax.enable_x64(dtype is np.float64):
        for arguments in inputs:
            arguments = [np.asarray(a, dtype) for a in (*arguments, *more)]
            got = p.apply(xp, *map(xp.asarray, arguments))
            wanted = np.float64(MATRICES[name](*map(np.float64, arguments)))
            assert (np.shape(got), got.dtype) == (wanted.shape, dtype)
            # Eigenvalues from 1 to 4, a gap of 1: vectors are off by some eps; sums of 5 products
            # of size 4.
            np.testing.assert_allclose(
                np.float64(got), wanted, rtol=0, atol=200 * np.finfo(dtype).eps
            )


@READINGS
def test_a_basis_of_columns_leaves_out_what_depends_on_others_and_what_is_not_finite(xp, dtype):
    x = np.random.default_rng(3).normal(size=(6, 4)).astype(dtype)
    x[:, 2] = 0.0
    q = np.asarray(PRIMITIVES["orthonormal_columns"].apply(xp, xp.asarray(x)))
    np.testing.assert_allclose(q.T @ q, np.diag([1, 1, 0, 1]), atol=50 * np.finfo(dtype).eps)
    x[0, 0] = np.inf
    assert np.isnan(PRIMITIVES["orthonormal_columns"].apply(xp, xp.asarray(x))).all()


@READINGS
def test_an_eigenbasis_diagonalises_from_the_largest_value_down(xp, dtype):
    with jax.enable_x64(dtype is np.float64):
        for seed in range(3):
            x, values, basis = spd(5, seed)
            q = np.float64(PRIMITIVES["eigenbasis"].apply(xp, xp.asarray(x, dtype)))
            small = 100 * np.finfo(dtype).eps
            np.testing.assert_allclose(q.T @ q, np.eye(5), atol=small)
            np.testing.assert_allclose(q.T @ x @ q, np.diag(values), atol=5 * small)
            assert (q[np.argmax(np.abs(q), axis=0), range(5)] > 0.0).all()
            np.testing.assert_allclose(
                q, basis * np.sign(np.sum(q * basis, axis=0)), atol=5 * small
            )


@XP
def test_the_sign_of_an_eigenvector_does_not_turn_on_rounding_where_two_components_are_equal(xp):
    x = np.float32([[2.0, -1.0], [-1.0, 2.0]])  # vectors (1, -1) and (1, 1), over the root of 2
    for shake in (0.0, 1e-6, -1e-6):
        q = PRIMITIVES["eigenbasis"].apply(
            xp, xp.asarray(x + np.float32([[shake, 0.0], [0.0, -shake]]))
        )
        np.testing.assert_allclose(
            q, np.array([[1.0, 1.0], [-1.0, 1.0]]) / math.sqrt(2.0), atol=1e-5
        )


@XP
def test_an_inverse_root_leaves_out_what_is_not_above_0(xp):
    basis = spd(4)[2]
    x = basis @ np.diag([16.0, 1.0, 0.0, -4.0]) @ basis.T
    for dtype in (np.float32, np.float64):
        with jax.enable_x64(dtype is np.float64):
            got = PRIMITIVES["inverse_root"].apply(xp, xp.asarray(x, dtype), xp.asarray(2.0, dtype))
        wanted = basis @ np.diag([0.25, 1.0, 0.0, 0.0]) @ basis.T
        np.testing.assert_allclose(np.float64(got), wanted, atol=1e3 * np.finfo(dtype).eps)
    zero = xp.zeros((3, 3), dtype=np.float32)
    np.testing.assert_array_equal(
        PRIMITIVES["inverse_root"].apply(xp, zero, xp.float32(4.0)), np.zeros((3, 3))
    )


@XP
def test_powers_of_an_inverse_root_undo_the_matrix(xp):
    with jax.enable_x64(True):
        x = xp.asarray(spd(5)[0])
        for p in (1, 2, 4):
            root = PRIMITIVES["inverse_root"].apply(xp, x, xp.asarray(float(p)))
            power = np.linalg.matrix_power(np.asarray(root), p)
            np.testing.assert_allclose(power @ np.asarray(x), np.eye(5), atol=1e-13)


@XP
def test_an_orthonormal_basis_keeps_the_signs_of_a_basis_that_it_is_given(xp):
    with jax.enable_x64(True):
        for seed in range(5):
            q = spd(4, seed)[2]
            got = PRIMITIVES["orthonormal"].apply(
                xp, xp.asarray(q * np.array([1.0, 5.0, 0.1, 2.0]))
            )
            np.testing.assert_allclose(got, q, atol=1e-14)


@XP
def test_five_newton_schulz_steps_bring_all_singular_values_near_one(xp):
    x = np.random.default_rng(6).normal(size=(4, 7))
    x = xp.asarray(x / np.linalg.norm(x), dtype=np.float32)
    muon = [xp.asarray(v, dtype=np.float32) for v in (3.4445, -4.775, 2.0315)]
    for _ in range(5):
        x = PRIMITIVES["newton_schulz"].apply(xp, x, *muon)
    values = np.linalg.svd(np.asarray(x), compute_uv=False)
    assert ((values > 0.68) & (values < 1.14)).all()  # the bounds that Jordan states


def drawn(kinds, size: float) -> list[np.ndarray]:
    """Arguments of these kinds, at `size`; a number is 2."""
    rng = np.random.default_rng(7)
    draw = lambda kind: np.float32(size * rng.uniform(0.5, 1.5, SHAPE[kind]))  # noqa: E731
    return [np.float32(2.0) if kind is SCALAR else draw(kind) for kind in kinds]


def fitting(p) -> list[tuple]:
    """All tuples of kinds that a primitive takes."""
    return [
        kinds
        for kinds in itertools.product(KINDS.values(), repeat=p.arity)
        if p.kind(*kinds) is not None
    ]


OF_MATRICES = [p for p in PRIMITIVES.values() if p.scope in (AXIS, MATRIX)]


@XP
@pytest.mark.parametrize("p", OF_MATRICES, ids=lambda p: p.name)
def test_a_matrix_primitive_is_finite_unless_a_product_overflows_and_never_fails(p, xp):
    for kinds in fitting(p):
        for size in (0.0, 1e-30, 1.0, 1e6):  # its fifth power is finite
            got = p.apply(xp, *map(xp.asarray, drawn(kinds, size)))
            assert np.isfinite(got).all(), (kinds, size)
            assert got.dtype == np.float32
        for bad in (np.nan, np.inf):
            arguments = drawn(kinds, 1.0)
            arguments[0].flat[0] = bad
            with np.errstate(all="ignore"):
                got = p.apply(xp, *map(xp.asarray, arguments))
            if p.name in ("inverse_root", "eigenbasis", "orthonormal"):
                assert np.isnan(got).all()
        for extent in ("r", "c"):  # a leaf without rows or without columns
            sizes = EXTENTS | {extent: 0}
            empty = [
                np.zeros([sizes[a] for a in k.axes] if k is not SCALAR else (), np.float32)
                for k in kinds
            ]
            got = p.apply(xp, *map(xp.asarray, empty))
            kind = p.kind(*kinds)
            assert got.shape == (() if kind is SCALAR else tuple(sizes[a] for a in kind.axes))
            assert not np.isnan(got).any()


# --- algebra --------------------------------------------------------------------------------------


def same(a, b) -> bool:
    """Equal numbers; the sign of a zero does not count, nor does NaN."""
    return np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True)


def applied(p, *arguments):
    if p.scope == MODEL:
        return np.asarray(p.apply(np, *((a,) for a in arguments))[0])
    return p.apply(np, *arguments)


@DTYPES
@pytest.mark.parametrize(
    "p", [p for p in PRIMITIVES.values() if p.commutative], ids=lambda p: p.name
)
def test_a_commutative_primitive_commutes(p, dtype):
    x, y = table(2, dtype)
    with np.errstate(all="ignore"):
        assert same(applied(p, x, y), applied(p, y, x))


@DTYPES
@pytest.mark.parametrize(
    "p", [p for p in PRIMITIVES.values() if p.idempotent], ids=lambda p: p.name
)
def test_an_idempotent_primitive_repeats_itself(p, dtype):
    (x,) = table(1, dtype)
    if p.arity == 1:
        assert same(applied(p, applied(p, x)), applied(p, x))
    else:
        assert same(applied(p, x, x), x)


@DTYPES
@pytest.mark.parametrize(
    "p", [p for p in PRIMITIVES.values() if p.involution], ids=lambda p: p.name
)
def test_an_involution_undoes_itself(p, dtype):
    (x,) = table(1, dtype)
    if p.scope == MATRIX:
        x = x[: math.isqrt(len(x)) ** 2].reshape(math.isqrt(len(x)), -1)
    assert same(applied(p, applied(p, x)), x)


@DTYPES
@pytest.mark.parametrize("xp", [jnp, np], ids=["jax", "numpy"])
@pytest.mark.parametrize(
    "p", [p for p in PRIMITIVES.values() if p.identity is not None], ids=lambda p: p.name
)
def test_an_identity_changes_nothing(p, xp, dtype):
    (x,) = table(1, dtype)
    with jax.enable_x64(dtype is np.float64):
        x, unit = xp.asarray(x), xp.full_like(xp.asarray(x), p.identity)
        assert same(p.apply(xp, x, unit), x)
        if p.commutative:
            assert same(p.apply(xp, unit, x), x)


@DTYPES
@pytest.mark.parametrize("p", [p for p in PRIMITIVES.values() if p.mirror], ids=lambda p: p.name)
def test_a_mirror_computes_the_same_with_its_arguments_exchanged(p, dtype):
    x, y = table(2, dtype)
    assert same(applied(p, x, y), applied(PRIMITIVES[p.mirror], y, x))


@every
def test_a_primitive_is_linear_in_the_groups_of_arguments_that_it_declares_and_in_no_others(p):
    rng = np.random.default_rng(0)
    if p.scope == ORACLE:  # a matrix of the task's, which no definition here knows
        assert p.linear == ((0,),)
        return
    if p.scope == WINDOW:  # it has as many arguments as a call gives it, which no group can name
        assert not p.linear
        return
    kinds = (
        fitting(p)[0]
        if p.scope in (AXIS, MATRIX)
        else [SCALAR if slot is SCALAR else TENSOR for slot in p.slots]
    )
    if p.name == "matmul":
        kinds = (LEFT, TENSOR)

    def drawn_one(
        kind,
    ):  # halves, so that zeros and equal numbers occur; scalars on both sides of a global norm
        if kind is SCALAR:
            return rng.normal(0, 10)
        shape = SHAPE[kind] if p.scope in (AXIS, MATRIX) else (64,)
        return rng.integers(-2, 3, size=shape) / 2.0

    def is_linear(group: tuple[int, ...]) -> bool:
        x, other = [drawn_one(k) for k in kinds], [drawn_one(k) for k in kinds]
        y = [other[slot] if slot in group else x[slot] for slot in range(p.arity)]
        mixed = [3.0 * x[slot] - y[slot] if slot in group else x[slot] for slot in range(p.arity)]
        with np.errstate(all="ignore"):
            sides = applied(p, *mixed), 3.0 * applied(p, *x) - applied(p, *y)
        return np.allclose(*sides, rtol=1e-12, atol=1e-12)  # float64, after a few roundings

    groups = itertools.chain(
        *(itertools.combinations(range(p.arity), n + 1) for n in range(p.arity))
    )
    assert list(p.linear) == [group for group in groups if all(is_linear(group) for _ in range(10))]


# --- kinds ----------------------------------------------------------------------------------------


@every
def test_the_signature_is_what_jax_infers(p):
    """For every choice of kinds: what is refused has a reason, what is taken has the shape that the
    kind promises.
    """
    for kinds in itertools.product(KINDS.values(), repeat=p.arity):
        kind = p.kind(*kinds)
        fits = all(map(takes, p.slots, kinds))
        free = [
            k
            for slot, k in zip(p.slots, kinds, strict=True)
            if slot is None or isinstance(slot, tuple)
        ]
        if fits and p.name != "matmul" and p.result is None:
            fits = join(*free) is not None
        if p.name == "matmul":
            fits = fits and product_of_kinds(*kinds) is not None
        assert (kind is not None) == fits, kinds
        if fits and p.scope != ORACLE:
            args = [jax.ShapeDtypeStruct(SHAPE[k], jnp.float32) for k in kinds]
            if p.scope == MODEL:
                args = [(a, a) for a in args]
            with jax.numpy_rank_promotion("allow"):
                out = jax.eval_shape(lambda *a: p.apply(jnp, *a), *args)
            leaves = out if p.scope == MODEL else (out,)
            assert {(a.shape, a.dtype) for a in leaves} == {
                (SHAPE[kind], jnp.dtype(jnp.float32))
            }, kinds


def test_kinds_join_as_numpy_broadcasts():
    """Where numpy broadcasts extents that are all different, and a kind has the shape, that kind is
    the join.
    """
    sizes = {"1": 1, "r": 3, "c": 2}
    shapes = {kind: tuple(sizes[a] for a in kind.axes) for kind in KINDS.values()}
    for pair in itertools.product(KINDS.values(), repeat=2):
        try:
            shape = np.broadcast_shapes(*(shapes[k] for k in pair))
        except ValueError:
            shape = None
        assert join(*pair) is next((k for k in KINDS.values() if shapes[k] == shape), None)
    assert join(COLUMN, ROW) is TENSOR
    assert join(ROW, LEFT) is None
    assert join(TENSOR, LEFT) is None
    assert join(ROW, RIGHT) is RIGHT


def test_kinds_multiply_as_matrices_do():
    for x, y in itertools.product(KINDS.values(), repeat=2):
        fits = SCALAR not in (x, y) and x.axes[1] == y.axes[0]
        wanted = KINDS.get((x.axes[0], y.axes[1])) if fits else None
        assert product_of_kinds(x, y) is wanted
    said = {
        (LEFT, TENSOR): TENSOR,
        (TENSOR, RIGHT): TENSOR,
        (LEFT, LEFT): LEFT,
        (COLUMN, ROW): TENSOR,
    }
    said |= {(ROW, RIGHT): ROW, (LEFT, COLUMN): COLUMN}
    said |= dict.fromkeys([(TENSOR, TENSOR), (ROW, COLUMN), (LEFT, RIGHT)])
    assert {pair: product_of_kinds(*pair) for pair in said} == said
