"""Text and programs: printing and parsing are inverse, errors finish the conversation, and nothing
is executed.
"""

from __future__ import annotations

import ast
import pickle
import re
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit.strategies import MORE, SAID, docstrings, programs

import baselines
from primitives import (
    PRIMITIVES,
    SCALAR,
    TENSOR,
    Hyperparameter,
    Instruction,
    Program,
    ProgramError,
    State,
    load,
    parse,
)
from primitives.canonical.liveness import prune
from primitives.parse import MAX_BYTES
from primitives.statements import KERNELS

ROOT = Path(__file__).parents[2]
STEP = "def step(g):\n    return g\n"


def body(*lines: str, head: str = "", inputs: str = "w, g, lr") -> str:
    return head + f"def step({inputs}):\n" + "".join(f"    {line}\n" for line in lines)


# --- checking -------------------------------------------------------------------------------------


@settings(max_examples=500)
@given(
    programs() | programs(features=MORE) | programs(features=SAID),
    st.randoms(use_true_random=True),
)
def test_other_statements_are_checked_as_the_whole_program_is(program, rng):
    """Only what they touch is checked again: what is legal, and of which kind, must not depend on
    that.
    """
    names = [
        *program.entry_kinds,
        *(i.target for i in program.body),
        *(s.name for s in program.states),
    ]
    for _ in range(20):
        first = rng.randint(0, len(program.body))
        last = min(first + rng.randint(0, 2), len(program.body))
        new = []
        for _ in range(rng.randint(0, 2)):
            op = rng.choice(list(PRIMITIVES.values()))
            args = tuple(rng.choice([*names, 0.5]) for _ in op.slots)
            new.append(Instruction(rng.choice([*names, "fresh", "g", "in"]), op.name, args))
        body = (*program.body[:first], *new, *program.body[last:])
        try:
            whole = replace(program, body=body)
        except ProgramError as fault:
            with pytest.raises(ProgramError, match=re.escape(fault.what)):
                program.with_statements(first, last, tuple(new))
        else:
            child = program.with_statements(first, last, tuple(new))
            assert child == whole
            assert child.kinds == whole.kinds
            assert child.matrix_statement == whole.matrix_statement
            assert child.parts == whole.parts
            program = child


# --- printing and parsing -------------------------------------------------------------------------


@settings(max_examples=500)
@given(
    programs(docs=docstrings) | programs(docs=docstrings, features=MORE) | programs(features=SAID)
)
def test_printing_then_parsing_returns_the_same_program(program):
    text = str(program)
    again = parse(text)
    assert again == program
    assert str(again) == text  # also tells -0.0 from 0.0, which are equal
    assert text.isascii() or text.encode()


@pytest.mark.parametrize(
    "doc",
    [
        'a "quoted" word"',
        'three """ quotes',
        '"',
        '"""',
        "\\",
        "ends in \\",
        '\\"\\',
        "a\nb\n",
        "\n",
        "\t",
        "nul \0",
        "a\rb",
        "a\r\nb",
        "lone \ud800",
        "form \f feed",
        "separator \u2028",
        "é ∑ 漢",
        "(" * 200,
        "([{" * 30,
        "x" * 3000,
        "\\" * 2500,
        "\\N{DASH}",
        "{x}",
        "# no comment",
        "'''",
    ],
    ids=repr,
)
def test_a_docstring_survives_whatever_is_in_it(doc):
    program = Program(("g",), (), "g", doc=doc)
    assert parse(str(program)).doc == doc


@pytest.mark.parametrize(
    "value",
    [
        0.0,
        -0.0,
        5e-324,
        -5e-324,
        2.2250738585072014e-308,
        1e-8,
        0.1,
        1 / 3,
        0.1 + 0.2,
        1e10,
        -1e10,
        9999999999.999998,
        1e22**0.4,
    ],
    ids=repr,
)
def test_a_literal_keeps_every_bit_in_every_place(value):
    program = Program(
        ("g",),
        (
            Instruction("a", "copy", (value,)),
            Instruction("b", "power", (value, value)),
            Instruction("c", "negative", (value,)),
            Instruction("d", "subtract", (value, value)),
            Instruction("e", "interp", ("g", "g", value)),
            Instruction("f", "less", (value, value)),
        ),
        "e",
        (State("m", TENSOR, value), State("n", SCALAR, value)),
        (Hyperparameter("h", value), Hyperparameter("k", value, -1e10, 1e10)),
    )
    again = parse(str(program))
    assert again == program
    assert repr(again) == repr(program)


def test_numpy_numbers_print_as_numbers():
    program = Program(
        ("g",),
        (Instruction("u", "multiply", ("g", np.float64(0.25))),),
        "u",
        (State("m", TENSOR, np.float64(2)),),
    )
    assert str(program) == "m = full_like(w, 2.0)\n\ndef step(g):\n    u = g * 0.25\n    return u\n"


FLAT = {
    "update = (g + w) * lr": ["v1 = g + w", "update = v1 * lr"],
    "update = -g": ["update = negative(g)"],
    "update = --g": ["v1 = negative(g)", "update = negative(v1)"],
    "update = +g": ["update = g"],
    "update = g - -2.5": ["update = g - -2.5"],
    "update = g * 2": ["update = g * 2.0"],
    "update = g ** -2": ["update = g ** -2.0"],
    "update = -g ** 2": ["v1 = g ** 2.0", "update = negative(v1)"],
    "update = (-2) ** g": ["update = (-2.0) ** g"],
    "update = g + w * lr ** 2": ["v1 = lr ** 2.0", "v2 = w * v1", "update = g + v2"],
    "update = sign(interp(g, w, 0.9)) / sqrt(lr)": [
        "v1 = interp(g, w, 0.9)",
        "v2 = sign(v1)",
        "v3 = sqrt(lr)",
        "update = v2 / v3",
    ],
    "update = where(g > 0, g, w)": ["v1 = g > 0.0", "update = where(v1, g, w)"],
    "update = (g != w) + (g <= w)": ["v1 = g != w", "v2 = g <= w", "update = v1 + v2"],
    "update = g; update += w * lr": ["update = g", "v1 = w * lr", "update = update + v1"],
    "update = add(g, w)": ["update = g + w"],
    "v1 = g; update = v1 + sin(w)": ["v1 = g", "v2 = sin(w)", "update = v1 + v2"],
    "update = g * get_pi()": ["v1 = get_pi()", "update = g * v1"],
}


