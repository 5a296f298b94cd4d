"""Meaning, machine and compiler agree, on random programs.

The judge is an evaluator of thirty lines below: numpy, float64, one primitive at a time. Random
programs can be chaotic (sin of a large number, a comparison at a tie), so the judge also says how
far rounding alone can move a
result: it runs again with every inexact operation perturbed by a few units in the last place. Where
that spread is large, or a value leaves the range in which the dtype is accurate, nothing can be
learnt and nothing is compared; the share that is compared is asserted.
"""

from __future__ import annotations

import math
from contextlib import suppress
from functools import cache
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from strategies import FLAT, MORE, parameter_trees, programs, random_program
from walk import evaluate

from primitives import PRIMITIVES, SCALAR, TENSOR, Program, meaning, parse
from primitives.canonical import probe as identity
from primitives.canonical.graph import MATRIX_LEAF, graph
from primitives.kinds import RIGHT
from primitives.machine import step as machine
from primitives.machine.code import FUSED, VECTOR_OPCODES, form_of
from primitives.machine.layout import Layout
from primitives.program import LEARNING_RATE

SHAPES = (0.5, 1.0, 0.75, 0.25)  # of the schedule, step by step
STEPS = len(SHAPES)
ULP = {np.float32: 2.0**-23, np.float64: 2.0**-52}
EXACT = {
    "copy", "sign", "abs", "negative", "maximum", "minimum", "where", "invert", "greater",
    "greater_equal", "less", "less_equal", "equal", "not_equal", "largest", "largest_over_rows",
    "largest_over_columns", "transpose", "count", "global_count", "row_count", "column_count",
}  # fmt: skip
PLAIN = {
    "add",
    "subtract",
    "multiply",
    "divide",
    "square",
    "reciprocal",
    "sqrt",
    "cube",
}  # one or two roundings

TREES = {
    "one vector": [(5,)],
    "a network": [(3, 3, 1, 2), (), (4,), (2, 3), (1,)],
    "empty leaves": [(0,), (3,), (2, 0)],
}


# --- the judge ------------------------------------------------------------------------------------


