"""Tasks with theory do what it says: closed forms, NumPy in float64, SciPy."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kit.compiling import cheap_jit
from scipy.optimize import rosen, rosen_der
from scipy.special import softmax
from sklearn.datasets import load_breast_cancer, load_wine

from proxy_tasks import TASKS, make_task
from proxy_tasks.hard.zipf_softmax import rows_of_classes
from proxy_tasks.kit.laws import deal_law, normal_rows, orthogonal, wrong_labels
from proxy_tasks.kit.parts import PARTS
from proxy_tasks.physics.network import second
from proxy_tasks.tabular.table_dense import rows_of

LANDSCAPES = (
    "quadratic", "rosenbrock_valleys", "saddle", "plateau", "ravine", "stiff_valley",
)  # fmt: skip
SEEDED = ("quadratic", "zipf_softmax", "attention_teacher", "linear_regression", "oscillator")


@functools.cache
def small(kind: str, **fields: Any) -> Any:  # each kind has methods of its own
    return make_task(kind, **TASKS[kind].small | fields)


def descend(task, w, rate, steps, data=None):
    """Walk down without noise by gradient descent, and return every point."""
    data = data or task.data()
    slope = cheap_jit(jax.grad(lambda w: task.loss({"point": {"w": w}}, data, jnp.float32(0))))
    points = [jnp.asarray(w, jnp.float32)]
    for _ in range(steps):
        points.append(points[-1] - rate * slope(points[-1]))
    return np.stack(points)


def law_of(task, data=None):
    law = (data or task.data())["train"]
    return np.asarray(law["axes"], np.float64), np.asarray(law["optimum"], np.float64)


# Laws.


@pytest.mark.parametrize("dim", [1, 5, 40])
def test_axes_are_orthogonal_and_stay_so_in_any_order_of_rows(dim):
    axes = np.asarray(orthogonal(dim, 3), np.float64)
    for q in (axes, axes[np.random.default_rng(0).permutation(dim)]):
        np.testing.assert_allclose(q @ q.T, np.eye(dim), atol=1e-6)  # float32


@pytest.mark.parametrize("kind", SEEDED)
def test_every_seed_has_a_law_of_its_own_that_is_read_by_all_parts(kind):
    task = small(kind)
    data = task.data()
    key = jax.random.key(5)
    dealt = [task.deal(jax.random.key(seed), data) for seed in (1, 2, 3)]
    assert all(
        any(np.any(np.asarray(d["train"][n]) != data["train"][n]) for n in data["train"])
        for d in dealt
    )
    params = task.init(key)
    evaluate = cheap_jit(lambda d: task.evaluate(params, d, "test"))
    assert len({float(evaluate(d)) for d in dealt}) > 1


def test_a_law_is_dealt_without_its_partners_and_test_is_kept():
    part = {"a": np.arange(8, dtype=np.float32), "b": np.arange(8, dtype=np.float32)}
    data: dict[str, Any] = dict.fromkeys(PARTS, part)
    dealt = deal_law(jax.random.key(0), data, ("a",))
    assert sorted(np.asarray(dealt["train"]["a"]).tolist()) == list(range(8))
    assert np.any(np.asarray(dealt["train"]["a"]) != part["a"])
    assert dealt["train"]["b"] is part["b"]
    assert dealt["test"] is part
    np.testing.assert_array_equal(dealt["train"]["a"], dealt["validation"]["a"])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_wrong_labels_are_wrong_and_as_many_as_asked_for(share):
    labels = jnp.asarray(np.arange(6000) % 3, jnp.int32)
    found = np.asarray(wrong_labels(jax.random.key(0), labels, 3, share))
    assert set(found) == {0, 1, 2}
    assert np.mean(found != np.asarray(labels)) == pytest.approx(share, abs=0.03)  # 5 deviations


def test_more_rows_begin_with_the_same_ones():
    few, many = (normal_rows(7, rows, 2, evaluated=5)["train"] for rows in (3, 9))
    np.testing.assert_array_equal(few, many[:3])


# Landscapes.


@pytest.mark.parametrize("axes", ["rotated", "aligned"])
@pytest.mark.parametrize("kind", LANDSCAPES)
def test_the_least_loss_of_a_landscape_is_its_floor_and_is_where_it_is_said_to_be(kind, axes):
    task = small(kind, axes=axes)
    data = task.deal(jax.random.key(3), task.data())
    q, c = law_of(task, data)
    q = q if axes == "rotated" else np.eye(task.dim)
    w = q.T @ np.array([1, -1, 1, 1, -1, 1]) if kind == "saddle" else c
    params = {"point": {"w": jnp.asarray(w, jnp.float32)}}
    for part in ("validation", "test"):
        assert float(task.evaluate(params, data, part)) == pytest.approx(1e-6, rel=1e-3)
    assert float(task.evaluate({"point": {"w": 0 * params["point"]["w"]}}, data, "test")) > 1e-3


@pytest.mark.parametrize("spectrum", ["log_spaced", "power", "two_levels"])
def test_gradient_descent_on_the_quadratic_takes_the_steps_of_its_closed_form(spectrum):
    bowl = small("quadratic", spectrum=spectrum, condition=50.0)
    q, c = law_of(bowl)
    h = np.asarray(bowl.curvatures(), np.float64)
    assert h[0] == 1
    assert h[0] / h[-1] == pytest.approx(50, rel=1e-6)
    start, rate = np.linspace(-1, 2, 6), 0.5
    walked = descend(bowl, start, rate, 20)
    for t in (1, 7, 20):
        expected = c + q.T @ ((1 - rate * h) ** t * (q @ (start - c)))
        np.testing.assert_allclose(walked[t], expected, atol=1e-5)  # twenty steps of float32
    loss = 0.5 * np.mean(h * (q @ (start - c)) ** 2) + 1e-6
    got = bowl.evaluate({"point": {"w": jnp.asarray(start, jnp.float32)}}, bowl.data(), "test")
    assert float(got) == pytest.approx(loss, rel=1e-5)


def test_gradient_descent_does_not_see_the_axes_of_a_quadratic():
    turned, straight = (small("quadratic", axes=axes) for axes in ("rotated", "aligned"))
    q, c = law_of(turned)
    x = np.linspace(-1, 1, 6)
    one = descend(turned, c + q.T @ x, 0.7, 10) - c[None]
    other = descend(straight, c + x, 0.7, 10) - c[None]
    np.testing.assert_allclose(one @ q.T, other, atol=1e-5)  # float32


def test_a_quadratic_has_the_noise_it_states():
    bowl = small("quadratic", noise=0.5, steps=4000, condition=9.0)
    q, c = law_of(bowl)
    draws = bowl.draws(jax.random.key(0))
    params = {"point": {"w": jnp.asarray(c, jnp.float32)}}
    slope = jax.grad(lambda p, d: bowl.loss(p, bowl.data(), d))
    noise = np.asarray(jax.vmap(lambda d: slope(params, d)["point"]["w"])(draws), np.float64)
    expected = 0.25 * (q.T * bowl.curvatures()[None]) @ q
    np.testing.assert_allclose(noise.T @ noise / 4000, expected, atol=0.03)  # of 4000 draws


def test_the_valleys_of_rosenbrock_are_those_of_scipy():
    valleys = small("rosenbrock_valleys", steepness=100.0)
    q, c = law_of(valleys)
    w = c + np.linspace(-0.5, 0.7, 6)
    y = (1 + 0.5 * q @ (w - c)).reshape(3, 2)
    params = {"point": {"w": jnp.asarray(w, jnp.float32)}}
    slope = cheap_jit(jax.value_and_grad(lambda p: valleys.loss(p, valleys.data(), jnp.uint32(0))))
    loss, gradient = slope(params)
    assert float(loss) == pytest.approx(sum(rosen(pair) for pair in y), rel=1e-4)
    expected = 0.5 * q.T @ np.concatenate([rosen_der(pair) for pair in y])
    np.testing.assert_allclose(gradient["point"]["w"], expected, rtol=1e-3, atol=1e-3)


def test_gradient_descent_leaves_the_saddle_at_the_rate_of_theory():
    saddle = small("saddle", condition=4.0)
    q, _ = law_of(saddle)
    h = np.geomspace(1, 0.25, 6)
    start, rate = 1e-4 * np.ones(6), 0.2
    walked = descend(saddle, q.T @ start, rate, 30) @ q.T
    for t in (10, 30):
        np.testing.assert_allclose(walked[t], start * (1 + rate * h) ** t, rtol=1e-3)  # x³ is small


def test_the_plateau_is_crossed_in_the_time_of_theory():
    plateau = small("plateau", distance=1.0, axes="aligned")
    _, c = law_of(plateau)
    z, rate = 5.0, 1.0
    walked = descend(plateau, c + z, rate, 100)[:, 0] - c[0]

    # d(z⁴)/dt = -4η z⁴/(1+z²)²·…: exactly, t = ((1+z²)² terms); integrate dz/dt = -z/(1+z²)².
    def clock(z):
        return np.log(z) + z**2 + z**4 / 4

    for t in (50, 100):
        assert clock(z) - clock(walked[t]) == pytest.approx(rate * t, rel=0.03)  # steps, no flow


def test_the_floor_of_the_ravine_winds_and_the_walls_of_the_stiff_valley_grow():
    ravine = small("ravine", bends=3.0, slope=0.01)
    t = np.array([0.3, -1.0, 2.0])
    x = np.stack([t, np.sin(3 * t)], axis=1).reshape(-1).astype(np.float32)
    np.testing.assert_allclose(ravine.residuals(x), [*0.1 * t, 0, 0, 0], atol=1e-6)
    valley = small("stiff_valley", stiffness=100.0)
    far, near = (
        np.asarray(valley.residuals(np.array([t, 1] * 3, np.float32)))[-1] for t in (1e3, 0.0)
    )
    assert (far, near) == pytest.approx((1, 10), rel=1e-4)  # the root of the curvature


# Tables.


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_least_squares_has_the_optimum_of_its_closed_form(l2):
    task = small("linear_regression", l2=l2)
    axes = np.asarray(task.data()["train"]["axes"], np.float64)
    s2 = np.geomspace(1, 1 / task.condition, 4)
    # (C + l2)⁻¹ E[x·margin] with C = Aᵀ S A and E[x·margin] = Aᵀ √S 1 / √dim
    w = axes.T @ (np.sqrt(s2) / (s2 + l2) / 2)
    rest = 1 - np.sqrt(s2) / (s2 + l2) * np.sqrt(s2)
    expected = 0.5 * np.mean(rest**2) + 0.5 * l2 * w @ w + 1e-5
    params = {"linear": {"kernel": jnp.asarray(w[:, None], jnp.float32), "bias": jnp.zeros(1)}}
    found, slope = jax.value_and_grad(lambda p: task.evaluate(p, task.data(), "test"))(params)
    assert float(found) == pytest.approx(expected, rel=0.1)  # 2,048 rows
    assert float(jnp.abs(slope["linear"]["kernel"]).max()) < 0.05  # the same


def test_labels_have_the_probabilities_that_the_evaluation_expects():
    luck = jnp.asarray((np.arange(1000) + 0.5) / 1000, jnp.float32)
    for kind, fields in (("logistic_regression", {}), ("support_vector", {"label_noise": 0.2})):
        task = small(kind, **fields)
        for margin in (-0.7, 0.4):
            at = jnp.full(1000, margin, jnp.float32)
            labels = np.asarray(task.targets(at, luck))
            u = jnp.asarray([0.3], jnp.float32)
            mean = np.mean([float(task.penalty(u, jnp.asarray([y]))) for y in labels[::50]])
            entropy = 0.0
            if kind == "logistic_regression":
                p = float(task.probabilities(at[:1])[0])
                entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
            risk = float(task.risk(u, at[:1]))
            assert mean - entropy == pytest.approx(risk, abs=0.06)  # 20 of the labels


def test_penalties_are_part_of_what_is_minimised_and_of_the_score():
    plain, both = small("logistic_regression"), small("logistic_regression", l1=0.1, l2=0.2)
    params = plain.init(jax.random.key(0))
    draw = jax.tree.map(lambda leaf: leaf[0], plain.draws(jax.random.key(1)))
    kernel = np.asarray(params["linear"]["kernel"])
    more = 0.1 * np.abs(kernel).sum() + 0.1 * (kernel**2).sum()
    data = plain.data()
    for before, after in (
        (plain.loss(params, data, draw), both.loss(params, data, draw)),
        (plain.evaluate(params, data, "test"), both.evaluate(params, data, "test")),
    ):
        assert float(after) - float(before) == pytest.approx(more, rel=1e-4)


@pytest.mark.parametrize(
    ("table", "load"), [("breast_cancer", load_breast_cancer), ("wine", load_wine)]
)
def test_the_real_tables_are_those_that_scikit_learn_loads(table, load):
    theirs, ours = load(), rows_of(table)
    assert sum(len(ours[part]["label"]) for part in ours) == len(theirs.target)
    labels = np.concatenate([ours[part]["label"] for part in ours])
    np.testing.assert_array_equal(np.bincount(labels), np.bincount(theirs.target))
    columns = np.concatenate([ours[part]["x"] for part in ours])
    for at in range(columns.shape[1]):  # the same numbers, but for a shift and a scale
        mine, other = np.sort(columns[:, at]), np.sort(theirs.data[:, at])
        assert np.corrcoef(mine, other)[0, 1] == pytest.approx(1, abs=1e-5)


# Hard tasks.


def test_the_frequency_of_a_class_is_one_over_its_rank():
    labels = rows_of_classes(2, 32)["train"]["label"]
    share = np.bincount(labels, minlength=32) / len(labels)
    ranks = np.arange(1, 33)
    np.testing.assert_allclose(share * ranks, 1 / np.sum(1 / ranks), rtol=0.05)  # rounding


def test_attention_is_that_of_numpy_and_the_teacher_has_no_loss():
    task = small("attention_teacher")
    law = task.data()["train"]
    x = np.asarray(task.data()["test"]["x"][:2], np.float64)
    q, k, v, o = (np.asarray(law[n], np.float64) / 2 for n in ("query", "key", "value", "out"))
    scores = (x @ q) @ np.swapaxes(x @ k, 1, 2) / 2
    expected = softmax(scores, axis=-1) @ (x @ v) @ o
    np.testing.assert_allclose(task.target(law, jnp.asarray(x, jnp.float32)), expected, atol=1e-5)
    teacher = {n: jnp.asarray(law[n] / 2) for n in ("query", "key", "value", "out")}
    found = task.evaluate({"attention": teacher}, task.data(), "test")
    assert float(found) == pytest.approx(1e-5, rel=1e-2)


def test_a_layer_of_linear_attention_takes_a_step_of_gradient_descent():
    """von Oswald et al. 2023: P and Q that do so are 0 but for a block and a corner."""
    task = small("linear_attention", dim=2, context=6, depth=1)
    data = task.data()
    z, _ = task.prompt(
        data["train"]["axes"], jax.tree.map(lambda a: jnp.asarray(a[:5]), data["test"])
    )
    q, p = np.diag([0.7, 0.7, 0]), np.diag([0, 0, -1.0])
    params = {"attention_0": {"p": jnp.asarray(p, jnp.float32), "q": jnp.asarray(q, jnp.float32)}}
    x, y = np.asarray(z)[:, :, :2], np.asarray(z)[:, :, 2]
    step = 0.7 * np.einsum("rl,rld->rd", y[:, :-1], x[:, :-1]) / 6  # from 0, on half the squares
    expected = np.einsum("rd,rd->r", step, x[:, -1])
    np.testing.assert_allclose(task.network(params, z), expected, rtol=1e-4, atol=1e-6)


def test_scaling_layers_changes_no_function_of_the_ill_scaled_network():
    plain, skewed = (
        small("ill_scaled_regression", depth=2, layer_scales=scale) for scale in (1.0, 5.0)
    )
    key, data = jax.random.key(0), plain.data()
    one, other = plain.init(key), skewed.init(key)
    assert float(jnp.std(other["hidden_0"]["kernel"])) == pytest.approx(
        5 * float(jnp.std(one["hidden_0"]["kernel"])), rel=1e-5
    )
    losses = [float(t.evaluate(w, data, "test")) for t, w in ((plain, one), (skewed, other))]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_second_derivatives_are_those_of_calculus():
    points = jnp.asarray(np.linspace(0.1, 0.9, 8).reshape(4, 2), jnp.float32)
    found = second(lambda p: jnp.sin(3 * p[:, 0]) * p[:, 1] ** 3, points, 1)
    x, y = np.asarray(points).T
    np.testing.assert_allclose(found, np.sin(3 * x) * 6 * y, rtol=1e-5)


@pytest.mark.parametrize("kind", ["oscillator", "poisson"])
def test_the_made_up_solution_solves_its_equation_and_keeps_its_edge(kind):
    task = small(kind)
    signs = jnp.asarray(task.data()["train"]["sign"])
    axes = task.coordinates
    inside = jnp.asarray(np.random.default_rng(0).uniform(size=(5, axes)), jnp.float32)

    def u(points):
        return task.solution(signs, points if axes == 2 else points[:, 0])[0]

    _, bend = task.solution(signs, inside if axes == 2 else inside[:, 0])
    twice = sum(np.asarray(second(u, inside, axis)) for axis in range(axes))
    np.testing.assert_allclose(twice, bend, rtol=1e-4, atol=1e-3)  # terms of some 200
    edge = jnp.asarray(np.random.default_rng(0).integers(0, 2, (5, axes)), jnp.float32)
    np.testing.assert_allclose(u(edge), 0, atol=1e-5)
    np.testing.assert_array_equal(task.u(task.init(jax.random.key(0)), edge), 0)


def test_the_factors_of_the_matrix_have_no_loss():
    task = small("matrix_factorisation", rank=2)
    law = task.data()["train"]
    params = {"embedding": {"user": jnp.asarray(law["taste"]), "item": law["trait"] / 2**0.5}}
    assert float(task.evaluate(params, task.data(), "test")) == pytest.approx(1e-3, rel=1e-3)
