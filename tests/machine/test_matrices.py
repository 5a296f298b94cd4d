"""Programs over matrices: rows, columns and squares, a fallback for other leaves, rules for
kernels; rings and points.

The judge is that of `test_agreement.py`, which sees the leaves as each body does by lines of its
own.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from random import Random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
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
from kit.strategies import AXES, MATRICES, parameter_trees, programs, random_program

import baselines
from primitives import PRIMITIVES, Program, ProgramError, meaning, parse
from primitives.canonical.graph import graph
from primitives.canonical.probe import probe
from primitives.machine import step as machine
from primitives.registry import MATRIX
from primitives.views import Views

NETWORK = "a network"  # a kernel, a number, a vector, a matrix, a vector of one

# --- random programs ------------------------------------------------------------------------------


@DTYPES
def test_the_machine_does_what_a_program_over_rows_and_columns_means(dtype):
    tally = Tally()

    @many(100)
    @given(programs(calm=True, features=AXES))
    def every(program):
        w, gradients = random_inputs(TREES[NETWORK], tally.all, dtype)
        feed = random_feed(program, TREES[NETWORK], tally.all, dtype)
        judge = Judge(program, w, gradients, dtype, feed)
        if tally.add(judge.usable):
            assert_close(
                judge,
                machine_trajectory(program, NETWORK, w, gradients, dtype, feed),
                "the machine",
            )

    with jax.enable_x64(dtype is np.float64):
        every()
    tally.check(f"machine, {dtype.__name__}")


def test_the_meaning_and_the_graph_agree_on_programs_over_rows_and_columns():
    tally = Tally()

    @many(150)
    @given(programs(calm=True, features=AXES), parameter_trees())
    def every(program, tree):
        w = jax.tree.leaves(tree)
        shapes = [x.shape for x in w]
        _, gradients = random_inputs(shapes, tally.all, np.float64)
        feed = random_feed(program, shapes, tally.all, np.float64)
        judge = Judge(program, w, gradients, np.float64, feed)
        if tally.add(judge.usable):
            assert_close(
                judge,
                meaning_trajectory(program, w, gradients, np, feed=feed),
                "the meaning in numpy",
            )
            assert_close(judge, graph_trajectory(program, w, gradients, feed), "the graph")

    every()
    tally.check("axes in numpy")


def test_the_meaning_in_numpy_is_what_a_program_over_matrices_says():
    tally = Tally()

    @many(200)
    @given(programs(calm=True, features=MATRICES), parameter_trees())
    def every(program, tree):
        w = jax.tree.leaves(tree)
        shapes = [x.shape for x in w]
        _, gradients = random_inputs(shapes, tally.all, np.float64)
        feed = random_feed(program, shapes, tally.all, np.float64)
        judge = Judge(program, w, gradients, np.float64, feed)
        if tally.add(judge.usable):
            assert_close(
                judge,
                meaning_trajectory(program, w, gradients, np, feed=feed),
                "the meaning in numpy",
            )

    every()
    tally.check("matrices in numpy")


@DTYPES
def test_the_meaning_traced_by_jit_is_a_compiler_of_programs_over_matrices(dtype):
    """The first four programs of which the judge knows something; a compilation takes long, so no
    more.
    """
    shapes, compared, most = [(2, 3, 3), (4,), (3, 2)], set(), 4
    with jax.enable_x64(dtype is np.float64):
        for seed in itertools.count():
            rng = Random(seed)
            program = random_program(rng, rng.randint(5, 20), calm=True, features=MATRICES)
            said = graph(program)
            w, gradients = random_inputs(shapes, seed, dtype)
            feed = random_feed(program, shapes, seed, dtype)
            judge = Judge(program, w, gradients, dtype, feed)
            if judge.usable and any(
                PRIMITIVES[n.op].scope == MATRIX for n in said.nodes if n.op in PRIMITIVES
            ):
                got = meaning_trajectory(program, w, gradients, jnp, compiled=True, feed=feed)
                assert_close(judge, got, "the compiler")
                compared.add(seed)
            if len(compared) == most:
                break
    print(f"\ncompiler, {dtype.__name__}: {most} of {seed + 1} programs compared")
    assert seed < 15 * most


# --- how leaves are seen --------------------------------------------------------------------------

CENTRED = """
kernels = {kernels}()