class Judge:
    """Runs programs in float64 with constants rounded to `dtype`; says what rounding can do to the
    result.
    """

    def __init__(self, program: Program, w, gradients, dtype, feed=None):
        self.program, self.dtype = program, dtype
        self.w, self.gradients = (
            [np.float64(x) for x in w],
            [[np.float64(x) for x in g] for g in gradients],
        )
        self.feed = feed or [{}] * STEPS
        self.low, self.high = np.inf, 0.0  # of the magnitudes seen
        self.updates, self.points = self.run()
        self.usable = self.high < 1e6 and self.low > (1e-12 if dtype is np.float32 else 1e-100)
        if self.usable:
            noisy = [self.run(noise) for noise in (self.rounded, *map(self.shaken, range(3)))]
            self.spread, self.scale = self.judged(self.updates, [updates for updates, _ in noisy])
            self.point_spread, self.point_scale = self.judged(
                self.points, [points for _, points in noisy]
            )

    def judged(self, results, noisy):
        """The spread and the size of results, step by step. What spreads too far is of no use."""
        spread = np.max([self.distance(run, results) for run in noisy], axis=0)
        scale = np.array([max(np.abs(x).max(initial=0.0) for x in leaves) for leaves in results])
        self.usable = self.usable and bool(np.all(spread <= 2.0**8 * ULP[self.dtype] * scale))
        return spread, scale

    @staticmethod
    def distance(a, b) -> np.ndarray:  # [step]
        return np.array(
            [
                max(np.abs(x - y).max(initial=0.0) for x, y in zip(p, q, strict=True))
                for p, q in zip(a, b, strict=True)
            ]
        )

    def rounded(self, x):
        """As the dtype would hold it: tanh(10) is 1 in float32, and 1 is an odd number."""
        return np.float64(self.dtype(x) if np.ndim(x) == 0 else x.astype(self.dtype))

    def shaken(self, seed: int):
        rng = np.random.default_rng(seed)
        return lambda x: x * (1.0 + 4 * ULP[self.dtype] * rng.uniform(-1.0, 1.0, np.shape(x)))

    def number(self, value: float, leaves) -> list:
        return [np.float64(self.dtype(value))] * len(leaves)

    def run(self, noise=None):
        """Updates and points of evaluation, [step][leaf].

        `noise` falls on every result that is rounded.
        """
        program, w, updates, points = self.program, self.w, [], []
        views = [(function, of) for function, of in split_up(program, [x.shape for x in w]) if of]
        states = [self.starts(function, of) for function, of in views]
        for step in range(STEPS):
            update, point = [None] * len(w), [None] * len(w)
            for number, (function, of) in enumerate(views):
                env, states[number] = self.body(function, of, w, step, states[number], noise)
                for returned, name in ((update, function.output), (point, function.evaluate_at)):
                    rest = iter(env[name] if name else ())
                    for leaf, many in of if name else ():
                        returned[leaf] = np.reshape(
                            [next(rest) for _ in range(many[0])], w[leaf].shape
                        )
            with np.errstate(all="ignore"):
                w = [a - b for a, b in zip(w, update, strict=True)]
            updates.append(update)
            points.append(point if program.evaluate_at else w)
        return updates, points

    def starts(self, function, of) -> dict:
        """Each state as a list over the leaves; a ring as several of them, the last value first."""
        w, states = seen(self.w, of), {}
        for s in self.program.states:
            if s.kind in (TENSOR, SCALAR) or function is self.program:
                if s.start == "g":
                    value = seen(self.gradients[0], of)
                elif s.kind is SCALAR:
                    value = self.number(s.start, w)
                elif s.start == "identity":
                    value = [np.eye(x.shape[s.kind is RIGHT]) for x in w]
                elif s.start == "w":
                    value = w
                else:
                    value = [
                        np.full(extent(s.kind, x.shape), self.dtype(s.start), float) for x in w
                    ]
                states[s.name] = [value] * s.ring if s.ring else value
        return states

    def body(self, function, of, w, step, states, noise):
        """Every variable after one step of one body on the leaves it sees, and the states."""
        w = seen(w, of)
        lr = [np.float64(SHAPES[step]) * x for x in self.number(self.program.learning_rate, w)]
        lr = [noise(x) for x in lr] if noise else lr
        env = {
            "w": w,
            "g": seen(self.gradients[step], of),
            "lr": lr,
            "t": self.number(step + 1.0, w),
        }
        for name, value in self.feed[step].items():
            env[name] = (
                self.number(value, w)
                if name == "loss"
                else seen([np.float64(x) for x in value], of)
            )
        env = {name: env[name] for name in function.inputs}
        env |= {
            name: self.number(value, w)
            for name, value in self.program.values.items()
            if name != LEARNING_RATE
        }
        rings = {s.name: s.ring for s in self.program.states if s.ring and s.name in states}
        env |= {name: value for name, value in states.items() if name not in rings}
        env |= {
            f"{name}{k + 1}": states[name][k]
            for name, length in rings.items()
            for k in range(length)
        }
        for line in function.body:
            values = [env[a] if isinstance(a, str) else self.number(a, w) for a in line.args]
            env[line.target] = self.apply(PRIMITIVES[line.op], values, noise, w)
        after = {name: env[name] for name in states if name not in rings}
        after |= {name: [env[name], *states[name][:-1]] for name in rings if name in env}
        return env, after

    def apply(self, op, values, noise, w):
        if noise and op.name not in EXACT | PLAIN:
            shaken = values[:1] if op.name == "power" else values  # an exponent of 3 stays odd
            values = [[noise(x) for x in value] for value in shaken] + values[len(shaken) :]
        with np.errstate(all="ignore"):
            if not op.slots:
                result = self.number(op.apply(np), w)
            elif op.scope == "model":
                result = list(op.apply(np, *map(tuple, values)))
            else:
                result = [op.apply(np, *leaf) for leaf in zip(*values, strict=True)]
            if noise:
                return result if op.name in EXACT else [noise(x) for x in result]
        for x in result:
            size = np.abs(x)[np.asarray(x) != 0.0]
            self.high = max(self.high, size.max(initial=0.0)) if np.isfinite(size).all() else np.inf
            self.low = min(self.low, size.min(initial=np.inf))
        return result

    def allowed(self) -> np.ndarray:  # [step]
        """What rounding can do to the parameters: 32 times the spread, and 64 ulp for w - update
        itself.
        """
        size = np.maximum.accumulate(self.scale) + max(np.abs(x).max(initial=0.0) for x in self.w)
        return np.cumsum(32 * self.spread + 64 * ULP[self.dtype] * size)

    def allowed_points(self) -> np.ndarray:  # [step]
        """The same for the points of evaluation, which are counted from the parameters."""
        return self.allowed() + 32 * self.point_spread + 64 * ULP[self.dtype] * self.point_scale


