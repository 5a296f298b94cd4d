"""Meaning, machine and compiler agree, on random programs.

The judge is an evaluator of thirty lines below: numpy, float64, one primitive at a time. Random
programs can be chaotic (sin of a large number, a comparison at a tie), so the judge also says how
far rounding alone can move a
result: it runs again with every inexact operation perturbed by a few units in the last place. Where
that spread is large, or a value leaves the range in which the dtype is accurate, nothing can be
learnt and nothing is compared; the share that is compared is asserted.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from kit.judge import (
    DTYPES,
    SHAPES,
    TREES,
    Judge,
    Tally,
    assert_close,
    graph_trajectory,
    machine_trajectory,
    many,
    meaning_trajectory,
    random_feed,
    random_inputs,
)
from kit.strategies import FLAT, MORE, parameter_trees, programs, random_program

from primitives import meaning, parse
from primitives.canonical.graph import graph
from primitives.machine import step as machine
from primitives.machine.code import FUSED, form_of
from primitives.machine.layout import Layout

# --- the judge ------------------------------------------------------------------------------------


# --- the machine ----------------------------------------------------------------------------------


# --- random programs ------------------------------------------------------------------------------

calm_programs = programs(calm=True, features=FLAT)


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
    assert (code.opcodes.vectors[pattern, form_of(pattern)] in used) is not shared
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
            keys.add(said.key)
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
