"""Racing: what the best of many points is, told apart by few trainings, with everybody's budget."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scoring.references_check import Gain, gain

from evolve import api
from evolve.comparison.contest import Contestant
from evolve.config.errors import ConfigError
from evolve.scoring.optimizers import known, title
from evolve.scoring.references import one_configuration, read_stored, tuned_values
from evolve.scoring.suite import make_suite, suite_of
from evolve.tuning import pieces, processes, reference
from evolve.tuning.archive import archive_path, packed, read_archive, write_archive
from evolve.tuning.effort import LEAST, Effort
from evolve.tuning.pieces import pieces_of, tune_pieces
from evolve.tuning.racing import FINAL_ROUNDS, ROUNDS, SEARCH, Hopeless, Raced, race
from evolve.tuning.ranges import ends, position_of
from evolve.tuning.reference import log_loss, tune
from primitives import Hyperparameter
from proxy_tasks import make_task

RATE = Hyperparameter("learning_rate", 0.1, 1e-5, 1.0, "log")
DECAY = Hyperparameter("decay", 0.9, 0.5, 0.999, "log1m")
RANGES = [RATE, DECAY]


def bowl(best: float = 0.3, noise: float = 0.02, luck: float = 1.0):
    """A log loss that is 0 at one place of the ranges, with noise and with luck of the seed."""

    def loss(values: dict[str, float], what: str, seed: int) -> float:
        at = [position_of(h, values[h.name]) for h in RANGES]
        place = [int(2**32 * abs(p)) for p in at]
        own = np.random.default_rng([len(what), seed, *place])
        alike = np.random.default_rng([len(what), seed])
        far = sum((p - best) ** 2 for p in at)
        return 4 * far + noise * own.normal() + luck * alike.normal()

    return loss


def distance(raced: Raced, best: float) -> float:
    return max(abs(position_of(h, raced.best.values[h.name]) - best) for h in RANGES)


@pytest.mark.parametrize("scramble", range(3))
def test_the_best_place_is_found_though_the_luck_of_a_seed_is_fifty_times_the_noise(scramble):
    """0.1 from it the loss is 0.04 to 0.08 more; unpaired, the luck of 32 seeds is 0.25."""
    assert distance(race(RANGES, bowl(), 256, scramble), 0.3) < 0.12


@settings(max_examples=6, deadline=None)
@given(budget=st.integers(LEAST, 250), bad=st.floats(0, 0.9))
def test_no_budget_is_exceeded_and_all_that_are_compared_are_trained_on_the_same_seeds(budget, bad):
    calls, fine = [], bowl()

    def loss(values: dict[str, float], what: str, seed: int) -> float:
        calls.append((what, seed))
        diverges = position_of(RATE, values["learning_rate"]) > 1 - bad
        return math.inf if diverges else fine(values, what, seed)

    try:
        raced = race(RANGES, loss, budget)
    except Hopeless:
        assert bad > 0
        return
    assert raced.trainings == len(calls) <= budget
    for trial in raced.trials:
        if math.inf in trial.losses:  # and no training after that
            assert trial.losses.index(math.inf) == len(trial.losses) - 1
        else:
            assert len(trial.losses) in ROUNDS
            assert len(trial.final) in (0, *FINAL_ROUNDS) or trial.final[-1] == math.inf
    assert all(map(math.isfinite, raced.best.losses + raced.best.final))


def test_who_has_the_same_budget_and_number_gets_the_same_and_who_has_another_gets_others():
    one, same, other = (race(RANGES, bowl(), 200, scramble) for scramble in (1, 1, 2))
    assert packed(one, 1) == packed(same, 1)
    ours, theirs = ({tuple(t.values.values()) for t in raced.trials} for raced in (one, other))
    assert ours.isdisjoint(theirs)


def test_an_optimum_beyond_the_declared_ranges_is_found_within_the_budget_and_is_interior():
    raced = race(RANGES, bowl(best=1.08), 400)
    assert raced.trainings <= 400
    assert distance(raced, 1.08) < 0.1
    assert raced.interior == {"learning_rate": True, "decay": True}
    for wider, declared in zip(raced.explored, RANGES, strict=True):
        assert ends(wider)[1] > ends(declared)[1]


def test_a_point_that_diverges_on_one_seed_of_many_loses():
    smooth = bowl()

    def loss(values: dict[str, float], what: str, seed: int) -> float:
        near = abs(position_of(RATE, values["learning_rate"]) - 0.3) < 0.1
        rare = near and what != SEARCH and seed == 12  # the search never sees it
        return math.inf if rare else smooth(values, what, seed)

    raced = race(RANGES, loss, 600)
    assert abs(position_of(RATE, raced.best.values["learning_rate"]) - 0.3) >= 0.1


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (lambda *a: math.inf, "training diverges at every point"),
        (
            lambda values, what, seed: math.inf if seed else math.log(values["learning_rate"]),
            "diverges at every point",
        ),
        (lambda *a: math.log(0.25), r"the loss is 0.25 at every point .* let `evaluate` depend"),
    ],
)
def test_where_nothing_can_be_chosen_it_says_why(loss, words):
    ranges = [Hyperparameter("learning_rate", 0.1, 1e-5, 1.0, "log")]
    with pytest.raises(Hopeless, match=words):
        race(ranges, loss, 64)


def test_all_trials_are_kept_in_little_space_and_can_be_read_again(tmp_path):
    raced = race(RANGES, bowl(), 256, 3)
    write_archive(path := tmp_path / "trials" / "x.gz", packed(raced, 3))
    assert path.stat().st_size < 12 * raced.trainings
    found = read_archive(path)
    assert [(t.box, t.number, t.values) for t in found] == [
        (t.box, t.number, t.values) for t in raced.trials
    ]
    for one, other in zip(found, raced.trials, strict=True):
        np.testing.assert_allclose(one.losses, other.losses, atol=6e-4)  # three digits are kept
        np.testing.assert_allclose(one.final, other.final, atol=6e-4)


# --- losses that have no logarithm ----------------------------------------------------------------


def compiled(loss: float) -> SimpleNamespace:
    return SimpleNamespace(task=SimpleNamespace(kind="mine"), loss=lambda *a: loss)


@pytest.mark.parametrize("loss", [-0.5, 0.0, 1e-31])
def test_a_loss_that_has_no_logarithm_is_named_with_what_to_do(loss):
    words = f"the loss on mine comes to {loss:.3g} in seed 'a', .* let `evaluate` give what stays"
    with pytest.raises(ConfigError, match=words):
        log_loss(compiled(loss), None, "a")  # pyright: ignore[reportArgumentType]
    assert log_loss(compiled(math.nan), None, "a") == math.inf  # pyright: ignore
    assert log_loss(compiled(2.0), None, "a") == math.log(2)  # pyright: ignore


def test_a_loss_that_is_the_same_for_all_is_named_with_the_optimizer_and_the_task():
    words = "^lion cannot be tuned on mine: the loss is 2 at every point"
    with pytest.raises(ConfigError, match=words):
        tune([compiled(2.0)], known("lion"), Effort(64))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match="lion_seed declares no range"):
        tune([compiled(2.0)], known("lion_seed"), Effort(64))  # pyright: ignore[reportArgumentType]


# --- pieces ---------------------------------------------------------------------------------------

TINY = [("noisy_quadratic", {"dim": 3, "steps": 5}), ("noisy_quadratic", {"dim": 4, "steps": 5})]


@pytest.fixture
def here(tmp_path, monkeypatch) -> Iterator[Path]:
    """A folder of the user's own with a suite of two tiny tasks, and nothing remembered."""
    monkeypatch.chdir(tmp_path)
    tasks = "\n".join(f"  - {{kind: {k}, dim: {f['dim']}, steps: 5}}" for k, f in TINY)
    Path("mine.yaml").write_text(f"tasks:\n{tasks}\n")
    for cached in (tuned_values, one_configuration):
        cached.cache_clear()
    yield tmp_path / "references"
    for cached in (tuned_values, one_configuration):
        cached.cache_clear()