def step(w, g):
    m = mean_over_rows(g)
    a = global_norm(g)
    update = g - m
    update = update * a
    return update

def fallback(w, g):
    a = global_norm(g)
    update = g * a
    return update
"""


def centred(kernels: str) -> Program:
    return parse(CENTRED.format(kernels=kernels))


# Of a kernel [2, 3, 4, 5], a matrix [4, 2], a vector [3], a number, an empty kernel [0, 2, 3]
SEEN = {
    "flatten": ([(24, 5), (4, 2), (0, 3)], [(3,), ()]),
    "stack": ([(4, 5)] * 6 + [(4, 2)], [(3,), ()]),
    "fallback": ([(4, 2)], [(2, 3, 4, 5), (3,), (), (0, 2, 3)]),
    "first_axis": ([(2, 60), (4, 2), (0, 6)], [(3,), ()]),
}


@pytest.mark.parametrize("kernels", SEEN)
def test_each_body_sees_the_leaves_that_the_rule_for_kernels_gives_it(kernels):
    rng = np.random.default_rng(0)
    leaves = [rng.normal(size=s) for s in [(2, 3, 4, 5), (4, 2), (3,), (), (0, 2, 3)]]
    views = Views(centred(kernels), [x.shape for x in leaves])
    split = views.split(leaves)
    assert tuple([x.shape for x in part] for part in split) == SEEN[kernels]
    for again, leaf in zip(views.join(split, np), leaves, strict=True):
        np.testing.assert_array_equal(again, leaf, strict=True)
    if kernels == "stack":
        np.testing.assert_array_equal(split[0][4], leaves[0][1, 1])
    if kernels == "flatten":
        np.testing.assert_array_equal(split[0][0][7], leaves[0][0, 1, 3])
    if kernels == "first_axis":
        np.testing.assert_array_equal(split[0][0][:, 7], leaves[0][:, 0, 1, 2])


@given(parameter_trees(), st.sampled_from(list(SEEN)))
def test_joining_is_the_inverse_of_splitting(tree, kernels):
    leaves = jax.tree.leaves(tree)
    views = Views(centred(kernels), [x.shape for x in leaves])
    for again, leaf in zip(views.join(views.split(leaves), np), leaves, strict=True):
        np.testing.assert_array_equal(again, leaf, strict=True)


def test_muon_takes_the_steps_of_a_matrix_on_a_leaf_whose_first_axis_are_its_rows():
    muon = baselines.get("muon")
    _, gradients = random_inputs([(16, 4, 8), (4, 6), (3,)], 0, np.float64)
    leaves = meaning_trajectory(replace(muon, kernels="first_axis"), gradients[0], gradients, np)
    gradients = [[g[0].reshape(16, 32), *g[1:]] for g in gradients]
    matrices = meaning_trajectory(muon, gradients[0], gradients, np)
    for (found, _), (expected, _) in zip(leaves, matrices, strict=True):
        assert found[0].shape == (16, 4, 8)
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_array_equal(x.ravel(), y.ravel())


def test_the_machine_holds_what_looks_at_no_rows_though_it_names_the_first_axis():
    body = "(w, g):\n    a = {}(g)\n    u = g * a\n    return u\n\n"
    text = f"kernels = first_axis()\n\ndef step{body}def fallback{body.format('largest')}"
    program = parse(text.format("norm"))
    w, gradients = random_inputs(TREES[NETWORK], 0, np.float64)
    judge = Judge(program, w, gradients, np.float64)
    assert_close(judge, graph_trajectory(program, w, gradients), "the graph")
    machine.load(graph(program))

    rows = graph(parse(text.format("column_count")))
    assert rows.unflat() == "the machine's rows are not those that column_count is to see"
    with pytest.raises(machine.DoesNotFit):
        machine.load(rows)


def test_a_program_that_needs_no_matrices_sees_every_leaf_as_it_is():
    leaves = [np.ones((2, 3, 4)), np.ones(3), np.ones(())]
    views = Views(
        parse("kernels = stack()\n\ndef step(g):\n    return g\n"), [x.shape for x in leaves]
    )
    assert [[x.shape for x in part] for part in views.split(leaves)] == [[(2, 3, 4), (3,), ()]]


def test_a_leaf_without_a_rule_is_an_error_that_says_what_to_write():
    program = parse("def step(g):\n    m = mean_over_rows(g)\n    return g - m\n", file="x.py")
    with pytest.raises(ProgramError) as error:
        meaning.init(program, {"a": np.ones((2, 3)), "b": np.ones(3)}, np)
    assert str(error.value) == (
        "x.py:2: mean_over_rows needs a matrix, and leaf 1 has the shape (3,)\n    m = "
        "mean_over_rows(g)\n"
        "Say what becomes of such leaves: write `def fallback(w, g, lr): ...` after step."
    )
    with pytest.raises(ProgramError, match="and layer/bias has the shape"):
        Views(program, [(2, 3), ()], names=["layer/kernel", "layer/bias"])
    state = parse("m = row(0.0)\n\ndef step(g):\n    u = g + m\n    return u\n")
    with pytest.raises(ProgramError, match="needs a matrix"):
        meaning.init(state, [np.ones(3)], np)
    unread = parse("m = row(0.0)\n\ndef step(g):\n    return g\n")
    assert meaning.init(unread, [np.ones(3)], np) == {}
    assert Views(program, [(2, 3), (1, 2, 2)]).split([np.ones((2, 3)), np.ones((1, 2, 2))])


@pytest.mark.parametrize("kernels", SEEN)
def test_a_reduction_over_the_model_sees_each_group_of_leaves_by_itself(kernels):
    rng = np.random.default_rng(1)
    leaves = [rng.normal(size=s) for s in [(2, 3, 4), (4, 2), (3,), ()]]
    program = centred(kernels)
    zeros = [np.zeros_like(x) for x in leaves]
    after, _ = meaning.step(program, zeros, leaves, meaning.init(program, zeros, np), 1.0, 1, np)
    groups = [[0, 1], [2, 3]] if kernels != "fallback" else [[1], [0, 2, 3]]
    for group in groups:
        size = np.sqrt(sum(np.sum(leaves[n] ** 2) for n in group))
        for n in group:
            g = leaves[n]
            if group is groups[0]:
                rows = {"flatten": tuple(range(g.ndim - 1)), "first_axis": 0}.get(kernels, -2)
                g = g - g.mean(rows, keepdims=True)
            np.testing.assert_allclose(after[n], -g * size, rtol=1e-12)
    with pytest.raises(machine.DoesNotFit):
        machine.load(graph(program))


def test_a_reduction_over_a_group_is_no_reduction_over_the_model_though_both_bodies_say_the_same():
    body = "(w, g):\n    a = global_norm(g)\n    u = g / a\n    return u\n"
    one, two = parse(f"def step{body}"), parse(f"def step{body}\ndef fallback{body}")
    assert graph(one).key != graph(two).key
    assert graph(one).unflat() == ""
    assert (
        graph(two).unflat()
        == "global_norm reduces over the matrices alone, or over the other leaves"
    )


@pytest.mark.parametrize("shapes", [[(3,), ()], [(2, 3)], [(0,), (0, 3)]], ids=str)
def test_a_group_may_be_empty(shapes):
    program, leaves = centred("flatten"), [np.ones(s) for s in shapes]
    after, _ = meaning.step(program, leaves, leaves, meaning.init(program, leaves, np), 1.0, 1, np)
    assert [x.shape for x in after] == shapes


# --- identity -------------------------------------------------------------------------------------


def test_the_rule_for_kernels_is_part_of_what_a_program_over_matrices_says_and_of_no_other():
    axes = CENTRED.replace("    a = global_norm(g)\n", "    a = norm(g)\n")
    said = [graph(parse(axes.format(kernels=kernels))) for kernels in SEEN]
    assert len({g.key for g in said}) == 4
    probes = dict(zip(SEEN, [probe(g).key for g in said], strict=True))
    assert probes["stack"] == probes["first_axis"] == b""  # neither is flat
    assert len(set(probes.values())) == 3
    plain = [
        parse(f"kernels = {kernels}()\n\ndef step(g):\n    return g\n")
        for kernels in ("flatten", "stack")
    ]
    assert graph(plain[0]).key == graph(plain[1]).key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("m = left(0.0)", "m = left(identity)"),
        ("m = left(0.0)", "m = left(1.0)"),
        ("m = left(identity)", "m = left(1.0)"),
        ("    u = m @ g\n", "    u = transpose(m) @ g\n"),
        ("gram_left(g)", "gram_left(w)"),
        ("    u = g * lr\n", "    u = g + lr\n"),
        ("    return u\n", "    return u, g\n"),
    ],
)
def test_programs_over_squares_that_differ_have_two_keys(one, other):
    text = (
        "m = left(0.0)\n\ndef step(w, g, lr):\n    l = gram_left(g)\n    m = interp(l, m, 0.9)\n "
        "   u = m @ g\n"
        "    return u\n\ndef fallback(w, g, lr):\n    u = g * lr\n    return u\n"
    )
    text = text if one in text else text.replace("m = left(0.0)", one)
    assert one in text
    assert graph(parse(text)).key != graph(parse(text.replace(one, other))).key


def test_the_outer_product_is_one_thing_however_it_is_written():
    text = (
        "def step(g):\n    c = mean_over_columns(g)\n    r = mean_over_rows(g)\n    u = {}\n    "
        "return u\n\n"
        "def fallback(g):\n    return g\n"
    )
    texts = [text.format(product) for product in ("c @ r", "c * r", "r * c")]
    assert len({graph(parse(text)).key for text in texts}) == 1


# --- rings ----------------------------------------------------------------------------------------

RING = """
past = ring(full_like(w, 0.5), 3)
loss_past = ring(scalar(2.0), 2)