@pytest.mark.parametrize("line", FLAT)
def test_nested_and_infix_expressions_become_one_call_a_statement(line):
    flat = body(*FLAT[line], "return update")
    assert str(parse(body(line, "return update"))) == flat
    assert str(parse(flat)) == flat


def test_an_expression_may_be_returned():
    assert str(parse(body("return g * lr", inputs="g, lr"))) == body(
        "v1 = g * lr", "return v1", inputs="g, lr"
    )


def test_declarations_are_read_as_they_are_printed():
    head = (
        '"""Doc."""\nlearning_rate = 0.1\na = tunable(0.9, low=0.5, high=0.99, scale="log1m")\n'
        'b = tunable(2.0, scale="log")\n'
        "m = zeros_like(w)\nn = full_like(w, 0.1)\np = copy(w)\nq = copy(g)\ns = scalar(0.5)\n\n"
    )
    text = body("return g", head=head, inputs="g")
    program = parse(text)
    assert str(program) == text
    assert program.learning_rate == 0.1
    assert [s.start for s in program.states] == [0.0, 0.1, "w", "g", 0.5]


WHOLE = """beta = 0.9
r = row(0.5)
c = column(0.0)
l = left(identity)
m = right(-2.0)
v = zeros_like(w)
past = ring(full_like(w, 0.1), 3)
start = ring(copy(w), 1)
losses = ring(scalar(1.0), 2)
turns = ring(left(identity), 2)
kernels = stack()

def step(g, w, lr, t, loss, noise, rademacher):
    past = g
    start = w
    losses = loss
    turns = gram_left(g)
    u = turns2 @ g
    u = u @ m
    v = past3 * losses2
    return u, v

def fallback(noise, g, w):
    past = noise
    v = past1 + v
    return v, w
"""


def test_all_that_a_program_can_declare_is_read_as_it_is_printed():
    text = WHOLE
    program = parse(text)
    assert str(program) == text
    assert program.kernels == "stack"
    assert (program.evaluate_at, program.fallback.evaluate_at) == ("v", "w")
    assert [(s.name, str(s.kind), s.start, s.ring) for s in program.states[:4]] == [
        ("r", "row", 0.5, 0), ("c", "column", 0.0, 0), ("l", "left", "identity", 0),
        ("m", "right", -2.0, 0),
    ]  # fmt: skip
    assert [(s.slots, str(s.kind), s.start, s.ring) for s in program.states[5:]] == [
        (("past1", "past2", "past3"), "tensor", 0.1, 3), (("start1",), "tensor", "w", 1),
        (("losses1", "losses2"), "scalar", 1.0, 2), (("turns1", "turns2"), "left", "identity", 2),
    ]  # fmt: skip
    assert program.needs == {"loss", "noise", "rademacher"}


@pytest.mark.parametrize("oracle", ["hvp", "gnvp"])
def test_an_oracle_is_declared_as_an_input_and_called(oracle):
    text = body(f"h = {oracle}(g)", "return h", inputs=f"g, {oracle}")
    assert str(parse(text)) == text
    assert parse(text).needs == {oracle}


def test_a_body_may_come_first_or_last_and_is_printed_in_order():
    text = "\ndef fallback(w, g):\n    return g\n\n" + STEP
    assert str(parse(text)) == STEP + FALLBACK
    assert str(parse("kernels = flatten()\n" + STEP)) == STEP


@pytest.mark.parametrize("kernels", KERNELS[1:])
def test_a_rule_for_kernels_is_read_as_it_is_printed(kernels):
    text = f"kernels = {kernels}()\n\n{STEP}{FALLBACK}"
    program = parse(text)
    assert str(program) == text
    assert program.kernels == kernels


def test_a_fallback_has_its_own_variables_and_its_own_use_of_the_states():
    text = (
        "m = zeros_like(w)\np = ring(zeros_like(w), 2)\n\ndef step(g):\n    a = norm(g)\n    "
        "return g\n\n"
        "def fallback(g):\n    a = g + m\n    p = a\n    m = p2\n    return a\n"
    )
    program = parse(text)
    assert str(program) == text
    assert [[s.name for s in part.states] for part in program.parts] == [[], ["m", "p1", "p2"]]


@pytest.mark.parametrize(
    ("lines", "seen"),
    [
        (("past = g", "u = window_total(past)"), ("past", "past1", "past2")),
        (("u = window_total(past)", "past = g"), ("past1", "past2", "past3")),
        (("u = window_total(past, w)", "past = g"), ("past1", "past2", "past3", "w")),
        (("u = window_quantile(0.5, past)", "past = u"), (0.5, "past1", "past2", "past3")),
    ],
)
def test_a_ring_given_to_a_window_is_its_last_values_so_far(lines, seen):
    text = body(*lines, "return u", head="past = ring(zeros_like(w), 3)\n\n")
    program = parse(text)
    assert str(program) == text
    call = next(i for i in program.parts[0].body if i.target == "u")
    assert call.args == seen
    assert prune(program).states == program.states


def test_a_window_keeps_a_ring_alive_and_nothing_else_does():
    head = "past = ring(zeros_like(w), 3)\n"
    assert not prune(parse(body("past = g", "u = past * 2.0", "return u", head=head))).states
    assert prune(parse(body("past = g", "u = window_mean(past)", "return u", head=head))).states


def test_a_nested_expression_keeps_out_of_the_way_of_a_ring():
    program = parse(
        body("v = g + 2 * g", "return v3", head="v = ring(zeros_like(w), 3)\n", inputs="g")
    )
    assert [i.target for i in program.body] == ["v4", "v"]


def test_a_program_at_the_bounds_can_still_be_taken_apart():
    """What is legal stays legal when its rings are states of their own."""
    head = "".join(f"{c} = ring(zeros_like(w), 60)\n" for c in "abcd")
    lines = [f"{c} = g" for c in "abcd"]
    for statements in (10, 11):
        text = body(*lines, *["g = sin(g)"] * statements, "return a60, b60", head=head, inputs="g")
        if statements == 10:
            (part,) = parse(text).parts
            assert len(part.body) == 256
        else:
            with pytest.raises(ProgramError, match="the most is 256"):
                parse(text)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.replace("\n", "\r\n"),
        lambda t: "\ufeff" + t,
        lambda t: t.replace("    ", "\t"),
        lambda t: t.replace("\n", "\n\f"),
        lambda t: "# -*- coding: latin-1 -*-\n" + t,
        lambda t: t.replace("\n", "  # ∑\n"),
        lambda t: t.rstrip("\n"),
        lambda t: t.replace("\n", "\r"),
        lambda t: t.replace(" * ", " \\\n * "),
    ],
    ids=[
        "CRLF",
        "BOM",
        "tabs",
        "form feeds",
        "a cookie that lies",
        "comments",
        "no last newline",
        "CR",
        "continued lines",
    ],
)
def test_what_editors_do_to_a_file_does_not_matter(change):
    text = body(
        "m = interp(g, m, 0.9)", "update = m * lr", "return update", head="m = zeros_like(w)\n"
    )
    assert parse(change(text)) == parse(text)
    assert parse(change(text).encode()) == parse(text)


