"""References: where tuned values are found, and which optimizer is 0."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evolve import api
from evolve.config.errors import ConfigError
from evolve.config.presets import load_config
from evolve.config.schema import CAME_LATER, TaskSettings, completed
from evolve.config.validation import validated
from evolve.record.folder import NotARun, RunFolder
from evolve.scoring.references import (
    SHIPPED,
    file_name,
    local_line,
    old_file_name,
    read_reference,
    tuned,
    tuned_values,
)
from evolve.scoring.suite import make_suite, suite_of, task_fields
from evolve.tuning.reference import write_reference
from evolve.workers.setup import Setup
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


def test_a_worker_uses_the_values_that_it_is_told_and_reads_no_file(here):
    (here / NEW).write_text("no JSON")
    told = {TASK.fingerprint: {"adamw": {"learning_rate": 2.0}}}
    settings = [TaskSettings(kind=TASK.kind, fields=task_fields(TASK))]
    setup = Setup.of(make_suite("mine", settings, given=told), 1)
    assert Setup.read(setup.line()).suite().references == told


def test_files_of_the_users_own_add_to_those_that_are_shipped_optimizer_by_optimizer(here):
    """`evolve reference quickstart --optimizers sgd` leaves AdamW, which is 0, as it was."""
    (task,) = suite_of("quickstart").tasks
    shipped = read_reference(SHIPPED / file_name(task.kind, task.fingerprint))
    assert local_line([task]) == ""

    file = here / file_name(task.kind, task.fingerprint)
    mine = content(sgd=0.5) | {"fingerprint": task.fingerprint}
    file.write_text(json.dumps(mine))
    tuned_values.cache_clear()
    assert tuned_values(task) == shipped | {"sgd": {"learning_rate": 0.5}}
    words = "values tuned in references/ of this folder are used: "
    assert local_line([task]) == f"{words}sgd beside the shipped ones"

    mine["optimizers"] |= content(lion=0.25)["optimizers"]
    file.write_text(json.dumps(mine))
    tuned_values.cache_clear()
    assert tuned_values(task)["adamw"] == shipped["adamw"]
    assert tuned_values(task)["lion"] == {"learning_rate": 0.25}
    assert (
        local_line([task])
        == f"{words}lion instead of the shipped values; sgd beside the shipped ones"
    )


BAD_VALUES = [
    ("learning_rate", '"high"', "learning_rate: Input should be a valid number"),
    ("learning_rate", "true", "learning_rate: Input should be a valid number"),
    ("learning_rate", "null", "learning_rate: Input should be a valid number"),
    ("learning_rate", "1" + 400 * "0", "learning_rate: Input should be a valid number"),
    ("learning_rate", "1e999", "learning_rate: Input should be a finite number"),
    ("learning_rate", "NaN", "NaN is no number"),
    ("learning_rate", "-1.0", "learning_rate of adamw is -1, which is not above 0"),
    ("learning_rate", "0", "learning_rate of adamw is 0, which is not above 0"),
    ("learning_rate", "1e300", r"learning_rate of adamw is 1e\+300, which is not a number in fl"),
    ("weight_decay", "-0.5", "weight_decay of adamw is -0.5, which is not 0 or above"),
    ("beta1", "1", "beta1 of adamw is 1, which is not from 0 to below 1"),
    ("beta1", "-0.1", "beta1 of adamw is -0.1, which is not from 0 to below 1"),
    ("beta7", "0.5", "adamw has no hyperparameter called 'beta7'"),
]


@pytest.mark.parametrize(("key", "value", "words"), BAD_VALUES)
def test_what_no_hyperparameter_can_be_is_named_wherever_it_stands(key, value, words, tmp_path):
    """In a file of the user's own, and among what a run began with."""
    file = json.dumps(content(adamw=0.5))
    path = Path("references", NEW)
    path.write_text(file.replace('"learning_rate": 0.5', f'"{key}": {value}'))
    with pytest.raises(ConfigError, match=rf"{NEW}: is no reference: .*{words}.*Make it again"):
        tuned_values(TASK)

    began = {TASK.fingerprint: {"adamw": {"learning_rate": 0.5}}}
    decisive = load_config("smoke").decisive()
    meta = json.dumps({"inputs": {"initial": [], "references": began}, "decisive": decisive})
    (tmp_path / "meta.json").write_text(meta.replace('"learning_rate": 0.5', f'"{key}": {value}'))
    with pytest.raises(NotARun, match=rf"meta\.json: is damaged: .*{words}"):
        RunFolder(tmp_path).references()


def test_a_damaged_file_is_said_before_its_task_is_tuned_again(here):
    (task,) = suite_of("quickstart").tasks
    (here / file_name(task.kind, task.fingerprint)).write_text("{")
    with pytest.raises(ConfigError, match="is no reference"):
        api.reference("quickstart", ["adamw"], say=pytest.fail)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fingerprint": 16 * "0"}, "its name is that of another task than '0000000000000000'"),
        ({"fingerprint": None}, "its name is that of another task than None"),
        ({"optimizers": {"adamw": {}}}, "the key 'values' is missing"),
        ({"optimizers": []}, "has no attribute 'items'"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_named(here, change, words):
    (here / NEW).write_text(json.dumps(content(adamw=0.5) | change))
    with pytest.raises(ConfigError, match=f"is no reference: .*{words}.* Make it again"):
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
