"""An optimizer without a file is the one of the file."""

from __future__ import annotations

import importlib.util
import inspect
import pickle
import traceback

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import baselines
from primitives import Program, ProgramError, parse
from primitives.export.optax import to_optax, to_optax_source

PARAMS = {"a": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.ones(4)}


def walk(optimizer, steps: int = 5) -> list[dict]:
    """Parameters after each step of a compiled loop on a parabola."""

    @jax.jit
    def step(params, state):
        updates, state = optimizer.update(params, state, params)  # of a parabola, g = w
        return optax.apply_updates(params, updates), state

    params, state, seen = PARAMS, optimizer.init(PARAMS), []
    for _ in range(steps):
        params, state = step(params, state)
        seen.append(params)
    return seen


def equal(ours, theirs) -> bool:
    return all(map(np.array_equal, jax.tree.leaves(ours), jax.tree.leaves(theirs)))


def from_file(program: Program, folder):
    path = folder / "written.py"
    path.write_text(to_optax_source(program), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, program.name)


@pytest.mark.parametrize("name", ["lion", "adamw", "adafactor", "muon"])
def test_it_takes_the_steps_of_the_file_to_the_last_bit(name, tmp_path):
    program = baselines.get(name)
    live, written = to_optax(program).optimizer, from_file(program, tmp_path)
    assert equal(walk(live(0.1)), walk(written(0.1)))
    assert not equal(walk(live(0.1)), walk(live(0.2)))


def test_without_a_learning_rate_it_takes_the_programs_own():
    lion = baselines.get("lion")
    functions = to_optax(lion)
    assert equal(walk(functions.optimizer()), walk(functions.optimizer(lion.learning_rate)))
    assert f"{lion.learning_rate:g} is the peak" in inspect.getmodule(functions.optimizer).__doc__
    schedule = optax.constant_schedule(lion.learning_rate)
    assert equal(walk(functions.optimizer(schedule)), walk(functions.optimizer()))


def test_scale_by_is_what_stands_before_the_learning_rate():
    functions = to_optax(baselines.get("adam"))
    chained = optax.chain(functions.scale_by(), optax.scale_by_learning_rate(0.1))
    assert equal(walk(chained), walk(functions.optimizer(0.1)))


def test_hyperparameters_are_given_by_name():
    functions = to_optax(baselines.get("lion"))
    assert not equal(walk(functions.optimizer(weight_decay=0.5)), walk(functions.optimizer()))


def test_where_the_model_is_evaluated_elsewhere_it_says_where():
    assert to_optax(baselines.get("lion")).eval_params is None
    functions = to_optax(baselines.get("averaged_sgd"))
    state = functions.optimizer().init(PARAMS)
    assert equal(functions.eval_params(state, PARAMS), PARAMS)


def test_a_program_is_imported_once_and_under_another_name_again():
    lion = baselines.get("lion")
    assert to_optax(lion).optimizer is to_optax(lion).optimizer
    tiger = to_optax(lion, name="tiger")
    assert (tiger.name, tiger.optimizer.__name__, tiger.scale_by.__name__) == (
        "tiger",
        "tiger",
        "scale_by_tiger",
    )
    with pytest.raises(ProgramError, match="cannot name a Python function"):
        to_optax(lion, name="no-name")


def test_its_lines_are_shown_by_tools_and_its_state_can_be_pickled():
    functions = to_optax(baselines.get("lion"))
    assert inspect.getsource(functions.scale_by) in functions.source
    anchored = parse("def step(w, g):\n    d = w - g\n    return d\n", name="anchored")
    optimizer = to_optax(anchored).optimizer()
    with pytest.raises(ValueError, match="reads the parameters") as failed:
        optimizer.update(PARAMS, optimizer.init(PARAMS))
    assert 'raise ValueError("anchored reads' in "".join(traceback.format_tb(failed.tb))
    state = functions.optimizer().init(PARAMS)
    assert equal(pickle.loads(pickle.dumps(state)), state)