# --- error messages -------------------------------------------------------------------------------

FALLBACK = "\ndef fallback(w, g):\n    return g\n"
ARRAY = "tensor or row or column or left or right"
WRITE = (
    "Write zeros_like(w), full_like(w, 0.1), copy(w), copy(g), scalar(0.0), row(0.0), column(0.0), "
    "left(0.0), right(identity), ring(zeros_like(w), 3), or a number for a hyperparameter."
)
ALLOWED = (
    "A program has hyperparameters (`beta = 0.9`), state (`m = zeros_like(w)`) and one "
    "`def step(w, g, lr): ...` of assignments that ends with `return update`; where it needs "
    "matrices, "
    "`def fallback(w, g, lr): ...` for the other leaves follows."
)

ERRORS = {
    "an unknown primitive": (
        body("c = interpp(g, w, lr)", "return c"),
        "x.py:2: no primitive is called 'interpp'\n    c = interpp(g, w, lr)\n"
        "Did you mean 'interp'? `evolve list primitives` shows all of them.",
    ),
    "an unknown primitive like no other": (
        body("c = zzz(g)", "return c"),
        "x.py:2: no primitive is called 'zzz'\n    c = zzz(g)\n`evolve list primitives` shows "
        "all of them.",
    ),
    "too few arguments": (
        body("c = interp(g, w)", "return c"),
        "x.py:2: interp takes 3 arguments, not 2\n    c = interp(g, w)\nWrite interp(x, y, a: "
        "scalar).",
    ),
    "too few arguments of a window": (
        body("past = g", "c = window_quantile(0.5)", "return c", head="past = ring(copy(w), 2)\n"),
        "x.py:4: window_quantile takes at least 2 arguments, not 1\n    c = window_quantile(0.5)\n"
        "Write window_quantile(q: scalar, x, ...).",
    ),
    "a window of values that do not fit": (
        body("r = 1.0", "return window_mean(r, mean_over_rows(g), gram_left(g))"),
        "x.py:3: window_mean: scalar and row and left do not combine\n    return window_mean(r, "
        "mean_over_rows(g), gram_left(g))\nIts signature is window_mean(x, ...).",
    ),
    "a wrong kind": (
        body("c = g + w", "d = interp(g, w, c)", "return d"),
        "x.py:3: interp: argument 3 is a tensor, not a scalar\n    d = interp(g, w, c)\n"
        "Its signature is interp(x, y, a: scalar).",
    ),
    "a scalar for a tensor": (
        body("c = norm(lr)", "return g"),
        "x.py:2: norm: argument 1 is a scalar, not a tensor\n    c = norm(lr)\nIts signature is "
        "norm(x: tensor).",
    ),
    "an unknown input": (
        body("return g", inputs="w, g, zzz"),
        "x.py:1: no input is called 'zzz'\n    def step(w, g, zzz):\n"
        "There are: w, g, lr, t, loss, noise, rademacher, run_progress, hvp, gnvp.",
    ),
    "an undeclared t": (
        body("c = g * t", "return c"),
        "x.py:2: 't' has no value here\n    c = g * t\nDeclare it: def step(..., t).",
    ),
    "reading the learning rate": (
        body("c = g * learning_rate", "return c", head="learning_rate = 0.1\n"),
        "x.py:3: 'learning_rate' has no value here\n    c = g * learning_rate\n"
        "Read lr, the schedule's value at this step; its peak is learning_rate.",
    ),
    "a misspelt variable": (
        body("momentum = g", "c = momentun + g", "return c"),
        "x.py:3: 'momentun' has no value here\n    c = momentun + g\nDid you mean 'momentum'?",
    ),
    "a state that nobody declared": (
        body("m = 0.9 * m + g", "return m"),
        "x.py:2: 'm' has no value here\n    m = 0.9 * m + g\nTo keep it from step to step, declare "
        "it above step: m = zeros_like(w), or m = scalar(0.0) if it is a number. Else assign it "
        "first.",
    ),
    "a hyperparameter that nobody declared": (
        body("u = decay * g", "return u"),
        "x.py:2: 'decay' has no value here\n    u = decay * g\nDeclare it above step: decay = 0.9 "
        "is a hyperparameter, decay = zeros_like(w) a state.",
    ),
    "a hyperparameter with an annotation": (
        "beta: float = 0.9\n" + STEP,
        "x.py:1: an annotation is not allowed here\n    beta: float = 0.9\nLeave the annotation "
        "out: name = value.",
    ),
    "a hyperparameter that is calculated": (
        "beta = 1 - 0.1\n" + STEP,
        "x.py:1: a calculation is not allowed here\n    beta = 1 - 0.1\nA hyperparameter is one "
        "number: write out what is calculated.",
    ),
    "an assignment to a hyperparameter": (
        body("beta = g", "return beta", head="beta = 0.9\n"),
        "x.py:3: 'beta' is a hyperparameter and cannot be assigned\n    beta = g\n"
        "Assign to another name, or make it state.",
    ),
    "an assignment to the learning rate": (
        body("learning_rate = g", "return g", head="learning_rate = 0.9\n"),
        "x.py:3: 'learning_rate' is a hyperparameter and cannot be assigned\n    learning_rate = "
        "g\n"
        "Assign to another name, or make it state.",
    ),
    "a state that changes its kind": (
        body("m = norm(g)", "u = g", "return u", head="m = zeros_like(w)\n"),
        "x.py:3: state 'm' is a tensor, but it ends the step as a scalar\n    m = norm(g)\n"
        "Give it a tensor, or use another name for this value.",
    ),
    "a scalar update": (
        body("u = norm(g)", "return u"),
        "x.py:3: the update 'u' is a scalar; it must be a tensor, as w is\n    return u\n"
        "Multiply it with g, or with another tensor.",
    ),
    "a number as the update": (
        body("return 3"),
        "x.py:2: the update is a number\n    return 3\nReturn a tensor.",
    ),
    "a missing return": (
        body("u = g"),
        "x.py:2: step does not end with `return update`\n    u = g\nReturn the update; w - "
        "update is applied.",
    ),
    "an empty return": (
        body("return"),
        "x.py:2: step does not end with `return update`\n    return\nReturn the update; w - "
        "update is applied.",
    ),
    "a returned name without value": (
        body("update = g", "return updat"),
        "x.py:3: the returned name 'updat' has no value\n    return updat\nDid you mean 'update'?",
    ),
    "a misspelt initial value": (
        "m = zeros_lik(w)\n" + STEP,
        f"x.py:1: 'zeros_lik(w)' is no initial value\n    m = zeros_lik(w)\nDid you mean "
        f"'zeros_like'? {WRITE}",
    ),
    "a bad range": (
        "b = tunable(0.9, low=2.0, high=1.0)\n" + STEP,
        "x.py:1: 2.0 to 1.0 is no linear range for 'b'\n    b = tunable(0.9, low=2.0, high=1.0)\n"
        "Give low < high; above 0 for the scale log, below 1 for log1m.",
    ),
    "half a range": (
        "b = tunable(0.9, low=2.0)\n" + STEP,
        "x.py:1: 2.0 to None is no linear range for 'b'\n    b = tunable(0.9, low=2.0)\n"
        "Give low < high; above 0 for the scale log, below 1 for log1m.",
    ),
    "a range that its scale cannot have": (
        'b = tunable(0.9, low=0.0, high=1.0, scale="log")\n' + STEP,
        "x.py:1: 0.0 to 1.0 is no log range for 'b'\n    b = tunable(0.9, low=0.0, high=1.0, "
        'scale="log")\n'
        "Give low < high; above 0 for the scale log, below 1 for log1m.",
    ),
    "a bad scale": (
        'b = tunable(0.9, scale="lin")\n' + STEP,
        "x.py:1: no scale is called 'lin'\n    b = tunable(0.9, scale=\"lin\")\nThere are: "
        "linear, log, log1m.",
    ),
    "a range that is no literal": (
        "b = tunable(0.9, low=x)\n" + STEP,
        "x.py:1: tunable: low is no literal\n    b = tunable(0.9, low=x)\n"
        'Write tunable(0.9, low=0.5, high=0.999, scale="log1m").',
    ),
    "a huge constant": (
        body("u = g * 1e999", "return u"),
        "x.py:2: inf is no constant\n    u = g * 1e999\nUse a finite number within ±1e+10.",
    ),
    "a name declared twice": (
        "m = 0.5\nm = zeros_like(w)\n" + STEP,
        "x.py:2: 'm' is declared twice\n    m = zeros_like(w)\nGive one of them another name.",
    ),
    "a local variable with the name of an input": (
        body("t = norm(g)", "return g"),
        "x.py:2: 't' is the name of an input that step does not declare\n    t = norm(g)\n"
        "Call the variable t_ or otherwise, or declare the input: def step(..., t).",
    ),
    "a state with the name of an input": (
        body("return g", head="w = zeros_like(w)\n", inputs="g"),
        "x.py:1: 'w' is the name of an input that step does not declare\n    w = zeros_like(w)\n"
        "Call the variable w_ or otherwise.",
    ),
    "a hyperparameter with the name of an input": (
        body("return g", head="lr = 0.1\n", inputs="g"),
        "x.py:1: 'lr' is the name of an input that step does not declare\n    lr = 0.1\n"
        "Call the variable lr_ or otherwise.",
    ),
    "the name of a primitive": (
        body("sin = g", "return sin"),
        "x.py:2: 'sin' is the name of a primitive\n    sin = g\nCall the variable sin_ or "
        "otherwise.",
    ),
    "no step": (
        "m = 0.5\n",
        f"x.py: there is no `def step(w, g, lr)`\n{ALLOWED}",
    ),
    "broken syntax": (
        body("u = g +", "return u"),
        "x.py:2: not valid syntax: invalid syntax\n    u = g +",
    ),
    "a form feed before the fault": (
        body("a = g\f", "u = zzz(g)", "return u"),
        "x.py:3: no primitive is called 'zzz'\n    u = zzz(g)\n`evolve list primitives` shows "
        "all of them.",
    ),
    "an input called otherwise": (
        body("return g", inputs="w, g, losss"),
        "x.py:1: no input is called 'losss'\n    def step(w, g, losss):\nDid you mean 'loss'?",
    ),
    "an undeclared input that is returned": (
        body("return noise", inputs="w, g"),
        "x.py:2: the returned name 'noise' has no value\n    return noise\nDeclare it: def "
        "step(..., noise).",
    ),
    "an oracle that is not declared": (
        body("u = hvp(g)", "return u"),
        "x.py:2: 'hvp' has no value here\n    u = hvp(g)\nDeclare it: def step(..., hvp).",
    ),
    "an oracle that is not declared and not called": (
        body("u = hvp * g", "return u"),
        "x.py:2: 'hvp' has no value here\n    u = hvp * g\nDeclare it: def step(..., hvp).",
    ),
    "an oracle that is not called": (
        body("u = hvp * g", "return u", inputs="w, g, hvp"),
        "x.py:2: 'hvp' has no value here\n    u = hvp * g\nCall it: hvp(x).",
    ),
    "an oracle of a number": (
        body("u = gnvp(2.0)", "return u", inputs="w, g, gnvp"),
        "x.py:2: gnvp: argument 1 is a scalar, not a tensor\n    u = gnvp(2.0)\nIts signature is "
        "gnvp(x: tensor).",
    ),
    "an oracle beside a fallback": (
        body("u = hvp(g)", "return u", inputs="w, g, hvp") + FALLBACK,
        "x.py:2: hvp is of the whole model, and a program with a fallback sees it in two "
        "groups\n    u = hvp(g)\n"
        "Write it without a fallback.",
    ),
    "an oracle in a fallback": (
        STEP + "\ndef fallback(g, hvp):\n    u = hvp(g)\n    return u\n",
        "x.py:5: hvp is of the whole model, and a program with a fallback sees it in two "
        "groups\n    u = hvp(g)\n"
        "Write it without a fallback.",
    ),
    "a local variable with the name of an input of the task": (
        body("loss = norm(g)", "return g"),
        "x.py:2: 'loss' is the name of an input that step does not declare\n    loss = norm(g)\n"
        "Call the variable loss_ or otherwise, or declare the input: def step(..., loss).",
    ),
    "a ring that is never assigned": (
        body("return past2", head="past = ring(zeros_like(w), 2)\n"),
        "x.py:1: the ring 'past' is given no value in this step\n    past = ring(zeros_like(w), "
        "2)\n"
        "Assign it: past = ...",
    ),
    "a ring that a fallback reads and never assigns": (
        body("past = g", "return past2", head="past = ring(zeros_like(w), 2)\n")
        + "\ndef fallback(g):\n    return past1\n",
        "x.py:7: the ring 'past' is given no value in the fallback\n    return past1\nAssign it: "
        "past = ...",
    ),
    "a ring that is read before it is assigned": (
        body("u = g - past", "past = g", "return u", head="past = ring(zeros_like(w), 2)\n"),
        "x.py:3: 'past' has no value here\n    u = g - past\n"
        "Read past1, its value in the step before, or assign it first.",
    ),
    "a value that a ring does not keep": (
        body("past = g", "u = g - past3", "return u", head="past = ring(zeros_like(w), 2)\n"),
        "x.py:4: 'past3' has no value here\n    u = g - past3\nThe ring 'past' keeps 2, the last "
        "of them past2.",
    ),
    "an assignment to an earlier value of a ring": (
        body("past = g", "past1 = g", "return g", head="past = ring(zeros_like(w), 2)\n"),
        "x.py:4: 'past1' is an earlier value of the ring 'past' and cannot be assigned\n    "
        "past1 = g\n"
        "Assign this step's value to 'past'.",
    ),
    "a ring that changes its kind": (
        body("past = norm(g)", "return g", head="past = ring(zeros_like(w), 2)\n"),
        "x.py:3: state 'past' is a tensor, but it ends the step as a scalar\n    past = norm(g)\n"
        "Give it a tensor, or use another name for this value.",
    ),
    "a value of a ring with the name of a state": (
        body("past = g", "return g", head="past1 = scalar(0.0)\npast = ring(zeros_like(w), 2)\n"),
        "x.py:2: 'past1' is declared twice\n    past = ring(zeros_like(w), 2)\nGive one of them "
        "another name.",
    ),
    "a value of a ring with the name of a primitive": (
        body("atan = g", "return g", head="atan = ring(zeros_like(w), 2)\n"),
        "x.py:1: 'atan2' is the name of a primitive\n    atan = ring(zeros_like(w), 2)\n"
        "Call the variable atan2_ or otherwise.",
    ),
    "a ring of rings": (
        body("p = g", "return g", head="p = ring(ring(scalar(0.0), 2), 2)\n"),
        f"x.py:1: 'ring(ring(scalar(0.0), 2), 2)' is no initial value\n    p = "
        f"ring(ring(scalar(0.0), 2), 2)\n{WRITE}",
    ),
    "a ring of nothing": (
        body("p = g", "return g", head="p = ring(zeros_like(w), 0)\n"),
        f"x.py:1: 'ring(zeros_like(w), 0)' is no initial value\n    p = ring(zeros_like(w), "
        f"0)\n{WRITE}",
    ),
    "a ring without end": (
        body("p = g", "return g", head="p = ring(zeros_like(w), 1000000000)\n"),
        "x.py:1: a ring of 1000000000 is not possible\n    p = ring(zeros_like(w), "
        "1000000000)\nKeep 1 to 128 values.",
    ),
    "a ring that starts at the first gradient": (
        body("p = g", "return g", head="p = ring(copy(g), 2)\n"),
        "x.py:1: state 'p', a tensor, cannot start at 'g'\n    p = ring(copy(g), 2)\nStart a "
        "ring at a number or at w.",
    ),
    "rings that are long together": (
        body(
            *[f"{c} = g" for c in "abcd"],
            "return d64",
            head="".join(f"{c} = ring(copy(w), 64)\n" for c in "abcd"),
        ),
        "x.py:5: the program has 4 statements, and rings that need 258 more; the most is "
        "256\nWrite a shorter program.",
    ),
    "a row that starts at the identity": (
        "r = row(identity)\n" + STEP,
        f"x.py:1: 'row(identity)' is no initial value\n    r = row(identity)\n{WRITE}",
    ),
    "kinds that do not combine": (
        body("a = gram_left(g)", "b = mean_over_rows(g)", "c = a + b", "return g") + FALLBACK,
        "x.py:4: add: left and row do not combine\n    c = a + b\nIts signature is add(x, y).",
    ),
    "a product that does not fit": (
        body("u = g @ w", "return u") + FALLBACK,
        "x.py:2: matmul: tensor and tensor do not combine\n    u = g @ w\n"
        f"Its signature is matmul(x: {ARRAY}, y: {ARRAY}).",
    ),
    "a square for a tensor": (
        body("u = transpose(g)", "return u") + FALLBACK,
        "x.py:2: transpose: argument 1 is a tensor, not a left or right\n    u = transpose(g)\n"
        "Its signature is transpose(x: left or right).",
    ),
    "a row as the update": (
        body("u = mean_over_rows(g)", "return u") + FALLBACK,
        "x.py:3: the update 'u' is a row; it must be a tensor, as w is\n    return u\n"
        "Multiply it with g, or with another tensor.",
    ),
    "a number to evaluate at": (
        body("return g, 3"),
        "x.py:2: the value to evaluate at is a number\n    return g, 3\nReturn a tensor.",
    ),
    "a scalar to evaluate at": (
        body("return g, lr"),
        "x.py:2: the value to evaluate at 'lr' is a scalar; it must be a tensor, as w is\n    "
        "return g, lr\n"
        "Return a tensor, as w is.",
    ),
    "three values": (
        body("return g, g, g"),
        "x.py:2: 3 values are returned\n    return g, g, g\n"
        "Return the update, or the update and the value at which the model is evaluated.",
    ),
    "a fallback that returns no point": (
        body("return g, w") + FALLBACK,
        "x.py:5: only one of step and fallback returns a value to evaluate at\n    return g\n"
        "Return one in both, or in none.",
    ),
    "a second fallback": (
        STEP + FALLBACK + FALLBACK,
        "x.py:7: fallback is defined twice\n    def fallback(w, g):\nKeep one of them.",
    ),
    "a second step": (
        STEP + STEP,
        "x.py:3: step is defined twice\n    def step(g):\nKeep one of them.",
    ),
    "a fallback alone": (FALLBACK, f"x.py: there is no `def step(w, g, lr)`\n{ALLOWED}"),
    "a third function": (
        STEP + "\ndef other(g):\n    return g\n",
        f"x.py:4: another function is not allowed here\n    def other(g):\n{ALLOWED}",
    ),
    "a fallback with a default": (
        STEP + "\ndef fallback(g=1):\n    return g\n",
        "x.py:4: fallback takes plain arguments only\n    def fallback(g=1):\nWrite def "
        "fallback(w, g, lr, t):",
    ),
    "a fallback without return": (
        STEP + "\ndef fallback(g):\n    u = g\n",
        "x.py:5: fallback does not end with `return update`\n    u = g\nReturn the update; w - "
        "update is applied.",
    ),
    "a matrix in a fallback": (
        STEP + "\ndef fallback(g):\n    u = g - mean_over_rows(g)\n    return u\n",
        "x.py:5: mean_over_rows needs a matrix, and the fallback is for leaves that are none\n"
        "    u = g - mean_over_rows(g)\nDo without it here.",
    ),
    "a row in a fallback": (
        "r = row(0.0)\n" + STEP + "\ndef fallback(g):\n    u = g * r\n    return u\n",
        "x.py:6: state 'r' is a row, which leaves that are no matrices do not have\n    u = g * r\n"
        "Use another state in the fallback.",
    ),
    "a row that a fallback returns": (
        "r = row(0.0)\n" + STEP + "\ndef fallback(g):\n    return r\n",
        "x.py:6: state 'r' is a row, which leaves that are no matrices do not have\n    return r\n"
        "Use another state in the fallback.",
    ),
    "an input that only step declares": (
        body("return g") + "\ndef fallback(g):\n    u = g * lr\n    return u\n",
        "x.py:5: 'lr' has no value here\n    u = g * lr\nDeclare it: def fallback(..., lr).",
    ),
    "an unknown input of a fallback": (
        STEP + "\ndef fallback(gg):\n    return gg\n",
        "x.py:4: no input is called 'gg'\n    def fallback(gg):\nDid you mean 'g'?",
    ),
    "a state that changes its kind in the fallback": (
        body("m = g", "return m", head="m = zeros_like(w)\n")
        + "\ndef fallback(g):\n    m = norm(g)\n    return g\n",
        "x.py:7: state 'm' is a tensor, but it ends the step as a scalar\n    m = norm(g)\n"
        "Give it a tensor, or use another name for this value.",
    ),
    "a rule for kernels given twice": (
        "kernels = stack()\nkernels = stack()\n" + STEP,
        "x.py:2: the rule for kernels is given twice\n    kernels = stack()\nKeep one of them.",
    ),
    "an unknown rule for kernels": (
        "kernels = stak()\n" + STEP,
        "x.py:1: no rule for kernels is called 'stak'\n    kernels = stak()\nThere are: flatten, "
        "stack, fallback, first_axis.",
    ),
    "a rule for kernels that is not called": (
        "kernels = stack\n" + STEP,
        "x.py:1: 'stack' is no rule for kernels\n    kernels = stack\nWrite one of flatten(), "
        "stack(), fallback(), first_axis().",
    ),
    "a rule for kernels without the fallback": (
        "kernels = fallback()\n" + STEP,
        "x.py:1: there is no fallback for kernels\n    kernels = fallback()\nWrite def "
        "fallback(w, g, lr).",
    ),
    "a variable called kernels": (
        body("kernels = g", "return kernels"),
        "x.py:2: 'kernels' is a word of the language\n    kernels = g\nCall the variable "
        "kernels_ or otherwise.",
    ),
}