def split_up(program: Program, shapes) -> list:
    """The bodies of a program, each with the leaves it sees: (number of the leaf, (how many, *shape
    of each)).
    """
    if program.fallback is None:
        return [(program, [(n, (1, *shape)) for n, shape in enumerate(shapes)])]
    matrices, others = [], []
    for n, shape in enumerate(shapes):
        if len(shape) < 2 or (len(shape) > 2 and program.kernels == "fallback"):
            others.append((n, (1, *shape)))
        elif program.kernels == "stack":
            matrices.append((n, (math.prod(shape[:-2]), *shape[-2:])))
        else:
            matrices.append((n, (1, math.prod(shape[:-1]), shape[-1])))
    return [(program, matrices), (program.fallback, others)]


def extent(kind, shape) -> tuple:
    """The shape of a state of this kind beside a leaf."""
    return (
        shape
        if kind is TENSOR
        else tuple({"1": 1, "r": shape[0], "c": shape[1]}[axis] for axis in kind.axes)
    )


def seen(leaves, of) -> list:
    """What a body sees of the leaves."""
    return [np.asarray(part) for leaf, shape in of for part in leaves[leaf].reshape(shape)]


def random_inputs(shapes, seed: int, dtype):
    rng = np.random.default_rng(seed)
    draw = lambda: [np.asarray(rng.normal(0.0, 1.0, s), dtype) for s in shapes]  # noqa: E731
    return draw(), [draw() for _ in range(STEPS)]


def random_feed(program: Program, shapes, seed: int, dtype) -> list[dict]:
    """What a program asks of the task, step by step."""
    rng = np.random.default_rng(seed + 1)
    draws = {
        "loss": lambda: dtype(rng.uniform(0.1, 2.0)),
        "noise": lambda: [np.asarray(rng.normal(size=s), dtype) for s in shapes],
        "rademacher": lambda: [np.asarray(rng.choice([-1.0, 1.0], s), dtype) for s in shapes],
    }
    return [{name: draws[name]() for name in sorted(program.needs)} for _ in range(STEPS)]


# --- the machine ----------------------------------------------------------------------------------


@cache
def compiled_machine(tree: str, dtype):
    """Start and step of the machine for one tree: what a task compiles once."""
    layout = Layout.of([np.zeros(s, dtype) for s in TREES[tree]])
    start = jax.jit(lambda code, w: machine.start(code, layout, w))
    return (
        layout,
        start,
        jax.jit(lambda *args: machine.step(args[0], layout, *args[1:])),
        jax.jit(machine.point),
    )


def machine_trajectory(program: Program, tree: str, w, gradients, dtype, feed=None):
    """Parameters and points of evaluation after each step, as leaves."""
    layout, start, step, point = compiled_machine(tree, dtype)
    code = machine.load(graph(program, dtype), dtype)
    bank = start(code, jnp.asarray(flat(w)))
    trajectory = []
    for t in range(STEPS):
        loss = feed[t].get("loss", dtype(0.0)) if feed else dtype(0.0)
        bank = step(code, bank, flat(gradients[t]), dtype(SHAPES[t]), dtype(t + 1), loss)
        assert bank.vectors.dtype == dtype
        at = point(code, bank) if program.evaluate_at else bank.w
        trajectory.append((layout.split(np.float64(bank.w)), layout.split(np.float64(at))))
    return trajectory