ARMIJO = "gradient_descent_armijo"  # has a loop of its own, which is compiled in half the time


@pytest.mark.slow
def test_two_processes_give_what_one_gives_and_what_is_there_is_not_tuned_again(here, monkeypatch):
    names, said = [ARMIJO, f"{ARMIJO}_one"], []
    files = api.reference("mine.yaml", names, trainings=64, say=said.append)
    kinds = [path.name.split("-")[0] for path in files]
    assert kinds == ["noisy_quadratic", "noisy_quadratic", "one_configuration"]
    theirs = api.reference(
        "mine.yaml", [ARMIJO], trainings=64, into="theirs", workers=2, say=said.append
    )
    for ours, other in zip(files, theirs, strict=False):
        one, two = (read_stored(path)["optimizers"] for path in (ours, other))
        for entry in (*one.values(), *two.values()):
            assert entry.pop("seconds") > 0
            assert entry["spent"] <= entry["trainings"]
        assert one == two
        archives = [archive_path(path, ARMIJO).read_bytes() for path in (ours, other)]
        assert archives[0] == archives[1]

    monkeypatch.setattr(pieces, "tune", lambda *a: pytest.fail("it is tuned again"))
    api.reference("mine.yaml", names, trainings=64, say=said.append)
    assert sum("is tuned already, in references" in line for line in said) == 3

    # The one configuration has the same values on both tasks, and its table says so.
    suite = suite_of("mine.yaml")
    both = [suite.tuned(f"{ARMIJO}_one", task) for task in suite]
    assert both[0] is not None
    assert both[0] == both[1]
    assert set(suite.references[suite.fingerprints[0]]) == {ARMIJO, f"{ARMIJO}_one"}
    who = Contestant(f"{ARMIJO}_one", known(f"{ARMIJO}_one"), known=f"{ARMIJO}_one")
    assert {who.tuning_on(task, suite) for task in suite} == {"one configuration, 64 trainings"}
    assert title(known("adamw_one")) == "AdamW with one configuration"


