"""What a training is worth, and what one records that is watched."""

import functools
import json

import numpy as np
import pytest

import evolve
from evolve.config.errors import ConfigError
from evolve.scoring.optimizers import known
from evolve.scoring.training import _stays, watched
from evolve.scoring.trial import Trials
from evolve.tuning import measured, power
from primitives import parse
from primitives.canonical.graph import graph
from proxy_tasks import make_task

nan = np.nan
FINE = np.zeros(4, bool)
FLOW = """
learning_rate = 0.01
def step(w, g, lr):
    d = sign(g)
    return d * lr
"""
TASK = make_task("noisy_quadratic", dim=4, steps=6, schedule="constant")
without_machine = functools.partial(Trials, memory=1.0)  # whose compilation takes seconds


def test_power_is_spread_over_noise_over_the_root_of_the_seconds():
    found = power.power_of_scores(
        near=[np.array([1.0, -1.0, 1.0, -1.0]), np.zeros(4)],
        mutants=[np.array([2.0, 4.0, 2.0, 4.0])],
        tuned=[np.full(4, at) for at in (0.0, 1.0, 2.0, 3.0, 4.0)],
        worse=[FINE, ~FINE, FINE, FINE],
        seconds=0.25,
    )
    assert found.noise == pytest.approx(np.sqrt((4 / 3 + 0) / 2))
    assert found.mutant_noise == pytest.approx(np.sqrt(4 / 3))
    assert found.spread == pytest.approx(2 / 1.349)
    assert found.blow_ups == 0.25
    assert found.power == pytest.approx(found.spread / found.noise * 2)


def test_the_spread_of_a_normal_law_is_its_deviation_and_one_failure_does_not_move_it_far():
    stand = np.random.default_rng(0).normal(0, 0.3, 4001)

    def spread(stand):
        return power.power_of_scores([], [], [np.full(4, at) for at in stand], [FINE], 1).spread

    assert spread(stand) == pytest.approx(0.3, rel=0.05)
    ten = np.linspace(-0.3, 0.3, 10)
    assert spread(np.append(ten[:-1], -1e6)) < 2 * spread(ten)


def test_what_did_not_end_takes_no_part():
    found = power.power_of_scores(
        near=[np.array([nan, 0.1, 0.2, 0.3]), np.array([0.0, 1.0, 0.0, 1.0])],
        mutants=[np.array([nan, nan, nan, nan])],
        tuned=[np.array([0.0, 0.0, nan, nan]), np.array([1.0, nan, nan, nan])],
        worse=[FINE],
        seconds=1.0,
    )
    assert found.noise == pytest.approx(np.sqrt(1 / 3))
    assert (found.mutant_noise, found.spread, found.power) == (None, None, None)
    assert power.power_of_scores([], [], [], [FINE], 1.0).facts()["noise"] is None


def test_programs_nearly_the_same_are_a_few_percent_off():
    rate, decays = power.nearly(known("adamw"))
    usual = known("adamw").values
    assert rate.learning_rate == pytest.approx(1.05 * known("adamw").learning_rate)
    assert decays.values["beta1"] == pytest.approx(1 - 1.05 * (1 - usual["beta1"]))
    bred = power.children(known("adamw"), 3)
    assert len({graph(p) for p in (known("adamw"), *bred)}) == 4
    assert bred == power.children(known("adamw"), 3)


def test_a_task_is_measured_stored_once_and_listed_without_its_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(power, "Trials", without_machine)
    task = make_task("noisy_quadratic", steps=3)
    values = {name: {"learning_rate": 0.01} for name in ("adamw", "sign_sgd")}
    facts = power.measure(task, 4, 0, values)
    assert facts["parameters"] == 256
    assert facts["optimizers"].keys() == values.keys()
    assert not {*facts["not tuned"]} & values.keys()
    assert facts["noise"] > 0

    path = measured.write_power(tmp_path / measured.LOCAL, facts)
    assert measured.stored_power(tmp_path / measured.LOCAL, task) == json.loads(path.read_text())
    monkeypatch.setattr(type(task), "data", lambda self: pytest.fail("the data were loaded"))
    assert measured.power_of(task)["noise"] == facts["noise"]
    assert measured.power_of(make_task("noisy_quadratic", steps=4)) is None
    path.write_text("{")
    assert measured.power_of(task) is None


