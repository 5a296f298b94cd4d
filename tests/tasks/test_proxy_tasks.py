"""What every proxy task promises, checked over the registry, and second opinions on its parts."""

import ast
import dataclasses
import functools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args, get_origin

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jaxtyping import TypeCheckError
from kit.compiling import cheap_jit
from kit.kinds import every_task, most_tasks
from sklearn.datasets import load_diabetes, load_digits

import proxy_tasks
from proxy_tasks import TASKS, Task, make_task
from proxy_tasks.catalogue import page
from proxy_tasks.contract import faults
from proxy_tasks.data.carried import table
from proxy_tasks.data.digits import digits
from proxy_tasks.kit.networks import affine_row, convolution, cross_entropy
from proxy_tasks.kit.parts import PARTS, frozen, shuffled_batches, split_blocks, split_rows
from proxy_tasks.language.char_transformer import symbols, text
from proxy_tasks.sentences import listed
from proxy_tasks.tabular.diabetes_regression import diabetes

FOLDER = Path(proxy_tasks.__file__).parent
# Fields of every task, which `test_schedules.py` and `test_augmentation.py` are about.
OF_ALL = {field.name for field in dataclasses.fields(Task)} - {"steps"}


@functools.cache
def small(kind: str) -> Any:  # each kind has methods of its own
    """Build a task with every size it has made small."""
    return make_task(kind, **TASKS[kind].small)


def fields_of(kind: str) -> list[str]:
    """Name the fields that are the kind's own, and the steps."""
    return [field.name for field in dataclasses.fields(TASKS[kind]) if field.name not in OF_ALL]


def others(usual: Task, name: str) -> list[int | float | str]:
    """Return other values that a field may have: half a number, or the other words."""
    field, value = usual.__dataclass_fields__[name], getattr(usual, name)
    if get_origin(field.type) is Literal:
        return [word for word in get_args(field.type) if word != value]
    return [value // 2 or 2 if isinstance(value, int) else value / 2 or 0.125]


@functools.cache
def drawn(kind: str, method: str, seed: int):
    """Draw a small task's init or draws; compiled as one, which is quicker than op by op."""
    return compiled(kind, method)(jax.random.key(seed))


@functools.cache
def compiled(kind: str, method: str):
    return cheap_jit(getattr(small(kind), method))


def leaves(tree):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


def one_step(draws, step):
    return jax.tree.map(lambda leaf: leaf[step], draws)


@pytest.fixture(autouse=True)
def strict_jax():
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield


# What a task is.


@every_task
def test_a_task_is_a_frozen_dataclass_that_says_what_it_measures_and_what_it_cannot(kind):
    cls = TASKS[kind]
    assert cls.kind == kind
    assert cls.__dataclass_params__.frozen
    assert all(sentence.strip() for sentence in (cls.measures, cls.cannot, cls.source, cls.__doc__))


def test_the_catalogue_is_what_it_prints():
    written = (FOLDER / "TASKS.md").read_text(encoding="utf-8")
    assert written == page(), "python -m proxy_tasks > proxy_tasks/TASKS.md"
    assert all(f"| `{kind}` |" in written for kind in TASKS)


def test_the_example_in_the_readme_is_a_complete_task():
    code = re.findall(
        r"```python\n(.*?)```", (FOLDER / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )[-1]
    names = {"dataclass": dataclasses.dataclass, "ClassVar": ClassVar, "Task": Task, "PARTS": PARTS}
    names |= {"frozen": frozen, "jax": jax, "jnp": jnp, "np": np, "__name__": "readme"}
    try:
        exec(code, names)
        example = make_task("rosenbrock", steps=3)
        params, draws = example.init(jax.random.key(0)), example.draws(jax.random.key(1))
        assert float(example.loss(params, example.data(), one_step(draws, 0))) > 0
        assert faults(example) == []
        assert len(example.fingerprint) == 16
    finally:
        TASKS.pop("rosenbrock", None)


def test_two_tasks_cannot_share_a_kind():
    with pytest.raises(TypeError, match="Impostor and DigitsDense are both 'digits_dense'"):
        type("Impostor", (Task,), {"kind": "digits_dense", "__qualname__": "Impostor"})


def test_the_package_imports_nothing_of_the_rest_of_the_project():
    for file in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.split(".")[0] for name in imported}
            assert not roots & {"primitives", "baselines", "evolve"}, file.name


def test_shapes_are_checked_where_signatures_state_them():
    """Under test alone: see `kit/checking.py`."""
    layer = {"kernel": jnp.zeros((3, 2)), "bias": jnp.zeros(2)}
    assert affine_row({"one": layer}, ("one",), jnp.ones((4, 3)), jnp.tanh)[0].shape == (4, 2)
    for wrong in (jnp.ones(3), jnp.ones((4, 3), jnp.int32)):
        with pytest.raises(TypeCheckError, match="typechecking parameter 'x'"):
            affine_row({"one": layer}, ("one",), wrong, jnp.tanh)


# Data.


@every_task
def test_data_has_three_parts_of_finite_float32_or_int32_that_nobody_can_change(kind):
    data = small(kind).data()
    assert tuple(data) == PARTS
    for leaf in jax.tree.leaves(data):
        assert isinstance(leaf, np.ndarray)
        assert leaf.dtype in (np.float32, np.int32)
        assert np.isfinite(leaf).all()
        assert not leaf.flags.writeable


@pytest.mark.parametrize("rows", [5, 442, 1797])
def test_rows_are_dealt_to_one_part_each(rows):
    parts = split_rows(rows, seed=1)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(rows))
    assert len(parts["train"]) == rows * 6 // 10