def flat(leaves):
    return np.concatenate([np.ravel(x) for x in leaves])


def meaning_trajectory(program: Program, w, gradients, xp, compiled=False, feed=None):
    def step(w, g, states, shape, t, feed):
        w, states = meaning.step(program, w, g, states, shape, t, xp, feed)
        return w, states, meaning.evaluation(program, w, states, xp)

    step = jax.jit(step) if compiled else step
    trajectory, w = [], list(w)
    with np.errstate(all="ignore"):
        states = meaning.init(program, w, xp)
        for t in range(STEPS):
            w, states, point = step(
                w, gradients[t], states, SHAPES[t], t + 1, feed[t] if feed else {}
            )
            assert all(x.dtype == gradients[t][0].dtype for x in (*w, *point))
            trajectory.append(([np.float64(x) for x in w], [np.float64(x) for x in point]))
    return trajectory


def graph_trajectory(program: Program, w, gradients, feed=None):
    """The value graph on flat vectors, with numpy: what the machine runs, without the machine."""
    said, layout = graph(program, np.float64), Layout.of(w)
    w, trajectory = flat(w), []
    states = [
        np.float64(s.start)
        if s.kind is SCALAR
        else w
        if s.start == "w"
        else np.full(layout.size, s.start)
        for s in said.states
    ]
    mask = np.float64(layout.mask(said.kernels or "flatten"))
    with np.errstate(all="ignore"):
        for t in range(STEPS):
            leaves = {
                "w": w,
                "g": flat(gradients[t]),
                "t": np.float64(t + 1),
                "lr": np.float64(SHAPES[t]),
            }
            leaves |= {
                MATRIX_LEAF: mask,
                "loss": np.float64(feed[t].get("loss", 0.0) if feed else 0.0),
            }
            values = evaluate(said, layout, leaves, states)
            w, states = w - values[said.update], [values[s.next] for s in said.states]
            at = w if said.evaluation is None else values[said.evaluation]
            trajectory.append((layout.split(w), layout.split(at)))
    return trajectory


def assert_close(judge: Judge, trajectory, what: str):
    w = judge.w
    for t, bounds in enumerate(zip(judge.allowed(), judge.allowed_points(), strict=True)):
        w = [a - b for a, b in zip(w, judge.updates[t], strict=True)]
        for got, wanted, allowed in zip(trajectory[t], (w, judge.points[t]), bounds, strict=True):
            error = max(np.abs(a - b).max(initial=0.0) for a, b in zip(got, wanted, strict=True))
            assert error <= allowed, (
                f"{what} is {error:.3g} away at step {t + 1} ({allowed:.3g} is "
                f"rounding)\n{judge.program}"
            )


class Tally:
    """How many examples were compared. Prints the share, and asserts it."""

    def __init__(self):
        self.compared = self.all = 0

    def add(self, compared: bool) -> bool:
        self.all += 1
        self.compared += compared
        return compared

    def check(self, what: str):
        print(f"\n{what}: {self.compared} of {self.all} examples compared")
        assert self.compared > 0.6 * self.all


# --- random programs ------------------------------------------------------------------------------

calm_programs = programs(calm=True, features=FLAT)
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])


def many(examples: int):
    return settings(max_examples=examples, suppress_health_check=list(HealthCheck))


@DTYPES
@pytest.mark.parametrize("tree", TREES)
def test_the_machine_does_what_a_program_means(tree, dtype):
    tally = Tally()

    @many(100)
    @given(calm_programs)
    def every(program):
        w, gradients = random_inputs(TREES[tree], tally.all, dtype)
        feed = random_feed(program, TREES[tree], tally.all, dtype)
        judge = Judge(program, w, gradients, dtype, feed)
        trajectory = machine_trajectory(program, tree, w, gradients, dtype, feed)
        if tally.add(judge.usable):
            assert_close(judge, trajectory, "the machine")

    with jax.enable_x64(dtype is np.float64):
        every()
    tally.check(f"machine, {tree}, {dtype.__name__}")


