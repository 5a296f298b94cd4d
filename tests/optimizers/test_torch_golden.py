"""Golden files of torch: made for today's gradients, and made again to the same where torch is
installed.
"""

from __future__ import annotations

import importlib

import numpy as np
import pytest
from opinions import torch_golden
from opinions.harness import STEPS, furthest, sequence

import baselines

NAMES = sorted(path.stem for path in torch_golden.FOLDER.glob("*.json"))
each = pytest.mark.parametrize("name", NAMES)


def make_torch():
    pytest.importorskip(
        "torch", reason="torch is not installed; its walks are read from golden files"
    )
    return importlib.import_module("golden.make_torch")


@each
def test_a_golden_file_was_made_with_todays_gradients(name):
    golden = torch_golden.read(name)
    assert golden["sequence"] == torch_golden.digest(), f"Make it again with: {torch_golden.AGAIN}"


@each
def test_a_golden_file_leads_away_from_the_start_and_to_the_last_step(name):
    start, _ = sequence(np.float64)
    walk = torch_golden.trees(torch_golden.read(name))
    assert max(walk) == STEPS
    for tree in walk.values():
        assert all(np.isfinite(x).all() and (x != start[leaf]).any() for leaf, x in tree.items())


@each
def test_a_golden_file_is_small_and_says_first_how_it_is_made(name):
    file = torch_golden.FOLDER / f"{name}.json"
    assert file.stat().st_size < 30_000
    assert file.read_text().splitlines()[1] == f' "made by": "{torch_golden.AGAIN}",'


def test_gradients_and_values_of_another_day_are_noticed(monkeypatch):
    sgd = baselines.get("sgd")
    with pytest.raises(
        AssertionError, match=r"sgd.json is stale: .* 7\.0\}.* tests/golden/make_torch.py"
    ):
        torch_golden.walk(sgd.with_values({"learning_rate": 7.0}), np.float64)
    monkeypatch.setattr(torch_golden, "digest", lambda: "another")
    with pytest.raises(
        AssertionError, match=r"sgd.json is stale: .* gradients.* tests/golden/make_torch.py"
    ):
        torch_golden.walk(sgd, np.float64)


def test_a_walk_that_states_some_steps_and_leaves_is_compared_there():
    ones = {"a": np.ones(2), "b": np.ones(3)}
    walk = [ones, ones, {"a": np.ones(2), "b": np.full(3, 1.5)}]
    assert (
        furthest(walk, walk)
        == furthest(walk, {1: ones, 2: ones})
        == furthest(walk, {3: {"a": np.ones(2)}})
        == 0.0
    )
    assert furthest(walk, {3: ones}) == pytest.approx(0.5)
    for nothing in ({}, {1: {}}):
        with pytest.raises(AssertionError, match="the opinion states no"):
            furthest(walk, nothing)


def test_every_walk_of_torch_has_its_file():
    assert set(make_torch().TORCH) == set(NAMES)


@each
def test_torch_takes_the_same_steps_again(name):
    golden, again = torch_golden.read(name), make_torch().make(name)
    same = golden.keys() - {
        "torch",
        "parameters",
    }  # another version of torch may differ in the last bits
    assert {k: golden[k] for k in same} == {k: again[k] for k in same}
    kept, walked = torch_golden.trees(golden), torch_golden.trees(again)
    assert kept.keys() == walked.keys()
    assert furthest(list(walked.values()), list(kept.values())) <= 1e-13