@pytest.mark.parametrize(
    ("change", "again"),
    [({}, 0), ({"trainings": 33}, 1), ({"scramble": 1}, 1), ({"again": True}, 1)],
)
def test_what_was_interrupted_goes_on_where_it_stood(here, monkeypatch, change, again):
    tuned: list[str] = []

    def quick(compiled, optimizer, effort, done):
        name = optimizer.name
        if name == "muon" and len(tuned) == 3:
            raise KeyboardInterrupt
        tuned.append(name)
        entry = {"values": {"learning_rate": 0.5}, "interior": {}, "validation": [1.0]}
        entry |= {"spent": 1, "seconds": 0.1, "method": reference.METHOD}
        raced = race([RATE], bowl_of_rate, LEAST)
        return entry | {"trainings": effort.trainings, "scramble": effort.scramble}, raced

    monkeypatch.setattr(pieces, "tune", quick)
    monkeypatch.setattr(processes, "_compiled", lambda task: None)
    suite = suite_of("mine.yaml")
    work = pieces_of([suite, suite], ["sgd", "muon"])
    assert len(work) == 4  # no task twice
    with pytest.raises(KeyboardInterrupt):
        tune_pieces(work, Effort(32), here)
    tuned.clear()
    tune_pieces(work, Effort(32), here)
    assert tuned == ["muon"]
    tuned.clear()
    asked = {"trainings": 32} | change
    more = {"again": asked.pop("again")} if "again" in asked else {}
    monkeypatch.setattr(pieces, "tune", lambda *a: quick(*a) if len(tuned) < 9 else None)
    tuned += ["x"] * 4
    tune_pieces(work, Effort(**asked), here, **more)
    assert len(tuned) - 4 == 4 * again