POSITIVE = {
    "x": "abs(g) + 0.5",
    "y": "abs(w) + 0.25",
    "z": "abs(g - w) + 1.0",
}  # divisors of every pattern


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
@pytest.mark.parametrize("pattern", FUSED, ids=str)
def test_calls_of_calls_are_one_instruction_where_nobody_else_needs_what_lies_between(
    pattern, shared
):
    """Each pattern as a program of its own; with `shared`, what lies between is part of the update
    too.
    """
    vectors, numbers = iter(["x", "y", "z"]), iter(["0.7", "0.3", "1.7", "0.9", "0.6"])
    between = []

    def text(part):
        if isinstance(part, str):
            return next(vectors if part == "v" else numbers)
        inner = f"{part[0]}({', '.join(map(text, part[1:]))})"
        between.append(inner)
        return inner

    whole = text(pattern)
    update = whole if not shared else " + ".join([whole, *between[:-1]])
    body = "".join(f"    {name} = {value}\n" for name, value in POSITIVE.items())
    program = parse(f"def step(w, g):\n{body}    return {update}\n")
    code = machine.load(graph(program))
    used = {int(row[0]) for row in code.vectors if row.any()}
    assert (VECTOR_OPCODES[pattern, form_of(pattern)] in used) is not shared
    w, gradients = random_inputs(TREES["a network"], 3, np.float32)
    judge = Judge(program, w, gradients, np.float32)
    assert judge.usable
    assert_close(
        judge, machine_trajectory(program, "a network", w, gradients, np.float32), "the machine"
    )


def test_the_meaning_and_the_graph_agree_on_trees_of_any_structure():
    tally = Tally()

    @many(300)
    @given(calm_programs, parameter_trees())
    def every(program, tree):
        w, structure = jax.tree.flatten(tree)
        shapes = [x.shape for x in w]
        _, gradients = random_inputs(shapes, tally.all, np.float64)
        feed = random_feed(program, shapes, tally.all, np.float64)
        judge = Judge(program, w, gradients, np.float64, feed)
        first = jax.tree.unflatten(structure, gradients[0])
        with np.errstate(all="ignore"):
            states = meaning.init(program, tree, np)
            stepped, _ = meaning.step(program, tree, first, states, SHAPES[0], 1, np, feed[0])
        assert jax.tree.structure(stepped) == structure
        if tally.add(judge.usable):
            assert_close(
                judge,
                meaning_trajectory(program, w, gradients, np, feed=feed),
                "the meaning in numpy",
            )
            assert_close(judge, graph_trajectory(program, w, gradients, feed), "the graph")

    every()
    tally.check("numpy")


@DTYPES
def test_the_meaning_in_jax_does_what_a_program_means_called_plainly(dtype):
    tally = Tally()

    @many(30)
    @given(programs(calm=True, features=MORE))
    def every(program):
        shapes = [(3,), ()]
        w, gradients = random_inputs(shapes, tally.all, dtype)
        feed = random_feed(program, shapes, tally.all, dtype)
        judge = Judge(program, w, gradients, dtype, feed)
        if tally.add(judge.usable):
            arrays = jax.tree.map(jnp.asarray, (w, gradients, feed))
            assert_close(
                judge, meaning_trajectory(program, *arrays[:2], jnp, feed=arrays[2]), "the meaning"
            )

    with jax.enable_x64(dtype is np.float64):
        every()
    tally.check(f"meaning, {dtype.__name__}")


@DTYPES
def test_the_meaning_traced_by_jit_is_a_compiler(dtype):
    tally = Tally()

    @many(20)
    @given(programs(calm=True, features=MORE))
    def every(program):
        shapes = TREES["a network"][:3]
        w, gradients = random_inputs(shapes, tally.all, dtype)
        feed = random_feed(program, shapes, tally.all, dtype)
        judge = Judge(program, w, gradients, dtype, feed)
        if tally.add(judge.usable):
            got = meaning_trajectory(program, w, gradients, jnp, compiled=True, feed=feed)
            assert_close(judge, got, "the compiler")

    with jax.enable_x64(dtype is np.float64):
        every()
    tally.check(f"compiler, {dtype.__name__}")


