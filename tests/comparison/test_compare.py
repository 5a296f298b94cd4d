"""Comparisons: who is tuned how, what is trained, what is said; trainings are made up here."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from evolve import api
from evolve.comparison import cell as cells
from evolve.comparison.cell import CHOOSE, HORIZONS, RATE_SEEDS, RATES
from evolve.config.errors import ConfigError
from evolve.interrupt import Interrupted
from evolve.reporting import comparison as reported
from evolve.tuning import processes
from primitives import ProgramError

SUITE = """tasks:
  - {kind: noisy_quadratic, dim: 3, steps: 100}
  - {kind: noisy_quadratic, dim: 4, steps: 100}
  - {kind: noisy_quadratic, dim: 5, steps: 100}
"""
MINE = """
learning_rate = tunable(0.01, low=0.0001, high=1.0, scale="log")
def step(w, g, lr):
    return sign(g) * lr
"""
BETTER = MINE.replace("sign(g)", "g")
STANDS = "learning_rate = 0.1\ndef step(w, g, lr):\n    return sign(g) * lr\n"


class MadeUp:
    """Trials whose losses are a rule: a valley in the log of the rate, luck by seed, and a gain."""

    def __init__(self, task, gains, trained):
        self.task, self.gains, self.trained = task, gains, trained
        self.layout = SimpleNamespace(size=task.dim)

    def begin(self, seed):
        return SimpleNamespace(w=None, data=None, seed=seed)

    def evaluate(self, w, data, part):
        return math.e  # before the first step

    def loss(self, optimizer, seed, part="validation", share=1.0):
        self.trained.append((optimizer.name, self.task.dim, seed, part, share))
        gain = self.gains[optimizer.name.removesuffix("_one")]
        if gain is None:
            return math.nan
        rng = np.random.default_rng([*f"{optimizer.name} {seed}".encode(), self.task.dim])
        shared = np.random.default_rng([*seed.encode(), self.task.dim])
        off = math.log10(optimizer.values["learning_rate"] / 0.02)
        return math.exp(
            -1.0 - 0.5 * math.log(share) - gain + 0.1 * off**2
            + 0.2 * shared.normal() + 0.02 * rng.normal()
        )  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a suite and programs; what is trained is made up, and listed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.yaml").write_text(SUITE)
    for name, text in (("mine", MINE), ("better", BETTER), ("stands", STANDS)):
        (tmp_path / f"{name}.py").write_text(text)
    trained: list[tuple] = []
    gains = {"adamw": 0.0, "mine": 0.0, "better": 0.1, "stands": -0.5, "lion": 0.0, "lion_2": 0.0}
    monkeypatch.setattr(processes, "_compiled", lambda task: MadeUp(task, gains, trained))
    monkeypatch.setattr(cells, "state_size", lambda optimizer, trials: 2.0)
    for name in ("forest", "profiles", "heat", "rates"):
        monkeypatch.setattr(reported.figures, name, lambda *a: a[-1].write_text("<svg/>"))
    return SimpleNamespace(path=tmp_path, trained=trained, gains=gains)


def compare(*programs, **more):
    return api.compare(
        programs, "suite.yaml", **{"trainings": 64, "seeds": 6, "say": lambda line: None} | more
    )


def test_everybody_is_tuned_twice_alike_and_trained_on_the_same_seeds(here):
    found = compare("mine.py", "better.py")
    assert found.compared.names == ("adamw", "mine", "better")
    of_table, of_tuning = {}, {}
    for name, dim, seed, _, _ in here.trained:
        kind = seed.split(":")
        if kind[0] == "tune":
            key = name, dim, kind[1]
            of_tuning[key] = of_tuning.get(key, 0) + (kind[2] != "state")
        else:
            of_table.setdefault((name, dim), []).append((seed, _, _))
    assert len(of_tuning) == 3 * 3 * 2
    assert all(0.8 * 64 <= count <= 64 for count in of_tuning.values())
    seeds = {tuple(s for s, _, _ in rows) for rows in of_table.values()}
    assert len(seeds) == 1
    # Both tunings on all seeds, and where the better is chosen; shorter schedules; other rates;
    # and three to see how long one takes.
    (row,) = seeds
    assert len(row) == 2 * (6 + CHOOSE) + len(HORIZONS) * 6 + len(RATES) * RATE_SEEDS + 3
    assert {seed.split(":")[0] for seed in row} == {"compare", "choose", "rate"}


def test_a_better_one_is_called_better_and_equal_ones_cannot_be_told_apart(here):
    found = compare("mine.py", "better.py")
    best, *others = found.compared.standings
    assert best.name == "better"
    assert best.low < 0.1 < best.high
    assert best.low > 0
    said = "\n".join(found.sentences())
    assert "better than tuned AdamW: better (+0." in said
    assert "Not distinguishable from tuned AdamW: mine" in said
    assert "better is first, and distinguishable from all others." in said
    # The loss falls with the root of the steps: 0.1 in its logarithm is 22 % of them.
    assert best.steps == pytest.approx(math.exp(2 * best.score), rel=0.03)
    assert others[0].steps == pytest.approx(1.0, abs=0.1)
    # 0.1 x² is 5 % at x = ±0.7: a factor 25.
    assert best.width == pytest.approx(10 ** (2 * math.sqrt(math.log(1.05) / 0.1)), rel=0.15)
    assert best.profile > 0.9


def test_what_is_there_is_not_trained_again_and_more_costs_what_it_adds(here):
    first = compare("mine.py")
    before = len(here.trained)
    again = compare("mine.py")
    assert len(here.trained) == before
    assert again.facts() == first.facts()
    compare("mine.py", "better.py")
    assert {name for name, *_ in here.trained[before:]} == {"better"}
    before = len(here.trained)
    compare("mine.py", seeds=7)
    assert not [seed for _, _, seed, _, _ in here.trained[before:] if seed.startswith("tune")]
    for path in (here.path / "comparisons" / "suite" / "cells").glob("*mine*"):
        path.write_text(path.read_text()[:100])  # damage
    before = len(here.trained)
    assert np.array_equal(compare("mine.py").compared.scores["mine"], first.compared.scores["mine"])
    assert {name for name, *_ in here.trained[before:]} == {"mine"}


def test_it_stops_when_asked_and_goes_on_where_it_stood(here):
    asked = iter([False] * 200 + [True] * 9)
    with pytest.raises(Interrupted):
        compare("mine.py", stop=lambda: next(asked))
    first = len(here.trained)
    assert 200 <= first < 300
    whole = compare("mine.py").facts()
    together = len(here.trained)
    assert compare("mine.py", into="another").facts()["scores"] == whole["scores"]
    # Only the piece that was being tuned is tuned again.
    assert together < len(here.trained) - together + 64 + 20


def test_who_cannot_be_tuned_takes_part_as_it_stands_and_that_is_said(here):
    found = compare("stands.py")
    assert found["stands"].tuning == "as it stands"
    assert any("stands declares no range to tune in" in line for line in found.sentences())
    assert found["stands"].score < 0


def test_who_diverges_counts_as_one_who_does_not_train(here):
    here.gains["mine"] = None
    found = compare("mine.py")
    assert found["mine"].diverged == 1.0
    assert found["mine"].score == pytest.approx(-2.0, abs=0.3)  # from e to 1/e
    assert any("cannot be tuned on noisy_quadratic" in line for line in found.sentences())
    here.gains["adamw"] = None
    both = compare("mine.py", into="both")
    assert any("everybody diverges" in line for line in both.sentences())
    assert both["mine"].score == 0.0


def test_a_file_with_a_known_name_is_another_contestant(here):
    (here.path / "lion.py").write_text(MINE)
    found = compare("lion", "lion.py")
    assert found.compared.names == ("adamw", "lion", "lion_2")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"tunings": 1}, "^tunings: 1 is below 2"),
        ({"seeds": 1}, "^seeds: 1 is not from 2"),
        ({"trainings": 8}, "^trainings: 8 is below 32"),
    ],
)
def test_what_can_say_nothing_is_refused(here, how, words):
    with pytest.raises(ConfigError, match=words):
        compare("mine.py", **how)


def test_who_cannot_run_on_a_task_and_who_is_given_twice_are_refused_before_anything_runs(here):
    with pytest.raises(ProgramError):
        compare("kfac")
    with pytest.raises(ConfigError, match="lion is given twice"):
        compare("lion", "lion")
    assert not here.trained


def test_few_tasks_and_seeds_are_said_to_be_few(here):
    (here.path / "one.yaml").write_text("tasks:\n  - {kind: noisy_quadratic, dim: 3, steps: 100}\n")
    found = api.compare("mine.py", "one.yaml", trainings=64, seeds=2, say=lambda line: None)
    (limits,) = [line for line in found.sentences() if line.startswith("That holds for one task")]
    assert "So few tasks say nothing of others." in limits
    assert "2 seeds make intervals that are hardly more than guesses." in limits


def test_one_configuration_is_tuned_on_all_tasks_together(here):
    found = compare("mine.py", one=True)
    values = [cell["tunings"][cell["chosen"]] for cell in found.compared.cells[1]]
    assert values[0] == values[1] == values[2]
    assert found["mine"].tuning.startswith("one configuration, the better of 2 tunings")


def test_all_files_are_written_and_say_the_same(here):
    found = compare("mine.py")
    names = {path.name for path in found.path.iterdir() if path.is_file()}
    figures = {"scores.svg", "profiles.svg", "by_task.svg", "rates.svg"}
    tables = {"table.csv", "by_task.csv", "differences.csv", "README.md", "result.json"}
    assert names == figures | tables
    assert json.loads((found.path / "result.json").read_text()) == found.facts()
    assert str(found.sentences()[0]) in (found.path / "README.md").read_text()
    assert "<table>" in found._repr_html_()