@pytest.mark.parametrize(("text", "message"), ERRORS.values(), ids=ERRORS)
def test_an_error_says_where_and_what_and_what_next(text, message):
    with pytest.raises(ProgramError) as error:
        parse(text, file="x.py")
    assert str(error.value) == message


PYTHON = """
async def other(): pass
class A: pass
return g
del g
g = w
beta += g
beta: float
for x in g: pass
async for x in g: pass
while g: pass
if g: pass
with g: pass
async with g: pass
match g:
    case 1: pass
raise g
try: pass
except ValueError: pass
try: pass
except* ValueError: pass
assert g
import os
from os import path
global g
nonlocal g
sin(g)
pass
break
continue
g and w
(u := g)
g // w
g << w
g >> w
g & w
g | w
g ^ w
~g
not g
lambda: g
g if w else w
{g: w}
{g}
[g for x in w]
{g for x in w}
{g: w for x in w}
(x for x in g)
await g
yield
yield from g
0 < g < w
g in w
g not in w
g is w
g is not w
sin(g)(w)
np.sin(g)
f"{g}"
"text"
g.T
g[0]
sin(*g)
[g]
g, w
sin(g[0:1])
"""
_NAMES = {n.__name__ for kind in (ast.stmt, ast.expr) for n in kind.__subclasses__()} - {
    "Slice", "match_case",
}  # fmt: skip