def step(w, g, loss):
    far = past3 * loss_past2
    past = past1 + g
    update = past + far
    loss_past = loss
    return update
"""
SHIFTS = """
past1 = full_like(w, 0.5)
past2 = full_like(w, 0.5)
past3 = full_like(w, 0.5)
l1 = scalar(2.0)
l2 = scalar(2.0)

def step(w, g, loss):
    far = past3 * l2
    new = past1 + g
    update = new + far
    past3 = past2
    past2 = past1
    past1 = new
    l2 = l1
    l1 = loss
    return update
"""


def test_a_ring_is_a_row_of_states_that_move_on():
    ring, shifts = parse(RING), parse(SHIFTS)
    assert graph(ring) == graph(shifts)
    assert probe(graph(ring)).key == probe(graph(shifts)).key != b""
    shapes = [(3,), (2, 2)]
    w, gradients = random_inputs(shapes, 3, np.float64)
    feed = random_feed(ring, shapes, 3, np.float64)
    for a, b in zip(
        *(meaning_trajectory(p, w, gradients, np, feed=feed) for p in (ring, shifts)), strict=True
    ):
        for x, y in zip(a[0], b[0], strict=True):
            np.testing.assert_array_equal(x, y)


def test_past_k_is_the_value_of_k_steps_ago():
    program = parse(
        "past = ring(zeros_like(w), 3)\n\ndef step(g):\n    past = g\n    return past3\n"
    )
    w, states = [np.zeros(())], None
    states = meaning.init(program, w, np)
    updates = []
    for t in range(6):
        after, states = meaning.step(program, w, [np.float64(t + 1)], states, 1.0, t + 1, np)
        updates.append(float(w[0] - after[0]))
        w = after
    assert updates == [0.0, 0.0, 0.0, 1.0, 2.0, 3.0]


# Where the ring starts, what it keeps, what is made of the value before the last; and so in numpy
OF_KINDS = {
    "row(0.25)": (
        "total_over_rows(g)",
        "g * {}2",
        lambda x: x.sum(0, keepdims=True),
        lambda g, x: g * x,
        0.25,
    ),
    "column(0.25)": (
        "total_over_columns(g)",
        "g * {}2",
        lambda x: x.sum(1, keepdims=True),
        lambda g, x: g * x,
        0.25,
    ),
    "left(identity)": ("gram_left(g)", "{}2 @ g", lambda x: x @ x.T, lambda g, x: x @ g, np.eye(2)),
    "right(identity)": (
        "gram_right(g)",
        "g @ {}2",
        lambda x: x.T @ x,
        lambda g, x: g @ x,
        np.eye(3),
    ),
    "right(0.25)": (
        "gram_right(g)",
        "g @ {}2",
        lambda x: x.T @ x,
        lambda g, x: g @ x,
        np.full((3, 3), 0.25),
    ),
}


@pytest.mark.parametrize("start", OF_KINDS)
def test_a_ring_may_be_of_any_kind_and_its_name_as_long_as_a_name_may_be(start):
    name = "p" * 63
    kept, used, keep, use, at_first = OF_KINDS[start]
    program = parse(
        f"{name} = ring({start}, 2)\n\ndef step(g):\n    {name} = {kept}\n    u = "
        f"{used.format(name)}\n    return u\n"
    )
    g = np.random.default_rng(2).normal(size=(4, 2, 3))
    w = [np.zeros((2, 3))]
    states = meaning.init(program, w, np)
    for t in range(4):
        after, states = meaning.step(program, w, [g[t]], states, 1.0, t + 1, np)
        wanted = use(g[t], keep(g[t - 2]) if t >= 2 else at_first)
        np.testing.assert_allclose(w[0] - after[0], wanted, rtol=1e-12, atol=1e-12)
        w = after


def test_what_a_ring_held_may_be_returned_under_the_longest_name():
    name = "p" * 63
    text = (
        f"{name} = ring(copy(w), 2)\n\ndef step(w, g):\n    {name} = g\n"
        f"    return {name}1, {name}2\n"
    )
    w, g = [np.array([1.0, 2.0])], [np.array([0.5, 0.25])]
    program = parse(text)
    after, states = meaning.step(program, w, g, meaning.init(program, w, np), 1.0, 1, np)
    np.testing.assert_array_equal(after[0], [0.0, 0.0])
    np.testing.assert_array_equal(meaning.evaluation(program, after, states, np)[0], w[0])


# --- the point of evaluation ----------------------------------------------------------------------

LOOKING_AHEAD = """
learning_rate = 0.1
v = zeros_like(w)

