"""The baselines take the steps of their second opinion (tests/opinions), compiled and by the machine."""

from __future__ import annotations

import importlib
import io
import tokenize
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from opinions.harness import OPINIONS, SHAPES, STEPS, extras, furthest, gnvp, hvp, stack, unstacked, with_points

import baselines
from primitives import ProgramError, machine, meaning, parse
from primitives.graph import graph
from primitives.layout import Layout
from primitives.program import LEARNING_RATE

for path in sorted((Path(__file__).parent / "opinions").glob("*.py")):
    importlib.import_module(f"opinions.{path.stem}")


def by_compiler(program, dtype):
    """The meaning, traced and compiled."""
    w, grads = stack(dtype)

    def step(carry, now):
        g, shape, t, more = now
        feed = more | {"hvp": hvp, "gnvp": gnvp}
        w, states = meaning.step(program, carry[0], g, carry[1], shape, t, feed=feed)
        return (w, states), with_points(w, meaning.evaluation(program, w, states) if program.evaluate_at else {})

    steps = jnp.arange(1, STEPS + 1, dtype=dtype)
    start = (w, meaning.init(program, w))
    along = (grads, jnp.asarray(SHAPES, dtype), steps, jax.tree.map(jnp.asarray, extras(dtype)))
    return unstacked(jax.jit(lambda: jax.lax.scan(step, start, along)[1])())


def by_machine(program, dtype):
    w, grads = stack(dtype)
    layout = Layout.of(w)
    bank_after = compiled_machine(layout, np.dtype(dtype))
    flat, points = bank_after(
        machine.load(graph(program, dtype), dtype),
        layout.flatten(w),
        jnp.stack([layout.flatten(jax.tree.map(lambda g, t=t: g[t], grads)) for t in range(STEPS)]),
        jnp.asarray(SHAPES, dtype),
        jnp.asarray(extras(dtype)["loss"]),
    )
    walked, evaluated = (unstacked(jax.vmap(layout.unflatten)(x)) for x in (flat, points))
    return [with_points(w, x if program.evaluate_at else {}) for w, x in zip(walked, evaluated, strict=True)]


@cache
def compiled_machine(layout, dtype):
    """A hundred steps of any program."""

    @jax.jit
    def run(code, w, grads, shapes, losses):
        def step(bank, now):
            g, shape, t, loss = now
            bank = machine.step(code, layout, bank, g, shape, t, loss)
            return bank, (bank.w, machine.point(code, bank))

        steps = jnp.arange(1, STEPS + 1, dtype=dtype)
        return jax.lax.scan(step, machine.start(code, layout, w), (grads, shapes, steps, losses))[1]

    return run


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("ours", [by_compiler, by_machine], ids=["compiler", "machine"])
@pytest.mark.parametrize("name", baselines.names())
def test_a_baseline_takes_a_hundred_steps_like_its_second_opinions(name, ours, dtype):
    program = baselines.get(name)
    if ours is by_machine and graph(program).unflat():
        return  # the compiler runs it
    with jax.enable_x64(dtype is np.float64):
        walk = ours(program, dtype)
        for opinion in OPINIONS.values():
            if opinion.name == name:
                error = furthest(walk, opinion.walk(program, dtype))
                print(f"\n{name}, {ours.__name__}, {dtype.__name__}, {opinion.by}: relative error {error:.1e}")
                assert error <= opinion.bar(dtype), opinion.by


# --- the files -------------------------------------------------------------------------------------

FILES = {name: (baselines.PROGRAMS / f"{name}.py").read_text() for name in baselines.names()}
each = pytest.mark.parametrize("name", FILES)


def test_every_baseline_has_a_second_opinion():
    assert set(baselines.names()) == {opinion.name for opinion in OPINIONS.values()}


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