def test_a_piece_of_python_is_refused_in_words_and_not_by_the_names_of_a_compiler():
    """Each statement and expression of Python, on its own line of a step and above it."""
    seen, texts = set(), []
    for node in ast.parse(f"async def f():\n{textwrap.indent(PYTHON, '    ')}").body[0].body:
        seen |= {type(n).__name__ for n in ast.walk(node)}
        text = ast.unparse(node)
        value = isinstance(node, ast.Expr)
        texts += [body(*(f"u = {text}" if value else text).splitlines(), "return g")]
        texts += [f"u = {text}\n{STEP}" if value else f"{text}\n{STEP}"]
    assert not _NAMES - seen - {"FunctionDef"}, "a kind of syntax that is not tried"
    faults = []
    for text in texts:
        try:
            parse(text)
        except ProgramError as fault:
            faults.append(fault)
    assert len(faults) > 110
    for fault in faults:
        assert not set(re.findall(r"\w+", fault.what)) & (_NAMES - {"Return"}), fault.text
        assert "piece of Python" not in fault.what, fault.text
        assert fault.hint or "syntax" in fault.what, fault.text


WORDS = {  # a word that is no primitive, and what is said of it
    "interpolate": "Did you mean 'interp'? ",
    "sum": "Here it is total or global_total or total_over_rows or total_over_columns or "
    "window_total. ",
    "size": "Here it is count or global_count. ",
    "trace_": "Did you mean 'trace'? ",
    "max": "Did you mean 'maximum'? ",
    "min": "Did you mean 'minimum'? ",
    "softplus": "",
    "relu": "",
    "argmax": "",
    "clip": "Did you mean 'clip_by_global_norm'? ",
    "np.sqrt": "Write sqrt(x). ",
    "np.percentile": "",
    "quantiles": "Did you mean 'quantile'? ",
    "torch.relu": "",
}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_of_another_library_is_translated_or_left_alone(word):
    with pytest.raises(ProgramError) as error:
        parse(body(f"u = {word}(g)", "return u"))
    assert error.value.hint == f"{WORDS[word]}`evolve list primitives` shows all of them."


