"""A candidate is a program and its values on each task: where they come from, what keeps them."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import baselines
import evolve
from evolve.config.presets import load_config
from evolve.record.journal import Journal
from evolve.running.facts import Plan
from evolve.scoring.scorer import Scorer
from evolve.search.candidate import generator
from evolve.search.mutation import Space, mutate, with_scaled_hyperparameter
from evolve.search.search import Search
from primitives import ProgramError, parse
from primitives.canonical.liveness import prune

USES = [{"learning_rate": 0.25, "beta1": 0.5}, {"learning_rate": 0.002, "beta1": 0.96875}]


def adamw():
    return baselines.get("adamw").for_uses(USES)


def test_values_for_several_uses_are_part_of_the_text():
    program = adamw()
    assert (program.uses, program.values["learning_rate"]) == (2, 0.25)
    assert parse(str(program)) == program
    assert 'scale="log", tuned=(0.25, 0.002,))' in str(program)
    for number, use in enumerate(USES):
        alone = program.in_use(number)
        assert alone.uses == 0
        assert alone.values == baselines.get("adamw").values | use
    assert program.settled() == program.in_use(0)
    assert program.with_values({"beta1": 0.75}).in_use(1).values["beta1"] == 0.75


@pytest.mark.parametrize(
    ("tuned", "words"),
    [
        ("0.5", "tuned is no literal"),
        ("()", "tuned is no literal"),
        ("(0.5, beta1)", "tuned is no literal"),
        ("(0.5, 1e40)", "is no constant"),
        (f"({'0.5, ' * 33})", "'learning_rate' is tuned for 33 uses"),
        ("(0.5, 0.5, 0.5)", "'beta1' is tuned for 2 uses"),
    ],
)
def test_values_that_cannot_be_are_refused(tuned, words):
    text = str(adamw()).replace("(0.25, 0.002,)", tuned)
    with pytest.raises(ProgramError, match=words):
        parse(text)


def test_a_mutation_moves_the_values_of_all_tasks_alike_on_their_scale():
    program = adamw()
    rate, beta = (
        next(n for n, h in enumerate(program.hyperparameters) if h.name == name)
        for name in ("learning_rate", "beta1")
    )
    before, after = program, with_scaled_hyperparameter(program, rate, np.random.default_rng(1))
    one, other = (after.in_use(k).learning_rate / before.in_use(k).learning_rate for k in (0, 1))
    assert one == pytest.approx(other)
    assert one != 1.0
    after = with_scaled_hyperparameter(program, beta, np.random.default_rng(1))
    for number, use in enumerate(USES):
        away = 1 - after.in_use(number).values["beta1"]
        assert away / (1 - use["beta1"]) == pytest.approx(one)


def test_a_child_has_the_values_of_its_ancestor_on_each_task():
    program, kept = adamw(), 0
    for number in range(60):
        child = mutate(program, Space(), generator(3, number)).program
        kept += child.hyperparameters == program.hyperparameters
        assert {h.name: len(h.tuned) for h in child.hyperparameters if h.tuned} == {
            "learning_rate": 2,
            "beta1": 2,
        }
    assert 0 < kept < 60
    assert prune(program).uses == 2


@pytest.fixture(scope="module")
def smoke():
    plan = Plan.of(load_config("smoke", ("budget={candidates: 40}", "workers.kind=inline")))
    assert len(plan.suite) == 2
    return plan


def test_programs_with_other_values_on_one_task_are_two(smoke):
    search = Search(smoke.config, smoke.initial)
    first = search.draw(0)
    names = {h.name for h in smoke.initial[0].hyperparameters if h.tuned}
    values = [{n: smoke.initial[0].in_use(k).values[n] for n in names} for k in (0, 1)]
    for again, same in ((values, 0), ([values[0], values[1] | {"beta1": 0.5}], None)):
        child = type("Child", (), {"program": smoke.initial[0].for_uses(again), "mutation": "x"})
        assert search.judge(1, 0, 0, child).same_as == same
    assert first.key != search.judge(1, 0, 0, child).key


def test_a_program_for_other_tasks_is_no_candidate(smoke):
    with pytest.raises(ValueError, match="tuned for 3 tasks was given 2"):
        Scorer(smoke.suite).optimizers(
            type("Job", (), {"known": "", "program": str(adamw().for_uses([*USES, USES[0]]))})
        )


def test_a_run_starts_at_0_on_each_task_and_what_it_finds_keeps_its_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = evolve.run(
        "smoke", seed=0, budget={"candidates": 60}, workers="inline", overrides=["search.lag=4"]
    )
    with contextlib.closing(Journal(study.path / "journal.sqlite", read_only=True)) as journal:
        assert set(sum(journal.row(0).restored().scores, ())) == {0.0}
    best = study.best.program
    assert best.uses == 0
    assert evolve.verify(study.path).sound
    inside = study.scores[best.name]
    assert len(inside.tasks) == 2
    assert "Its values on each task" in best.doc
    (tmp_path / "turned.yaml").write_text(
        "tasks:\n  - {kind: noisy_quadratic, dim: 32, steps: 60}\n"
        "  - {kind: digits_dense, width: 8, batch: 32, steps: 60}\n"
    )
    seeds = study.config.confirm.seeds
    again = evolve.score([study.path], suite="turned.yaml", seeds=seeds, workers="inline")
    (verdict,) = again.verdicts
    assert [task.tuning for task in verdict.tasks] == ["as found", "as found"]
    first, second = (task.scores for task in inside.tasks)
    assert [task.scores for task in verdict.tasks] == [second, first]