def test_what_is_measured_already_is_measured_again_where_asked_for(tmp_path, monkeypatch):
    asked = []

    def measure(task, *rest, **more):
        asked.append(task.kind)
        return {"task": task.configuration, "fingerprint": task.fingerprint}

    monkeypatch.setattr(power, "measure", measure)
    untuned, said = tmp_path / "untuned.yaml", []
    untuned.write_text("tasks: [{kind: noisy_quadratic, dim: 3}]")
    for again in (False, False, True):
        paths = evolve.power(["smoke", str(untuned)], into=tmp_path, again=again, say=said.append)
    assert said[0].startswith("noisy_quadratic is left out: nobody has tuned adamw on it")
    assert asked == ["digits_dense", "noisy_quadratic"] * 2
    assert all(path.is_file() for path in paths)
    with pytest.raises(ConfigError, match="too few for a deviation"):
        evolve.power("smoke", seeds=3, into=tmp_path)


def test_the_list_of_tasks_says_what_is_not_measured(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measured, "SHIPPED", tmp_path)
    usual = make_task("noisy_quadratic")
    facts = {"task": usual.configuration, "fingerprint": usual.fingerprint, "power": 3.5}
    measured.write_power(tmp_path, facts)
    rows = evolve.list_tasks()
    assert (rows["noisy_quadratic"]["power"], rows["noisy_quadratic"]["steps"]) == (3.5, 400)
    assert rows["digits_dense"]["power"] is None
    assert "—" in str(rows)


def test_a_watched_training_ends_where_one_does_that_nobody_watches():
    trials, signs = without_machine(TASK), parse(FLOW)
    seen = watched(trials, signs, "a", every=4)
    assert (seen.step.tolist(), seen.ended, seen.steps) == ([0, 4], "ok", 6)
    assert seen.final == trials.loss(signs, "a")
    begin = trials.begin("a")
    start = np.asarray(begin.w)
    assert seen.update_ratio["point.w"][0] == pytest.approx(
        0.01 * np.sqrt(4) / np.linalg.norm(start), rel=1e-4
    )
    clean = trials.evaluate(begin.w, begin.data, part="validation")
    assert seen.validation[0] == pytest.approx(float(clean), rel=1e-6)
    bowl = {name: np.asarray(x, float) for name, x in TASK.data()["train"].items()}
    h, draw = bowl["curvature"], np.asarray(begin.draws.task[0])
    slope = h * (start - bowl["optimum"]) + np.sqrt(h) * draw
    assert seen.gradient_norm[0] == pytest.approx(np.linalg.norm(slope), rel=1e-4)

    worse = watched(trials, signs.with_values({"learning_rate": 3.0}), "a", 1, patience=2)
    assert (worse.ended, worse.steps, worse.best) == ("patience", 3, 0)
    wild = parse(FLOW.replace("sign(g)", "sign(g)\n" + "    d = d * 1e10\n" * 4))
    lost = watched(trials, wild, "a", 1)
    assert lost.ended == "diverged"
    assert np.isnan(lost.final)


@pytest.mark.parametrize(
    ("losses", "stays"),
    [([3, 2, 1], False), ([1, 2, 3], True), ([1, 2], False), ([2, 1, 3], False), ([1, 1, 1], True)],
)
def test_patience_counts_the_records_since_the_best(losses, stays):
    assert _stays(losses, 2) is stays


def test_what_is_watched_never_is_refused_in_one_sentence():
    with pytest.raises(ConfigError, match="whole numbers of at least 1"):
        evolve.train("lion", "smoke", every=0)