@pytest.mark.parametrize("length", [10, 1234, 43_054])
def test_characters_are_dealt_to_one_part_each(length):
    parts = split_blocks(length, block=100)
    np.testing.assert_array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(length))


@pytest.mark.parametrize(("data", "rows", "seed"), [(digits, 1797, 1797), (diabetes, 442, 442)])
def test_the_rows_of_a_part_are_those_dealt_to_it(data, rows, seed):
    dealt = {part: len(numbers) for part, numbers in split_rows(rows, seed).items()}
    assert {part: len(leaves(data()[part])[0]) for part in PARTS} == dealt
    # No image or patient occurs twice in these data sets, so equal rows would be leaked rows.
    table = np.concatenate([leaves(data()[part])[0].reshape(dealt[part], -1) for part in PARTS])
    assert len(np.unique(table, axis=0)) == rows


def test_the_tables_are_those_that_scikit_learn_loads():
    images, patients = load_digits(), load_diabetes(scaled=False)
    pixels = table("digits.csv.gz", ",")
    np.testing.assert_array_equal(pixels, np.column_stack([images.data, images.target]))
    np.testing.assert_array_equal(table("diabetes_data_raw.csv.gz", None), patients.data)
    np.testing.assert_array_equal(table("diabetes_target.csv.gz", None), patients.target)


def test_the_symbols_of_a_part_are_the_characters_dealt_to_it():
    parts = split_blocks(len(text()), block=500)
    for part in PARTS:
        characters = np.array(list(text()))[parts[part]]
        assert len(symbols()[part]) == len(characters)
        for symbol in range(63):  # 63 is any other character
            assert len(set(characters[symbols()[part] == symbol])) <= 1
    assert np.mean(symbols()["test"] == 63) < 0.02


def test_an_epoch_shows_every_row_once():
    rows = np.asarray(shuffled_batches(jax.random.key(0), steps=100, batch=7, rows=70))
    assert rows.shape == (100, 7)
    for epoch in rows.reshape(10, 70):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(70))
    assert not np.array_equal(rows[:10], rows[10:20])


# Randomness.


@most_tasks
@pytest.mark.parametrize("method", ["init", "draws"])
def test_what_is_random_is_a_function_of_the_key(kind, method):
    first, other = leaves(drawn(kind, method, 1)), leaves(drawn(kind, method, 2))
    again = leaves(compiled(kind, method)(jax.random.key(1)))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@most_tasks
def test_draws_have_one_slice_a_step_and_parameters_are_named_float32_leaves(kind):
    assert {leaf.shape[0] for leaf in leaves(drawn(kind, "draws", 1))} == {small(kind).steps}
    params = drawn(kind, "init", 1)
    assert all(isinstance(layer, dict) for layer in params.values())
    assert {leaf.dtype for leaf in leaves(params)} == {np.dtype(np.float32)}


# Losses.