def step(w, g, lr):
    v = interp(g, v, 0.9)
    update = v * lr
    after = w - update
    ahead = after - update
    return update, ahead
"""


@DTYPES
def test_the_model_is_evaluated_where_the_program_says(dtype):
    program = parse(LOOKING_AHEAD)
    w, gradients = random_inputs(TREES[NETWORK], 4, dtype)
    at_first = meaning.evaluation(program, w, meaning.init(program, w, np), np)
    assert all(np.array_equal(a, b) for a, b in zip(at_first, w, strict=True))
    with jax.enable_x64(dtype is np.float64):
        readings = [
            meaning_trajectory(program, w, gradients, np),
            machine_trajectory(program, NETWORK, w, gradients, dtype),
        ]
    for leaf in range(len(w)):
        x, v = np.float64(w[leaf]), 0.0
        for t, shape in enumerate(SHAPES):
            v = 0.9 * v + (1.0 - 0.9) * np.float64(gradients[t][leaf])
            x = x - 0.1 * shape * v
            for reading in readings:
                parameters, point = reading[t]
                close = functools.partial(
                    np.testing.assert_allclose, rtol=0, atol=32 * np.finfo(dtype).eps
                )
                close(parameters[leaf], x)
                close(point[leaf], x - 0.1 * shape * v)


def test_without_a_point_the_model_is_evaluated_at_the_parameters():
    program = parse("def step(g):\n    return g\n")
    params = {"a": np.ones(3)}
    assert meaning.evaluation(program, params, {}, np) is params


# --- what the task offers -------------------------------------------------------------------------


def test_what_a_program_asks_of_the_task_is_what_it_gets():
    head = "def step(w, g, lr, loss, noise, rademacher):\n"
    program = parse(head + "    u = g * loss + noise * rademacher\n    return u * lr\n")
    rng = np.random.default_rng(5)
    tree = {"k": np.ones((2, 3)), "b": np.ones(3)}
    like = lambda: jax.tree.map(lambda x: rng.normal(size=x.shape), tree)  # noqa: E731
    g, feed = (
        like(),
        {"loss": 0.7, "noise": like(), "rademacher": jax.tree.map(np.sign, like()), "hvp": None},
    )
    after, _ = meaning.step(program, tree, g, meaning.init(program, tree, np), 0.5, 1, np, feed)
    for name in tree:
        wanted = (
            1.0
            - (g[name] * 0.7 + feed["noise"][name] * feed["rademacher"][name])
            * 0.5
            * program.learning_rate
        )
        np.testing.assert_allclose(after[name], wanted, rtol=1e-14)
    assert program.needs == {"loss", "noise", "rademacher"}
    with pytest.raises(KeyError, match=r"noise|loss|rademacher"):
        meaning.step(program, tree, g, meaning.init(program, tree, np), 0.5, 1, np)


@pytest.mark.parametrize("oracle", ["hvp", "gnvp"])
def test_an_oracle_is_asked_for_the_whole_model(oracle):
    program = parse(
        f"def step(w, g, {oracle}):\n    h = {oracle}(g)\n    u = {oracle}(h) + h\n    return u\n"
    )
    rng = np.random.default_rng(6)
    tree = {"k": rng.normal(size=(2, 2)), "b": rng.normal(size=3)}
    g = jax.tree.map(lambda x: rng.normal(size=x.shape), tree)
    matrix = rng.normal(size=(7, 7))

    def flat(x):
        return np.concatenate([x["b"], x["k"].ravel()])

    def product(x):
        y = matrix @ flat(x)
        return {"b": y[:3], "k": y[3:].reshape(2, 2)}

    feed = {oracle: product}
    after, _ = meaning.step(program, tree, g, meaning.init(program, tree, np), 1.0, 1, np, feed)
    wanted = flat(tree) - (matrix @ matrix @ flat(g) + matrix @ flat(g))
    np.testing.assert_allclose(flat(after), wanted, rtol=1e-12)
    assert graph(program).unflat() == f"{oracle} is no operation of the machine"


def test_an_oracle_of_a_program_over_matrices_keeps_the_shape_of_kernels():
    program = parse(
        "def step(w, g, hvp):\n    h = hvp(g)\n    u = h - mean_over_rows(h)\n    return u\n"
    )
    g = np.random.default_rng(7).normal(size=(2, 3, 4))
    seen = []
    feed = {"hvp": lambda x: seen.append(x["k"].shape) or {"k": 2.0 * x["k"]}}
    tree = {"k": np.zeros_like(g)}
    after, _ = meaning.step(
        program, tree, {"k": g}, meaning.init(program, tree, np), 1.0, 1, np, feed
    )
    assert seen == [(2, 3, 4)]
    np.testing.assert_allclose(after["k"], -2.0 * (g - g.mean((0, 1))), rtol=1e-12)


def test_values_given_to_a_step_stand_for_the_programs_own():
    text = (
        "learning_rate = 0.1\nbeta = 0.9\nm = zeros_like(w)\n\ndef step(w, g, lr):\n    m = "
        "interp(g, m, beta)\n"
        "    r = norm_over_rows(m)\n    u = m / r\n    return u * lr\n\n"
        "def fallback(w, g, lr):\n    m = interp(g, m, beta)\n    return m * lr\n"
    )
    program, others = parse(text), {"beta": 0.5, "learning_rate": 0.3}
    w, gradients = random_inputs([(3,), (2, 3)], 8, np.float64)
    states = meaning.init(program, w, np)
    given, _ = meaning.step(program, w, gradients[0], states, 1.0, 1, np, None, others)
    own, _ = meaning.step(program.with_values(others), w, gradients[0], states, 1.0, 1, np)
    for a, b in zip(given, own, strict=True):
        np.testing.assert_array_equal(a, b)


# --- what multiplies matrices, on the machine -----------------------------------------------------

CHAINS = {
    "five": "x = newton_schulz(x, 3.4, -4.8, 2.0)\n    " * 5 + "u = x",
    "one": "u = newton_schulz(x, 1.5, -0.5, 0.0)",
    "two sorts": "x = newton_schulz(x, 3.4, -4.8, 2.0)\n    " * 2
    + "x = newton_schulz(x, 1.5, -0.5, 0.0)\n    " * 3
    + "u = x",
    "read between": "x = newton_schulz(x, 1.5, -0.5, 0.0)\n    "
    "y = newton_schulz(x, 1.5, -0.5, 0.0)\n    u = x + newton_schulz(y, 1.5, -0.5, 0.0)",
    "a state": "u = newton_schulz(x, 1.5, -0.5, 0.0)\n    m = newton_schulz(u, 1.5, -0.5, 0.0)",
}
TEXT = """
m = zeros_like(w)
def step(w, g, lr):
    m = interp(g, m, 0.9)
    x = m / (norm(m) + 0.1)
    {chain}
    return lr * u