# --- a program is never executed ------------------------------------------------------------------

HOSTILE = {
    "an import": "import os\n" + STEP,
    "an import from": "from os import system\n" + STEP,
    "an import in step": body("import os", "return g"),
    "a dunder import": body("u = __import__('os')", "return g"),
    "a dunder name": body("__class__ = g", "return g"),
    "an attribute": body("u = g.real", "return u"),
    "a method": body("u = g.__class__()", "return u"),
    "an attribute as a target": body("g.x = w", "return g"),
    "a comprehension": body("u = [x for x in g]", "return u"),
    "a generator": body("u = sum(x for x in g)", "return u"),
    "a lambda": body("u = (lambda: g)()", "return u"),
    "an f-string": body("u = f'{g}'", "return u"),
    "a walrus": body("u = (v := g)", "return u"),
    "a decorator": "@print\n" + STEP,
    "a default": "def step(g=print(1)):\n    return g\n",
    "an annotation": "def step(g: print(1)):\n    return g\n",
    "a returned annotation": "def step(g) -> print(1):\n    return g\n",
    "an annotated assignment": body("u: print(1) = g", "return u"),
    "variable arguments": "def step(*g):\n    return g\n",
    "keyword-only arguments": "def step(*, g):\n    return g\n",
    "a starred call": body("u = sin(*g)", "return u"),
    "keyword arguments": body("u = sin(x=g)", "return u"),
    "double-starred arguments": "b = tunable(0.9, **x)\n" + STEP,
    "a subscript": body("u = g[0]", "return u"),
    "a tuple target": body("u, v = g, w", "return u"),
    "a chain of targets": body("u = v = g", "return u"),
    "a chain of comparisons": body("u = 0 < g < 1", "return u"),
    "and": body("u = g and w", "return u"),
    "not": body("u = not g", "return u"),
    "a conditional": body("u = g if w else g", "return u"),
    "an if": body("if g: u = g", "return u"),
    "a loop": body("while 1: pass", "return g"),
    "a nested function": body("def f(): pass", "return g"),
    "a second step": STEP + STEP,
    "an async step": "async " + STEP,
    "a class": "class A: pass\n" + STEP,
    "code after step": STEP + "print(1)\n",
    "a declaration after step": STEP + "m = 0.5\n",
    "a bare call": "print(1)\n" + STEP,
    "a global": body("global g", "return g"),
    "a delete": body("del g", "return w"),
    "a try": body("try: u = g", "except: pass", "return g"),
    "a yield": body("u = yield g", "return u"),
    "an await": body("u = await g", "return u"),
    "an early return": body("return g", "return w"),
    "matrix multiplication": body("u = g @ w", "return u"),
    "a ring in a ring in a ring": "p = "
    + "ring(" * 30
    + "zeros_like(w)"
    + ", 2)" * 30
    + "\n"
    + STEP,
    "a ring of 10^10": body("p = g", "return g", head="p = ring(zeros_like(w), 10000000000)\n"),
    "forty rings of 64": body(
        "return g", head="".join(f"p{i}_ = ring(zeros_like(w), 64)\n" for i in range(40))
    ),
    "a rule for kernels with an argument": "kernels = stack(print(1))\n" + STEP,
    "a rule for kernels by attribute": "kernels = os.stack()\n" + STEP,
    "a rule for kernels augmented": "kernels += stack()\n" + STEP,
    "a decorated fallback": STEP + "@print\ndef fallback(g):\n    return g\n",
    "an async fallback": STEP + "async def fallback(g):\n    return g\n",
    "a starred return": body("return *g, w"),
    "a list of returns": body("return [g, w]"),
    "an empty return": body("return ()"),
    "300 statements in a fallback": STEP
    + "def fallback(g):\n"
    + "    g = sin(g)\n" * 300
    + "    return g\n",
    "an oracle called twice": body("u = hvp(g)(g)", "return u", inputs="g, hvp"),
    "an oracle without arguments": body("u = hvp()", "return u", inputs="g, hvp"),
    "a keyword of an oracle": body("u = hvp(x=g)", "return u", inputs="g, hvp"),
    "an ellipsis": body("...", "return g"),
    "a docstring that is a number": "3\n" + STEP,
    "a string": body("u = 'g'", "return u"),
    "bytes": body("u = g * b'1'", "return u"),
    "a complex number": body("u = g * 1j", "return u"),
    "True": body("u = g * True", "return u"),
    "None": body("u = None", "return u"),
    "an infinite literal": body("u = g * 1e999", "return u"),
    "a literal of 900 hexadecimal digits": body("u = g * 0x" + "f" * 900, "return u"),
    "a literal of 5,000 digits": body("u = g * " + "9" * 5000, "return u"),
    "5,000 digits over many lines": body("u = g * " + "9" * 900, "return u"),
    "a huge hyperparameter": "b = 1e11\n" + STEP,
    "a huge state": "m = full_like(w, 1e11)\n" + STEP,
    "a negative infinity": "m = scalar(-1e999)\n" + STEP,
    "deep parentheses": body("u = " + "(" * 300 + "g" + ")" * 300, "return u"),
    "deep parentheses over many lines": body("u = " + "(\n" * 300 + "g" + ")\n" * 300, "return u"),
    "deep calls": body("u = " + "sin(" * 60 + "g" + ")" * 60, "return u"),
    "a unary chain": body("u = " + "-" * 900 + "g", "return u"),
    "a unary chain over many lines": body("u = " + "-\\\n" * 20000 + "g", "return u"),
    "a unary chain with form feeds": body("u = " + "-\f" * 30000 + "g", "return u"),
    "a chain of not": "m = " + "not \\\n" * 10000 + "g\n" + STEP,
    "a binary chain": body("u = (g" + "+\ng" * 20000 + ")", "return u"),
    "a shorter binary chain": body("u = (g" + "+\ng" * 400 + ")", "return u"),
    "a deep initial value": "m = f(" + "-" * 900 + "x)\n" + STEP,
    "a long initial value": "m = f(g" + "+\ng" * 400 + ")\n" + STEP,
    "a chain of powers": body("u = g" + "**g" * 300, "return u"),
    "a chain of attributes": body("u = g" + ".a\\\n" * 10000, "return u"),
    "nested lambdas": "m = " + "lambda:\\\n" * 7000 + "0\n" + STEP,
    "deep indentation": "".join(" " * i + "if g:\n" for i in range(150)),
    "many branches": "if g:\n pass\n" + "elif g:\n pass\n" * 3000 + STEP,
    "a NUL byte": body("u = g\0", "return u"),
    "a NUL byte in a string": '"""a\0b"""\n' + STEP,
    "Latin-1": '"""é"""\n'.encode("latin-1") + STEP.encode(),
    "UTF-16": STEP.encode("utf-16"),
    "UTF-7 by a cookie": b"# coding: utf-7\n+AG0- = 0.5\n" + STEP.encode(),
    "a surrogate": body("u = g + \ud800", "return u"),
    "an empty file": "",
    "nothing but comments": "# nothing\n",
    "only a docstring": '"""A doc."""\n',
    "an unfinished string": '"""A doc.\n' + STEP,
    "mixed tabs and spaces": "def step(g):\n        u = g\n\treturn u\n",
    "a large file": "# " + "x" * 900 + "\n",
    "300 statements": body(*["g = sin(g)"] * 300, "return g"),
    "a name of 65 letters": body(f"{'a' * 65} = g", "return g"),
    "a name that is not ASCII": body("µ = g", "return µ"),
    "a full-width name that Python folds": body("ｓｉｎ = g", "return g"),
    "names no parser keeps": "m = \N{MATHEMATICAL BOLD SMALL E}val(w)\n" + STEP,
    "a second input": "def step(g, g):\n    return g\n",
    "a walrus as an argument": body("u = sin(x := g)", "return u"),
    "print": body("u = print(g)", "return u"),
    "eval": body("u = eval('1')", "return u"),
    "exec": "exec('raise SystemExit')\n" + STEP,
}
HOSTILE["a large file"] = HOSTILE["a large file"] * 80 + STEP


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_is_refused_quickly(text):
    before = time.process_time()
    with pytest.raises(ProgramError) as error:
        parse(text, file="hostile.py")
    assert time.process_time() - before < 1.0
    message = str(error.value)
    assert message.startswith("hostile.py")
    assert len(message) < 1000