@most_tasks
def test_the_gradient_of_the_loss_agrees_with_finite_differences_in_float64(kind):
    if "hvp" not in TASKS[kind].offers:
        return  # it says by that that its gradient is of no function, and has tests of its own
    chosen, rng = small(kind), np.random.default_rng(3)

    def wide(tree):
        return jax.tree.map(
            lambda x: np.asarray(x, np.float64 if x.dtype == np.float32 else x.dtype), tree
        )

    def somewhere(tree, scale):
        return jax.tree.map(lambda w: w + scale * rng.standard_normal(w.shape), tree)

    # Away from the initial biases of 0, where an empty patch of an image sits on the kink of its
    # relu.
    params = somewhere(wide(drawn(kind, "init", 1)), 0.1)
    data, draw = wide(chosen.data()), wide(one_step(drawn(kind, "draws", 1), 0))
    with jax.enable_x64(True):
        loss = cheap_jit(chosen.loss)
        gradient = cheap_jit(jax.grad(chosen.loss))(params, data, draw)
        assert loss(params, data, draw).dtype == np.float64
        for _ in range(3):
            way = somewhere(jax.tree.map(np.zeros_like, params), 1.0)
            ahead, behind = (
                jax.tree.map(lambda w, d, s=s: w + s * d, params, way) for s in (1e-6, -1e-6)
            )
            slope = (loss(ahead, data, draw) - loss(behind, data, draw)) / 2e-6
            along = sum(np.sum(g * d) for g, d in zip(leaves(gradient), leaves(way), strict=True))
            # A difference of 1e-6 leaves 1e-16 / 1e-6 of rounding and 1e-12 of curvature.
            np.testing.assert_allclose(along, slope, rtol=1e-6, atol=1e-8)


@most_tasks
def test_losses_are_the_same_under_vmap_over_seeds_as_one_by_one(kind):
    chosen = small(kind)
    data = jax.tree.map(jnp.asarray, chosen.data())
    alone = [
        (drawn(kind, "init", seed), one_step(drawn(kind, "draws", seed), 0)) for seed in (1, 2, 3)
    ]
    together = jax.tree.map(lambda *seeds: np.stack(seeds), *alone)

    def all_losses(params, draw):
        return chosen.loss(params, data, draw), chosen.evaluate(params, data, "test")

    single, several = cheap_jit(all_losses), cheap_jit(jax.vmap(all_losses))
    # float32 sums over a batch in another order: some 1e-7 for each of a few layers.
    np.testing.assert_allclose(
        np.stack(several(*together), axis=1), [np.stack(single(*one)) for one in alone], rtol=1e-5
    )


@most_tasks
def test_adam_brings_the_validation_loss_down_and_leaves_it_positive(kind):
    chosen, adam = small(kind), optax.scale_by_adam()
    data, schedule = jax.tree.map(jnp.asarray, chosen.data()), jnp.asarray(chosen.learning_rates())
    params, draws = drawn(kind, "init", 1), drawn(kind, "draws", 1)

    def train(params):
        def step(t, carry):
            params, state = carry
            gradient = jax.grad(chosen.loss)(params, data, one_step(draws, t))
            update, state = adam.update(gradient, state)
            return jax.tree.map(lambda w, u: w - 0.03 * schedule[t] * u, params, update), state

        return jax.lax.fori_loop(0, chosen.steps, step, (params, adam.init(params)))[0]

    with jax.numpy_dtype_promotion("standard"):  # optax's bias correction mixes int32 with floats
        trained = jax.jit(train)(params)
    evaluate = cheap_jit(
        lambda w: [chosen.evaluate(w, data, part) for part in ("validation", "test")]
    )
    before, after = np.stack(evaluate(params)), np.stack(evaluate(trained))
    assert np.isfinite(before).all()
    assert (after > 0).all()
    assert (after < 0.75 * before).all()


def test_the_quadratic_starts_at_a_loss_of_one_and_cannot_be_solved_by_forgetting():
    bowl = make_task("noisy_quadratic")
    starts = jax.vmap(bowl.init)(jax.random.split(jax.random.key(8), 400))
    loss = jax.vmap(lambda w: bowl.evaluate(w, bowl.data(), "validation"))(starts)
    # 400 starts; the standard deviation of one is about 0.1.
    np.testing.assert_allclose(loss.mean(), 1.0, atol=0.02)
    zero = {"point": {"w": jnp.zeros(bowl.dim)}}
    assert float(bowl.evaluate(zero, bowl.data(), "validation")) > 0.3


def test_the_quadratic_has_the_noise_it_states():
    bowl = small("noisy_quadratic")
    params, draws = drawn("noisy_quadratic", "init", 1), drawn("noisy_quadratic", "draws", 1)
    data = bowl.data()
    gradients = jax.vmap(lambda d: jax.grad(bowl.loss)(params, data, d)["point"]["w"])(draws)
    h, c = data["train"]["curvature"], data["train"]["optimum"]
    noise = np.asarray(draws, np.float64) * np.sqrt(h, dtype=np.float64)[None]
    exact = h * (np.asarray(params["point"]["w"], np.float64) - c)
    np.testing.assert_allclose(
        gradients, exact[None] + noise, rtol=1e-5, atol=1e-6
    )  # float32 rounding