@DTYPES
def test_the_comparison_is_sharp(dtype):
    """What it would let pass in the first step is below 1e-11 of the largest number in float64,
    1e-3 in float32.
    """
    share = []
    for seed in range(200):
        rng = Random(seed)
        w, gradients = random_inputs(TREES["a network"], seed, dtype)
        judge = Judge(random_program(rng, rng.randint(1, 20), calm=True), w, gradients, dtype)
        if judge.usable:
            share.append(judge.allowed()[0] / (judge.scale[0] + max(np.abs(x).max() for x in w)))
    promised = {np.float64: 1e-11, np.float32: 1e-3}[dtype]
    print(
        f"\n{dtype.__name__}: tolerance {np.median(share):.1e} (median), {max(share):.1e} (largest)"
    )
    assert max(share) < promised


# --- what has to be loaded with care --------------------------------------------------------------

AWKWARD = {
    "states that swap": """
a = full_like(w, 1.0)
b = copy(w)
def step(g, w):
    c = a
    a = b + g
    a = b
    b = c
    update = a - g
    return update
""",
    "a shift register": """
a = zeros_like(w)
b = zeros_like(w)
c = zeros_like(w)
def step(g):
    a = b
    b = c
    c = g
    update = a + g
    return update
""",
    "a rotation of three with one in place": """
a = copy(w)
b = copy(g)
c = full_like(w, 0.5)
d = zeros_like(w)
def step(g):
    x = a
    a = b
    b = c
    c = x
    d = d + a
    update = d * c
    return update
""",
    "the update is the old value of a state": """
m = full_like(w, 0.25)
def step(g):
    update = m
    m = g
    return update
""",
    "the update is the old value of a state computed in place": """
m = full_like(w, 0.25)
def step(g):
    update = m
    m = m * 0.5 + g
    return update
""",
    "the update is a state and another state is the update": """
m = zeros_like(w)
n = copy(w)
def step(g):
    n = m
    m = m + g
    return m
""",
    "two states that become the same value": """
a = zeros_like(w)
b = full_like(w, 1.0)
def step(g):
    x = a - b
    a = x + g
    b = a
    return x
""",
    "a state that is never updated": """
anchor = copy(w)
k = scalar(0.3)
def step(w, g):
    update = (w - anchor) * k + g
    return update
""",
    "the update is w": """
def step(w):
    return w
""",
    "the update is the anchor": """
anchor = copy(w)
def step(w):
    return anchor
""",
    "scalar states that swap": """
a = scalar(1.0)
b = scalar(2.0)
def step(g, t):
    c = a * 0.5
    a = b
    b = c
    update = g * a + t * b
    return update
""",
    "a scalar state with the norm of a leaf": """
n = scalar(0.1)
k = scalar(3.0)
def step(g):
    x = norm(g)
    k = n
    n = interp(x, n, 0.9)
    update = g / n + k
    return update
""",
    "leaf scalars where numbers are usual": """
def step(w, g):
    a = tanh(norm(g))
    b = interp(g, w, a)
    c = clip_by_global_norm(g, a)
    d = interp(2.0, a, a)
    e = where(a > 0.5, a, 0.1)
    update = b + c * d - e
    return update
""",
    "numbers spread into vectors": """
learning_rate = 1.0
def step(w, g, lr, t):
    a = where(g > 0.0, 1.0, lr)
    b = interp(lr, g, 0.25)
    c = interp(1.0, 2.0, lr)
    d = where(t > 2.0, w, c)
    e = where(lr, lr, g)
    f = interp(g, t, norm(w))
    update = a + b - c * d / e + f * 0.01
    update = update * 0.01
    return update
""",
    "numbers and vectors by turns": """
s = scalar(0.5)
def step(w, g):
    a = global_norm(g)
    x = g / a
    b = dot(x, w) + s
    y = x * b
    c = cosine_sim(y, w) - b
    z = y + c
    s = global_norm(z)
    update = z * s * 0.01
    return update
""",
    "a number minus a vector": """
def step(w, g, t):
    a = 1.0 - g
    b = t / (2.0 + square(w))
    c = 2.0 ** w
    d = w ** 3.0
    e = 0.5 < g
    update = a * b - c + d * e
    update = update * 0.01
    return update
""",
}


