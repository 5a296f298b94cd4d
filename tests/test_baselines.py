"""The baselines take the steps of optax (or of a numpy rule), by the meaning and by the machine."""

from __future__ import annotations

import io
import tokenize
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import baselines
from primitives import ProgramError, machine, meaning, parse
from primitives.graph import graph
from primitives.layout import Layout
from primitives.program import LEARNING_RATE

STEPS = 100
TREE = {"bias": (5,), "gain": (), "kernel": (3, 3, 2, 4), "matrix": (6, 7)}
SHAPES = 0.5 * (1.0 + np.cos(np.pi * np.arange(STEPS) / STEPS))  # a cosine schedule, peak 1

TOLERANCE = {np.float32: 1e-6, np.float64: 1e-12}
"""The bar of DESIGN.md §15, relative to the norm of the parameters of a leaf."""


def schedule(program):
    return lambda count: jnp.asarray(SHAPES)[count] * program.learning_rate


OPTAX = {
    "sgd": lambda lr, **v: optax.sgd(lr),
    "heavy_ball": lambda lr, momentum: optax.sgd(lr, momentum=momentum),
    "nesterov": lambda lr, momentum: optax.sgd(lr, momentum=momentum, nesterov=True),
    "adagrad": lambda lr, eps: optax.adagrad(lr, initial_accumulator_value=0.0, eps=eps),
    "rmsprop": lambda lr, decay, eps: optax.rmsprop(lr, decay=decay, eps=eps, eps_in_sqrt=False),
    "adam": lambda lr, beta1, beta2, eps: optax.adam(lr, b1=beta1, b2=beta2, eps=eps),
    "adamw": lambda lr, beta1, beta2, eps, weight_decay: optax.adamw(
        lr, b1=beta1, b2=beta2, eps=eps, weight_decay=weight_decay
    ),
    "lion": lambda lr, beta1, beta2, weight_decay: optax.lion(lr, b1=beta1, b2=beta2, weight_decay=weight_decay),
}
"""Name -> (schedule, hyperparameters of the program) -> the same optimizer of optax, by the text's convention."""


@cache
def sequence(dtype):
    """Parameters at the start, and gradients of 100 steps over four decades; some are exactly 0.

    The parameters stay away from 0, where a relative error would measure the closeness to 0.
    """
    rng = np.random.default_rng(20)
    size = 10.0 ** rng.uniform(-4, 0, STEPS)
    start = {
        name: np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(1.0, 2.0, shape), dtype)
        for name, shape in TREE.items()
    }
    grads = [
        {
            name: np.asarray(size[t] * rng.normal(0.0, 1.0, s) * (rng.uniform(size=s) > 0.1), dtype)
            for name, s in TREE.items()
        }
        for t in range(STEPS)
    ]
    return start, grads


def stack(dtype):
    start, grads = sequence(dtype)
    return jax.tree.map(jnp.asarray, start), jax.tree.map(lambda *g: jnp.stack(g), *grads)


@cache
def by_optax(name, dtype):
    program = baselines.get(name)
    values = {k: v for k, v in program.values.items() if k != LEARNING_RATE}
    optimizer = OPTAX[name](schedule(program), **values)
    w, grads = stack(dtype)

    def step(carry, g):
        w, state = carry
        update, state = optimizer.update(g, state, w)
        return (optax.apply_updates(w, update), state), optax.apply_updates(w, update)

    with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
        return jax.jit(lambda: jax.lax.scan(step, (w, optimizer.init(w)), grads)[1])()


def by_meaning(name, dtype):
    program = baselines.get(name)
    w, grads = stack(dtype)

    def step(carry, now):
        g, shape, t = now
        w, states = meaning.step(program, carry[0], g, carry[1], shape, t)
        return (w, states), w

    steps = jnp.arange(1, STEPS + 1, dtype=dtype)
    states = meaning.init(program, w)
    return jax.jit(lambda: jax.lax.scan(step, (w, states), (grads, jnp.asarray(SHAPES, dtype), steps))[1])()


def by_machine(name, dtype):
    w, grads = stack(dtype)
    layout = Layout.of(w)
    bank_after = compiled_machine(layout, np.dtype(dtype))
    flat = bank_after(
        machine.load(graph(baselines.get(name), dtype), dtype),
        layout.flatten(w),
        jnp.stack([layout.flatten(jax.tree.map(lambda g, t=t: g[t], grads)) for t in range(STEPS)]),
        jnp.asarray(SHAPES, dtype),
    )
    return jax.vmap(layout.unflatten)(flat)