@pytest.mark.parametrize("stride", [1, 2])
def test_a_convolution_is_that_of_lax(stride):
    rng = np.random.default_rng(9)
    shapes = [(5, 8, 8, 3), (3, 3, 3, 4), (4,)]
    images, kernel, bias = (
        jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes
    )
    theirs = jax.lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        [(1, 1), (1, 1)],
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    ours = jax.jit(convolution, static_argnames="stride")(
        {"kernel": kernel, "bias": bias}, images, stride=stride
    )
    # 27 float32 products summed in another order.
    np.testing.assert_allclose(ours, theirs + bias[None, None, None], atol=1e-5)


def test_the_transformer_does_not_look_ahead():
    chosen = small("char_transformer")
    params, logits = drawn("char_transformer", "init", 1), cheap_jit(chosen.logits)
    window = jnp.arange(8, dtype=jnp.int32)[None]
    changed = window.at[0, 5].set(40)
    before, after = np.asarray(logits(params, window)), np.asarray(logits(params, changed))
    np.testing.assert_array_equal(before[:, :5], after[:, :5])
    assert (np.abs(before[:, 5:] - after[:, 5:]).max(axis=-1) > 1e-4).all()


# The schedule.


@pytest.mark.parametrize("steps", [1, 2, 19, 150, 400, 100_000])
def test_the_usual_schedule_warms_up_to_one_and_ends_just_above_zero(steps):
    shape = make_task("digits_dense", steps=steps).learning_rates()
    warmup = max(1, round(0.05 * steps))
    t = np.arange(1, steps + 1)
    cosine = 0.5 * (1 + np.cos(np.pi * (t - warmup) / (steps + 1 - warmup)))
    assert (shape.shape, shape.dtype) == ((steps,), np.float32)
    np.testing.assert_allclose(
        shape, np.where(t < warmup, t / warmup, cosine), rtol=1e-6
    )  # float32
    assert shape.max() == shape[warmup - 1] == 1
    assert shape.min() > 0


def test_the_schedule_can_be_asked_for_inside_a_traced_function():
    chosen = small("digits_dense")
    traced = jax.jit(lambda: jnp.asarray(chosen.learning_rates()))()
    np.testing.assert_array_equal(traced, chosen.learning_rates())


# The fingerprint.


@every_task
def test_every_field_and_the_version_change_the_fingerprint(kind, monkeypatch):
    usual = make_task(kind)
    seen = [usual.fingerprint]
    for name in fields_of(kind):
        seen += [make_task(kind, **{name: other}).fingerprint for other in others(usual, name)]
    monkeypatch.setattr(TASKS[kind], "version", TASKS[kind].version + 1)
    seen.append(usual.fingerprint)
    assert all(re.fullmatch(r"[0-9a-f]{16}", one) for one in seen)
    assert len(set(seen)) == len(seen)


def test_a_changed_number_in_the_data_changes_the_fingerprint(monkeypatch):
    usual = make_task("diabetes_regression")
    before, data = usual.fingerprint, usual.data()
    moved = data["test"]["y"] * np.where(
        np.arange(len(data["test"]["y"])) == 3, np.float32(1.0001), np.float32(1)
    )
    changed = data | {"test": data["test"] | {"y": moved}}
    monkeypatch.setattr(type(usual), "data", lambda self: changed)
    assert usual.fingerprint != before


def test_a_number_is_the_same_however_it_is_written():
    written = [1000, 1e3, np.float64(1000), np.int64(1000)]
    assert (
        len({make_task("noisy_quadratic", condition=number).fingerprint for number in written}) == 1
    )


def test_fingerprints_are_the_same_in_a_fresh_process_with_other_hashes():
    code = (
        "from proxy_tasks import TASKS, make_task; "
        "print(*(make_task(k).fingerprint for k in sorted(TASKS)))"
    )
    env = os.environ | {"PYTHONHASHSEED": "12345", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code]
    fresh = subprocess.run(
        command, cwd=FOLDER.parent, env=env, capture_output=True, text=True, check=True
    )
    assert fresh.stdout.split() == [make_task(kind).fingerprint for kind in sorted(TASKS)]


# Errors.