@DTYPES
@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_programs_run_on_the_machine(name, dtype):
    program = parse(AWKWARD[name].lstrip())
    with jax.enable_x64(dtype is np.float64):
        for tree in ("a network", "empty leaves"):
            w, gradients = random_inputs(TREES[tree], 7, dtype)
            judge = Judge(program, w, gradients, dtype)
            assert judge.usable
            assert_close(
                judge, machine_trajectory(program, tree, w, gradients, dtype), "the machine"
            )


def test_a_program_with_many_live_values_runs_or_is_refused_cleanly():
    """n values alive at once, for n around the number of vector registers."""
    fitted = []
    for n in range(20, 40):
        lines = [f"    x{i} = g * {i + 1}.5" for i in range(n)]
        lines += [
            "    u = x0 - x1",
            *[f"    u = u - sin(x{i})" for i in range(2, n)],
            "    return u",
        ]
        program = parse("def step(g):\n" + "\n".join(lines) + "\n")
        w, gradients = random_inputs(TREES["a network"], n, np.float32)
        judge = Judge(program, w, gradients, np.float32)
        with suppress(machine.DoesNotFit):
            assert_close(
                judge,
                machine_trajectory(program, "a network", w, gradients, np.float32),
                "the machine",
            )
            fitted.append(n)
    assert fitted == list(range(20, fitted[-1] + 1))
    assert fitted[-1] >= machine.VECTORS - 4


def _states(n: int, kind: str) -> str:
    starts = "".join(f"s{i} = {kind}\n" for i in range(n))
    body = "".join(f"    s{i} = s{i} * {i + 2}.0\n" for i in range(n))
    return (
        f"{starts}def step(g, lr):\n{body}    u = g\n"
        + "".join(f"    u = u - s{i}\n" for i in range(n))
        + "    return u\n"
    )


@pytest.mark.parametrize(
    "text",
    [
        _states(machine.VECTORS, "zeros_like(w)"),
        _states(machine.NUMBERS // 2, "scalar(1.0)"),
        "def step(g):\n"
        + "".join(f"    g = g * {i}.5\n" for i in range(1, 110))
        + "    return g\n",
        "def step(g):\n" + "    g = sin(g)\n" * 200 + "    return g\n",
        "def step(g):\n" + "    a = global_norm(g)\n    g = g / a - a\n" * 40 + "    return g\n",
    ],
    ids=["vector states", "number states", "constants", "instructions", "alternations"],
)
def test_a_program_too_large_for_the_machine_is_refused(text):
    with pytest.raises(machine.DoesNotFit, match="too many"):
        machine.load(graph(parse(text)))


def test_the_machine_compiles_once_and_never_again():
    layout = Layout.of([np.zeros((3,), np.float32), np.zeros((), np.float32)])
    start = jax.jit(lambda code, w: machine.start(code, layout, w))
    step = jax.jit(lambda code, bank, *rest: machine.step(code, layout, bank, *rest))
    compilations, events = [], []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: events.append(name))
    w, one = np.float32([1.0, -2.0, 0.5, 3.0]), np.float32(1.0)
    try:
        keys = set()
        for seed in range(200):
            rng = Random(seed)
            said = graph(random_program(rng, rng.randint(1, 20)))
            keys.add(identity.key(said))
            code = machine.load(said)
            bank = step(code, start(code, w), w, one, one)
            bank = step(code, bank, w, one, one)
            compilations.append(sum("backend_compile" in name for name in events))
    finally:
        jax.monitoring.clear_event_listeners()
    assert len(keys) > 150
    assert compilations[0] >= 2, "the events that are counted here have another name now"
    assert compilations[-1] == compilations[0]
    assert (start._cache_size(), step._cache_size()) == (1, 1)
