"""A primitive of a plug-in is exported with its definition, or refused with a reason."""

from __future__ import annotations

import ast
import importlib.util
import sys
import textwrap

import jax.numpy as jnp
import numpy as np
import pytest

from primitives import ProgramError, meaning, parse
from primitives.export.optax import to_optax, to_optax_source
from primitives.registry import registered_for_a_while
from primitives.writing.mathematics import unicode_rule

HEAD = """
import functools, math
import numpy as np
from primitives.kinds import Scalar, Tensor, Value
from primitives.registry import LEAF, MODEL, primitive

SOFT = 0.75
SOFTER = SOFT / 2  # needs another name
FAR = math.inf
ANGLE = 2 * math.pi
NUMBERS = (1.0, 2.0)

def softened(xp, x, by=3.0):
    inner = lambda y: y * by
    return halved(xp, inner(x) / (SOFT + xp.abs(x)))

def halved(xp, x):
    return 0.5 * x
"""


@pytest.fixture
def plugin(tmp_path):
    """Loads definitions as a plug-in is loaded: from a file, under a name of its own."""
    name = "plugin_under_test"
    with registered_for_a_while():

        def load(text: str, add: str = ""):
            path = tmp_path / "plugin.py"
            path.write_text(HEAD + textwrap.dedent(text) + add)
            spec = importlib.util.spec_from_file_location(name, path)
            module = sys.modules[name] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)

        yield load
    sys.modules.pop(name, None)


def steps(program, count: int = 3):
    """Parameters after some steps of the exported optimizer, and of the program itself."""
    params = {"a": jnp.linspace(-1.0, 1.0, 6).reshape(2, 3), "b": jnp.ones(4)}
    ours, optimizer = params, to_optax(program).optimizer()
    state = optimizer.init(params)
    theirs, states = params, meaning.init(program, params)
    for t in range(count):
        updates, state = optimizer.update(ours, state, ours)
        ours = {name: ours[name] + updates[name] for name in ours}
        theirs, states = meaning.step(program, theirs, theirs, states, 1.0, t + 1)
    return ours, theirs


GOOD = {
    "in one line": """
        @primitive(family="mine")
        def mine(xp, x: Value, y: Value) -> Value:
            '''(x + SOFT·y).'''
            return x + SOFT * y
        """,
    "with functions and constants of its file": """
        @primitive(family="mine", flops=7)
        def mine(xp, x: Value, y: Value) -> Value:
            '''A softened x, at most FAR.'''
            size = xp.minimum(softened(xp, x), FAR)
            return size + SOFTER * xp.sin(ANGLE * y) + softened(xp, y, 2.0)
        """,
    "over a leaf": """
        @primitive(family="mine", scope=LEAF)
        def mine(xp, x: Tensor, y: Tensor) -> Scalar:
            '''The largest number times a mean.'''
            def size(z):
                return xp.max(xp.abs(z), initial=0.0)
            return size(x) * xp.mean(halved(xp, y))
        """,
    "over the model": """
        @primitive(family="mine", scope=MODEL)
        def mine(xp, x: Tensor, y: Tensor) -> Scalar:
            '''Half the sum of all.'''
            total = 0.0
            for one, other in zip(x, y):
                total = total + halved(xp, xp.sum(one + other))
            return (total,) * len(x)
        """,
}


@pytest.mark.parametrize("definition", GOOD.values(), ids=GOOD)
def test_a_definition_is_exported_with_what_it_uses_of_its_file(definition, plugin):
    plugin(definition)
    program = parse(
        "learning_rate = 0.1\n\ndef step(w, g, lr):\n"
        "    a = mine(g, w)\n    a = a * g\n    return a * lr\n"
    )
    source = to_optax_source(program)
    imports = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import | ast.ImportFrom)]
    assert [ast.unparse(n) for n in imports] == [
        "from typing import NamedTuple", "import jax", "import jax.numpy as jnp", "import optax",
    ]  # fmt: skip
    ours, theirs = steps(program)
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-6)  # fused multiply-adds


def test_a_number_that_meets_a_constant_is_rounded_as_the_program_rounds_it(plugin):
    plugin(GOOD["in one line"])
    program = parse("def step(w, g, lr):\n    a = mine(g, 0.1)\n    return a * lr\n")
    assert "c1 = jnp.asarray(0.1, dtype)" in to_optax_source(program)
    assert "[w + 0.75·y]" not in unicode_rule(program)  # it is written by its name
    assert "mine(g" in unicode_rule(program)


BAD = {
    "its definition uses 'np'": "return np.tanh(x)",
    "its definition uses 'NUMBERS'": "return x * NUMBERS[0]",
    "its definition uses 'functools'": "return functools.reduce(xp.add, [x, x])",
    "its definition uses 'missing'": "return missing(x)",
}


@pytest.mark.parametrize(("why", "line"), BAD.items())
def test_what_only_the_plugin_has_is_refused_with_the_name(why, line, plugin):
    plugin(
        f"""
        @primitive(family="mine")
        def mine(xp, x: Value) -> Value:
            '''Mine.'''
            {line}
        """
    )
    program = parse("def step(w, g, lr):\n    a = mine(g)\n    return a * lr\n")
    with pytest.raises(ProgramError) as refused:
        to_optax_source(program)
    assert str(refused.value) == (
        f"mine cannot be exported: {why}\n"
        "A definition may use xp, math, numbers, and functions of its own module."
    )
    assert "mine(g" in unicode_rule(program)


def test_a_variable_of_a_function_around_it_is_refused(plugin):
    plugin(
        """
        def made(by):
            @primitive(family="mine")
            def mine(xp, x: Value) -> Value:
                '''x times what it was made with.'''
                return x * by
        made(3.0)
        """
    )
    program = parse("def step(w, g, lr):\n    a = mine(g)\n    return a * lr\n")
    with pytest.raises(ProgramError, match="its definition uses 'by'"):
        to_optax_source(program)


def test_a_default_that_is_no_number_is_refused(plugin):
    plugin(
        """
        def helper(xp, x, of=NUMBERS):
            return x
        @primitive(family="mine")
        def mine(xp, x: Value) -> Value:
            '''Mine.'''
            return helper(xp, x)
        """
    )
    program = parse("def step(w, g, lr):\n    a = mine(g)\n    return a * lr\n")
    with pytest.raises(ProgramError, match="helper cannot be exported: the default of 'of'"):
        to_optax_source(program)


def test_a_definition_that_stands_in_no_file_is_refused(plugin):
    plugin(
        """
        exec('''
        @primitive(family="mine")
        def mine(xp, x: Value) -> Value:
            "Mine."
            return x
        '''.replace("\\n        ", "\\n"))
        """
    )
    program = parse("def step(w, g, lr):\n    a = mine(g)\n    return a * lr\n")
    with pytest.raises(ProgramError) as refused:
        to_optax_source(program)
    assert str(refused.value) == (
        "mine cannot be exported: the text of its definition is not known\n"
        "Write it with def, in a file."
    )
    assert "mine(g" in unicode_rule(program)
