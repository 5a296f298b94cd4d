"""References: where tuned values are found, and which optimizer is 0."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evolve.config.errors import ConfigError
from evolve.config.schema import CAME_LATER, TaskSettings, completed
from evolve.config.validation import validated
from evolve.scoring.references import (
    file_name,
    old_file_name,
    references_of,
    take_references,
    tuned,
    tuned_values,
)
from evolve.scoring.suite import make_suite, suite_of, task_fields
from evolve.tuning.reference import write_reference
from primitives import ProgramError
from proxy_tasks import make_task

TASK = make_task("noisy_quadratic", dim=3, steps=5)
NEW, OLD = file_name(TASK.kind, TASK.fingerprint), old_file_name(TASK.fingerprint)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of the user's own, and nothing remembered of another."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "references").mkdir()
    tuned_values.cache_clear()
    yield tmp_path / "references"
    tuned_values.cache_clear()


def content(**rates: float) -> dict:
    optimizers = {name: {"values": {"learning_rate": rate}} for name, rate in rates.items()}
    return {
        "task": {"kind": TASK.kind, "fields": task_fields(TASK)},
        "fingerprint": TASK.fingerprint,
        "optimizers": optimizers,
    }


def test_a_file_says_in_its_name_which_task_it_is_for():
    assert f"noisy_quadratic-{TASK.fingerprint}.json" == NEW


def test_a_users_file_is_found_under_its_name_of_today_and_under_the_one_it_had_before(here):
    assert tuned("adamw", TASK) is None
    for name, rate in ((OLD, 0.5), (NEW, 0.25)):  # that of today comes first
        (here / name).write_text(json.dumps(content(adamw=rate)))
        tuned_values.cache_clear()
        found = tuned("adamw", TASK)
        assert found is not None
        assert found.learning_rate == rate


def test_what_is_written_takes_over_what_lay_under_the_older_name(here):
    (here / OLD).write_text(json.dumps(content(adamw=0.5, lion=0.125)))
    assert write_reference(here, content(adamw=0.25)) == here / NEW
    assert [path.name for path in here.iterdir()] == [NEW]
    values = {"adamw": {"learning_rate": 0.25}, "lion": {"learning_rate": 0.125}}
    assert tuned_values(TASK) == values


def test_a_worker_uses_the_values_that_it_is_told_and_reads_no_file(here, monkeypatch):
    monkeypatch.setattr("evolve.scoring.references._taken", {})
    (here / NEW).write_text("no JSON")
    take_references({TASK.fingerprint: {"adamw": {"learning_rate": 2.0}}})
    assert references_of([TASK]) == {TASK.fingerprint: {"adamw": {"learning_rate": 2.0}}}


def test_a_damaged_file_is_named():
    path = Path("references", NEW)
    path.write_text(json.dumps({"optimizers": {"adamw": {"values": {"learning_rate": "high"}}}}))
    with pytest.raises(ConfigError, match=r"values that are no numbers\. Make it again"):
        tuned_values(TASK)


def test_what_is_0_is_a_choice_and_must_be_tuned():
    suite = suite_of("smoke", reference="lion")
    assert suite.reference_label == "tuned Lion"
    assert [suite.reference_on(task) for task in suite] == [tuned("lion", task) for task in suite]
    assert suite_of("smoke").reference_label == "tuned AdamW"
    with pytest.raises(ConfigError, match="nobody has tuned muon on digits_dense"):
        suite_of("smoke", reference="muon").reference_on(suite.tasks[0])
    with pytest.raises(ProgramError, match="no optimizer is called 'lio'\nDid you mean 'lion'"):
        suite_of("smoke", reference="lio").reference_on(suite.tasks[0])


def test_an_unknown_task_may_be_one_of_a_plug_in():
    with pytest.raises(ConfigError, match=r"there are .*\. One of your own comes with --plugin"):
        make_suite("mine", [TaskSettings(kind="my_task")])


def test_a_suite_can_be_built_again_from_its_description():
    suite = suite_of("practice")
    assert make_suite("practice", suite.settings).fingerprints == suite.fingerprints


def test_a_run_that_did_not_know_a_key_goes_on_with_what_was_done_then():
    given = {"suite": "smoke", "budget": {"candidates": 1}}
    today = validated(given, "x").decisive()
    older = json.loads(json.dumps(today))
    for *path, key in CAME_LATER:
        at = older
        for part in path:
            at = at[part]
        del at[key]
    assert older != today
    assert completed(older) == today
    other = validated(given | {"reference": "lion"}, "x").decisive()
    assert completed(older) != other
    assert completed(other) == other
