"""Judges of whether two readings of a program agree, with an error bound of the program's own."""

from __future__ import annotations

import math
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from kit.compiling import cheap_jit
from kit.walk import evaluate

from primitives import PRIMITIVES, SCALAR, TENSOR, Program, meaning
from primitives.canonical.graph import graph
from primitives.canonical.nodes import MATRIX_LEAF
from primitives.kinds import RIGHT
from primitives.machine import step as machine
from primitives.machine.layout import Layout
from primitives.statements import LEARNING_RATE

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
        elif program.kernels == "first_axis":
            matrices.append((n, (1, shape[0], math.prod(shape[1:]))))
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

    step = cheap_jit(step) if compiled else step
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


DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32], ids=["float64", "float32"])


def many(examples: int):
    return settings(max_examples=examples, suppress_health_check=list(HealthCheck))