@cache
def compiled_machine(layout, dtype):
    """A hundred steps of any program."""

    @jax.jit
    def run(code, w, grads, shapes):
        def step(bank, now):
            bank = machine.step(code, layout, bank, *now)
            return bank, bank.w

        steps = jnp.arange(1, STEPS + 1, dtype=dtype)
        return jax.lax.scan(step, machine.start(code, w), (grads, shapes, steps))[1]

    return run


def by_numpy(name, dtype):
    """The seed of Lion's search as its paper prints it, in float64; 0/0 counts as 0."""
    assert name == "lion_seed"
    start, grads = sequence(dtype)
    w = {k: np.float64(x) for k, x in start.items()}
    m, v = ({k: np.zeros(s) for k, s in TREE.items()} for _ in range(2))
    walk = []
    for t, g in enumerate(grads):
        for k in w:
            now = np.float64(g[k])
            m[k] = 0.1 * now + 0.9 * m[k]
            v[k] = 0.001 * now**2 + 0.999 * v[k]
            root = np.sqrt(v[k])
            ratio = np.divide(m[k], root, out=np.zeros_like(root), where=root > 0.0)
            w = w | {k: w[k] - (ratio + 0.01 * w[k]) * (SHAPES[t] * 0.001)}
        walk.append(w)
    return jax.tree.map(lambda *x: np.stack(x), *walk)


def furthest(one, other) -> float:
    """Largest relative distance of a leaf at any step: norm of the difference over norm of the parameters."""
    worst = 0.0
    for name in TREE:
        a, b = (np.float64(tree[name]).reshape(STEPS, -1) for tree in (one, other))
        assert np.isfinite(b).all()
        worst = max(worst, (np.linalg.norm(a - b, axis=1) / np.linalg.norm(b, axis=1)).max())
    return worst


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("ours", [by_meaning, by_machine], ids=["meaning", "machine"])
@pytest.mark.parametrize("name", [*OPTAX, "lion_seed"])
def test_a_baseline_takes_a_hundred_steps_like_its_second_opinion(name, ours, dtype):
    with jax.enable_x64(dtype is np.float64):
        steps = ours(name, dtype)
        assert {x.dtype for x in jax.tree.leaves(steps)} == {np.dtype(dtype)}
        error = furthest(steps, (by_numpy if name == "lion_seed" else by_optax)(name, dtype))
    print(f"\n{name}, {ours.__name__}, {dtype.__name__}: relative error {error:.1e}")
    assert error <= TOLERANCE[dtype]


# --- the files -------------------------------------------------------------------------------------

FILES = {name: (baselines.PROGRAMS / f"{name}.py").read_text() for name in baselines.names()}
each = pytest.mark.parametrize("name", FILES)


def test_every_baseline_with_a_second_opinion_is_there():
    assert set(baselines.names()) >= {*OPTAX, "lion_seed"}


def without_comments(text: str) -> str:
    """The text with its comments cut off; a docstring keeps its hash signs."""
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column].rstrip()
    return "\n".join(lines) + "\n"


@each
def test_a_program_file_prints_back_to_its_own_text_but_for_comments(name):
    assert str(baselines.get(name)) == without_comments(FILES[name])


@each
def test_a_program_file_parses_to_itself(name):
    program = baselines.get(name)
    again = parse(str(program), name=name)
    assert again == program == baselines.find(baselines.PROGRAMS / f"{name}.py")
    assert (program.name, str(again)) == (name, str(program))


@each
def test_a_program_file_names_its_source_and_its_convention(name):
    lines = baselines.get(name).doc.splitlines()
    assert lines[0].endswith(".")
    assert any(line.startswith("Source: ") for line in lines)
    assert any(line.startswith("Convention: ") for line in lines)


@each
def test_a_tuning_range_contains_the_default(name):
    program = baselines.get(name)
    for h in program.hyperparameters:
        if h.low is not None:
            assert h.low < h.value < h.high
    tuned = {h.name for h in program.hyperparameters if h.low is not None}
    if name != "lion_seed":  # its constants stand in the program
        assert LEARNING_RATE in tuned


def test_an_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(ProgramError) as error:
        baselines.get("adanw")
    assert str(error.value) == (
        "no optimizer is called 'adanw'\nDid you mean 'adamw'? `evolve list optimizers` shows all; a file ends in .py."
    )


@pytest.mark.parametrize("name", ["", "../programs/adam", "..", "adam\0", "/etc/passwd", "nothing.py"])
def test_a_name_reaches_no_file_outside_the_folder(name):
    with pytest.raises(ProgramError):
        baselines.get(name)
    with pytest.raises(ProgramError):
        baselines.find(name)