def fallback(w, g, lr):
    return lr * g
"""


@DTYPES
@pytest.mark.parametrize("name", [*CHAINS, "muon", "normuon", "scion"])
def test_newton_schulz_on_the_machine_is_what_it_means(name, dtype):
    program = parse(TEXT.format(chain=CHAINS[name])) if name in CHAINS else baselines.get(name)
    w, gradients = random_inputs(TREES[NETWORK], 7, dtype)
    with jax.enable_x64(dtype is np.float64):
        ours = machine_trajectory(program, NETWORK, w, gradients, dtype, {})
        theirs = meaning_trajectory(program, w, gradients, np, feed={})
    leaves = jax.tree.leaves(ours), jax.tree.leaves(theirs)
    for x, y in zip(*leaves, strict=True):
        # Five steps multiply what rounding adds by 3.4 each.
        np.testing.assert_allclose(x, y, rtol=1e-9 if dtype is np.float64 else 3e-3, atol=1e-5)


def test_steps_of_newton_schulz_in_a_row_are_one_instruction():
    def matrix_rows(name: str) -> list[int]:
        code = machine.load(graph(parse(TEXT.format(chain=CHAINS[name]))))
        opcode = code.opcodes.vectors["newton_schulz", "vnnn"]
        return sorted(int(row[-2]) for row in code.vectors if row[0] == opcode and row.any())

    assert matrix_rows("five") == [5]
    assert matrix_rows("two sorts") == [2, 3]
    assert matrix_rows("read between") == [1, 2]
    assert matrix_rows("a state") == [1, 1]
