"""Questions back: a program that returns new weights is asked about, and no other is."""

from __future__ import annotations

from dataclasses import replace

import pytest

import baselines
from evolve.validation import check_file
from primitives import Instruction, parse
from primitives.canonical.question import question


def returning_weights(part):
    """The same body, which returns `w - update` as a step of torch or optax is written."""
    return replace(
        part,
        inputs=("w", *(name for name in part.inputs if name != "w")),
        body=(*part.body, Instruction("new", "subtract", ("w", part.output))),
        output="new",
    )


def test_a_known_program_is_asked_about_where_it_returns_new_weights_and_only_there():
    asked, wrongly = {}, []
    for name in baselines.names():
        program = baselines.get(name)
        wrongly += [name] if question(program) else []
        if any(i.target in ("w", "new") for body in program.bodies for i in body):
            continue
        fallback = program.fallback and returning_weights(program.fallback)
        asked[name] = bool(question(replace(returning_weights(program), fallback=fallback)))
    assert not wrongly
    assert len(asked) > 100
    # Their updates are of the size of w, so that what they leave of it depends on where it began.
    unasked = {"mirror_descent_entropic", "mirror_descent_simplex"}
    assert {name for name, so in asked.items() if not so} == unasked


@pytest.mark.parametrize(
    "body", ["w = w - lr * g; return w", "w -= lr * g; return w", "return w - lr * sign(g)"]
)
def test_the_question_is_told_by_validate_and_the_program_stays_valid(body, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f"def step(w, g, lr):\n    {body}\n")
    checked = check_file(str(path))
    assert checked.valid
    assert "Does step return new weights?" in str(checked)
    assert checked.facts()["question"] == checked.question
    path.write_text("def step(w, g, lr):\n    return lr * g\n")
    assert str(check_file(str(path))) == f"{path}: fine"


def test_what_fails_or_leaves_the_numbers_is_not_asked_about():
    assert not question(parse("def step(w, g):\n    return w / (g - g) * exp(exp(exp(w * 1e9)))\n"))
    assert not question(parse("def step(w, g):\n    return g * 1e10 * 1e10\n"))