ALL = listed(sorted(TASKS))
EVERYWHERE = ", ".join(field.name for field in dataclasses.fields(Task))
REFUSED = [
    (
        "digit_dense",
        {},
        f"no task is called 'digit_dense' (did you mean 'digits_dense'?); there are {ALL}.",
    ),
    ("xyz", {}, f"no task is called 'xyz'; there are {ALL}."),
    (
        ["digits_dense"],
        {},
        f"no task is called ['digits_dense'] (did you mean 'digits_dense'?); there are {ALL}.",
    ),
    (
        "digits_dense",
        {"widht": 16},
        "digits_dense has no field 'widht' (did you mean 'width'?); it has "
        f"{EVERYWHERE}, width and batch.",
    ),
    (
        "noisy_quadratic",
        {"momentum": 1},
        f"noisy_quadratic has no field 'momentum'; it has {EVERYWHERE}, dim and condition.",
    ),
    ("digits_dense", {"width": "32"}, "digits_dense: width must be a whole number, not '32'."),
    ("digits_dense", {"width": 32.0}, "digits_dense: width must be a whole number, not 32.0."),
    ("digits_dense", {"steps": True}, "digits_dense: steps must be a whole number, not True."),
    ("digits_dense", {"steps": None}, "digits_dense: steps must be a whole number, not None."),
    ("digits_dense", {"steps": 0}, "digits_dense: steps must be at least 1, not 0."),
    ("digits_conv", {"channels": -1}, "digits_conv: channels must be at least 1, not -1."),
    (
        "noisy_quadratic",
        {"condition": "1e3"},
        "noisy_quadratic: condition must be a finite number, not '1e3'.",
    ),
    (
        "noisy_quadratic",
        {"condition": float("nan")},
        "noisy_quadratic: condition must be a finite number, not nan.",
    ),
    (
        "noisy_quadratic",
        {"schedule": 3},
        "noisy_quadratic: a schedule is text, not 3; write one such as cosine or "
        "step_decay(factor=0.5, every=0.25).",
    ),
    ("noisy_quadratic", {"condition": 0}, "noisy_quadratic: condition must be above 0, not 0.0."),
    (
        "noisy_quadratic",
        {"condition": 0.5},
        "noisy_quadratic: condition must be at least 1, not 0.5.",
    ),
    (
        "digits_conv",
        {"batch": 2000},
        "digits_conv: batch must be at most 1078, the rows of the train part, not 2000.",
    ),
    (
        "diabetes_regression",
        {"batch": 266},
        "diabetes_regression: batch must be at most 265, the rows of the train part, not 266.",
    ),
    (
        "char_transformer",
        {"width": 62},
        "char_transformer: width must be a multiple of heads, not 62 for 4 heads.",
    ),
    (
        "char_transformer",
        {"context": 4000},
        "char_transformer: context must be at most 3999, the shortest part less one, not 4000.",
    ),
]


@pytest.mark.parametrize(("kind", "fields", "sentence"), REFUSED, ids=lambda value: str(value)[:40])
def test_a_task_that_cannot_be_is_refused_with_one_sentence(kind, fields, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as error:
        make_task(kind, **fields)
    assert str(error.value) == sentence


@most_tasks
def test_every_size_can_be_one_when_all_are(kind):
    fields = dataclasses.fields(TASKS[kind])
    sizes = [f.name for f in fields if f.type is int and f.name not in OF_ALL]
    smallest = make_task(kind, **dict.fromkeys(sizes, 1))
    key = jax.random.key(0)
    loss = cheap_jit(
        lambda: smallest.loss(smallest.init(key), smallest.data(), one_step(smallest.draws(key), 0))
    )
    assert np.isfinite(loss())


@pytest.mark.parametrize("size", [0.0, 1e4, 1e17, 1e30])
def test_equal_logits_cost_the_logarithm_of_the_number_of_classes_however_large_they_are(size):
    loss = cross_entropy(jnp.full((5, 10), size, jnp.float32), jnp.arange(5, dtype=jnp.int32))
    assert float(loss) == pytest.approx(np.log(10), rel=1e-6)


def test_the_loss_of_a_batch_of_the_quadratic_says_nothing_that_its_gradient_does_not():
    """Else a program that reads both could solve for the optimum instead of descending to it."""
    bowl = small("noisy_quadratic")
    params, draws, data = (
        drawn("noisy_quadratic", "init", 1),
        drawn("noisy_quadratic", "draws", 1),
        bowl.data(),
    )
    h = data["train"]["curvature"]
    losses, gradients = jax.vmap(lambda d: jax.value_and_grad(bowl.loss)(params, data, d))(draws)
    told = 0.5 * (
        (np.asarray(gradients["point"]["w"], np.float64) / np.sqrt(h, dtype=np.float64)[None]) ** 2
    ).sum(1)
    np.testing.assert_allclose(losses, told, rtol=1e-4)  # float32 rounding