def bowl_of_rate(values: dict[str, float], what: str, seed: int) -> float:
    return (position_of(RATE, values["learning_rate"]) - 0.5) ** 2 + seed


def test_one_task_that_cannot_be_tuned_is_said_at_the_end_and_the_others_are_written(
    here, monkeypatch
):
    def tuned(compiled, optimizer, effort, done):
        if optimizer.name == "lion":
            raise ConfigError("lion cannot be tuned")
        entry = {"values": {"learning_rate": 0.5}, "interior": {"learning_rate": False}}
        entry |= {"validation": [1.0, 3.0], "spent": 9, "seconds": 0.1}
        return entry, race([RATE], bowl_of_rate, LEAST)

    monkeypatch.setattr(pieces, "tune", tuned)
    monkeypatch.setattr(processes, "_compiled", lambda task: None)
    said: list[str] = []
    work = pieces_of([suite_of("mine.yaml")], ["lion", "sgd"])
    with pytest.raises(ConfigError, match="lion cannot be tuned"):
        tune_pieces(work, Effort(32), here, say=said.append)
    assert len(list(here.glob("*.json"))) == 2
    words = "noisy_quadratic: sgd: validation loss 2.0000 over 2 fresh seeds, 9 trainings in 0 s"
    assert said.count(f"{words}; at the edge: learning_rate") == 2


def test_what_lies_there_keeps_the_method_and_the_machine_by_which_it_was_tuned(tmp_path):
    task = {"kind": "k", "fields": {}}
    old = {"task": task, "fingerprint": "f", "machine": {"pride": "0.1"}, "method": "Sobol"}
    entry = {"values": {"learning_rate": 0.5}, "trials": 96}
    (tmp_path / "k-f.json").write_text(json.dumps(old | {"optimizers": {"adamw": entry}}))
    new = {"task": task, "fingerprint": "f", "machine": {"pride": "0.2"}}
    lion = {"values": {"learning_rate": 0.1}, "method": "racing"}
    path = reference.write_reference(tmp_path, new | {"optimizers": {"lion": lion}})
    found = read_stored(path)
    assert found["machine"] == {"pride": "0.2"}
    assert "method" not in found
    assert found["optimizers"]["lion"] == lion
    assert found["optimizers"]["adamw"] == entry | {"method": "Sobol", "machine": {"pride": "0.1"}}


def test_values_for_the_same_fields_but_other_data_are_said_to_be_older(here):
    task = make_task(TINY[0][0], **TINY[0][1])
    suite = make_suite("mine", suite_of("mine.yaml").settings)
    with pytest.raises(ConfigError, match=r"Run `evolve reference SUITE --optimizers adamw` first"):
        suite.reference_on(task)
    practice = suite_of("practice", reference="galore")
    with pytest.raises(ConfigError, match=r"`evolve reference practice --optimizers galore` first"):
        practice.reference_on(practice.tasks[0])
    here.mkdir()
    said = {"kind": task.kind, "fields": {"dim": 3, "steps": 5}}
    content = {"task": said, "fingerprint": 16 * "0", "optimizers": {"adamw": {"values": {}}}}
    reference.write_reference(here, content)
    with pytest.raises(ConfigError, match=r"0\.json has values for the same fields, but the"):
        suite.reference_on(task)


# --- do they hold? --------------------------------------------------------------------------------


def test_more_effort_gains_nothing_beyond_the_bar_or_beyond_its_own_noise():
    assert Gain(0.02, 0.0).holds
    assert Gain(0.05, 0.03).holds
    assert not Gain(0.03, 0.01).holds


CHEAP = [suite_of("smoke").tasks[1], suite_of("screen").tasks[0]]


@pytest.mark.parametrize("task", CHEAP, ids=lambda task: task.kind)
def test_the_reference_of_a_cheap_task_holds_against_four_times_its_trainings(task, tmp_path):
    """`make references-check` does this on all tasks."""
    found = gain(task, place=tmp_path)
    assert found.holds, found