def test_bounds_are_the_documented_ones():
    assert MAX_BYTES == 64 * 1024
    line = f"# {'x' * 61}\n"
    filler = line * ((MAX_BYTES - len(STEP)) // len(line))
    assert parse(filler + STEP)
    with pytest.raises(ProgramError, match="larger than 65536 bytes"):
        parse(filler + STEP + line)
    for many in ("\n" * 4000, ("# " + "- " * 400 + "\n") * 25):
        with pytest.raises(ProgramError, match="more than 4000 lines, or 10000 words"):
            parse(many + STEP)
    declared = "".join(f"a{n} = zeros_like(w)\n" for n in range(256))
    assert len(parse(declared + STEP).states) == 256
    with pytest.raises(ProgramError, match="declares 257 hyperparameters and states"):
        parse("b = 0.5\n" + declared + STEP)
    doc = '"""' + 50 * ("x" * 79 + "\n") + '"""\n'
    assert parse(doc + STEP)
    with pytest.raises(ProgramError, match="a docstring of 4001 characters"):
        parse(doc.replace("x\n", "xx\n", 1) + STEP)
    assert len(parse(body(*["g = sin(g)"] * 256, "return g")).body) == 256


def test_underscores_and_hexadecimal_in_a_literal_are_python_and_harmless():
    assert parse(body("u = g * 1_000", "v = u * 0x10", "return v")).body[1].args == ("u", 16.0)


@pytest.mark.parametrize(
    "name", ["missing.py", ".", "a" * 5000 + ".py", "nul\0.py", "missing/x.py"]
)
def test_a_path_that_is_no_file_is_a_program_error(tmp_path, name):
    with pytest.raises(ProgramError) as error:
        load(f"{tmp_path}/{name}")
    assert "no such file" in str(error.value) or "cannot be read" in str(error.value)


def test_a_file_is_read_up_to_its_bound_and_named_after_itself(tmp_path):
    (tmp_path / "mine.py").write_text(STEP)
    assert load(tmp_path / "mine.py").name == "mine"
    (tmp_path / "large.py").write_bytes(b"#" * 10_000_000)
    with pytest.raises(ProgramError, match="larger than"):
        load(str(tmp_path / "large.py"))


AUDIT = """
import sys, pickle
from primitives import load, parse, ProgramError
texts, path = pickle.load(open(sys.argv[1], "rb")), sys.argv[2]
try:
    load(path)  # whatever is imported or opened once, is
    parse("\u00b5 = x")  # a name that is not ASCII: Python imports unicodedata to normalise it
except ProgramError:
    pass
seen = []
def hook(event, args):
    if event == "open" and (args[0] == "" or type(args[0]) is int):
        # CPython looks for the line of some syntax errors in the file it is told, here in none.
        return
    doing = ("exec", "import", "open", "os", "subprocess", "socket", "ctypes", "shutil", "marshal")
    if event.split(".")[0] in doing:
        if not (event in ("open", "os.stat") and args[0] == path):
            seen.append((event, str(args)[:200]))
sys.addaudithook(hook)
for text in texts:
    try:
        str(parse(text, file="x.py"))
    except ProgramError as error:
        str(error)
load(path)
done, seen = seen, []
exec("1")
open(sys.argv[1]).close()  # what the hook would have seen
sys.stdout.write(repr((done, sorted({event for event, _ in seen}))))
"""


def test_reading_a_program_opens_its_file_and_nothing_else(tmp_path):
    """An audit hook in another process sees every exec, import, open and call of the system."""
    (tmp_path / "texts").write_bytes(pickle.dumps(list(HOSTILE.values())))
    path = str(baselines.PROGRAMS / "adamw.py")
    run = [sys.executable, "-c", AUDIT, str(tmp_path / "texts"), path]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "([], ['exec', 'open'])"
