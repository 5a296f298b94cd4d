"""Tasks of users' data: from a file and ten lines to a score; what happens when the file is not
what it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kit.documents import ROOT

import evolve
from evolve import plugins
from evolve.config.errors import ConfigError
from evolve.config.schema import TaskSettings
from evolve.scoring.suite import Suite, make_suite
from evolve.workers.setup import Setup
from proxy_tasks import TASKS, Task, make_task, task
from proxy_tasks import data as loaders
from proxy_tasks.data import csv, npz, text
from proxy_tasks.kit.dense import DenseClassification, DenseRegression
from proxy_tasks.language.char_transformer import CharTransformer

RNG = np.random.default_rng(5)
PIXELS = RNG.integers(0, 256, (60, 2, 2), np.uint8)


@pytest.fixture(autouse=True)
def registry():
    """Tasks of a test are forgotten with it."""
    with mock.patch.dict(TASKS):
        yield


def defined(base: type[Task], read, **own) -> type[Task]:
    """A task of data that `read` gives."""
    body = {"data": lambda self: read(), "__annotations__": dict.fromkeys(own, "int")} | own
    return dataclass(frozen=True)(type("Mine", (base,), body))


def test_the_task_of_the_document_is_ten_lines_and_sound(tmp_path, monkeypatch):
    page = (ROOT / "proxy_tasks" / "data" / "README.md").read_text()
    (source,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    lines = [line for line in source.splitlines() if line.strip()]
    assert len(lines) <= 12
    rows = RNG.normal(size=(120, 2))
    kinds = np.where(rows.sum(axis=1) > 0, "oak", "ash")
    table = "".join(f"{a},{b},{k}\n" for (a, b), k in zip(rows.tolist(), kinds, strict=True))
    (tmp_path / "trees.csv").write_text("size,weight,kind\n" + table)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_task.py").write_text(source)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with mock.patch.dict(plugins._loaded):
        (checked,) = evolve.validate(plugins=["my_task.py"])
    assert str(checked) == "my_task.py: fine"
    start = make_task("trees").init(jax.random.key(0))
    assert jax.tree.map(jnp.shape, start)["head"]["kernel"] == (16, 2)
    said = set(re.findall(r"`(\w+)\((?:file|folder|path)", page))
    assert said == set(loaders.__all__) - {"DataError"}, "the table names every loader"


def test_pixels_are_divided_by_255_and_axes_become_one(tmp_path):
    labels = np.arange(60) % 3
    np.savez(tmp_path / "d.npz", x=PIXELS, y=labels)
    defined(DenseClassification, lambda: npz(tmp_path / "d.npz"), width=4, batch=8, steps=20)
    mine = make_task("mine")
    params = mine.init(jax.random.key(0))
    data = mine.data()
    w = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)
    x, y = data["test"]["x"].reshape(-1, 4) / 255.0, data["test"]["y"]
    hidden = np.maximum(x @ w["hidden"]["kernel"] + w["hidden"]["bias"], 0)
    logits = hidden @ w["head"]["kernel"] + w["head"]["bias"]
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
    loss = mine.evaluate(params, data, "test")
    np.testing.assert_allclose(loss, expected.mean(), rtol=1e-5)


def test_targets_that_the_base_cannot_use_are_said_with_the_other_base(tmp_path):
    np.savez(tmp_path / "d.npz", x=PIXELS, y=np.arange(60) % 3)
    np.savez(tmp_path / "f.npz", x=PIXELS, y=np.linspace(0, 1, 60))
    defined(DenseRegression, lambda: npz(tmp_path / "d.npz"))
    with pytest.raises(ValueError, match=r"'y' are int32: .* from DenseClassification\.$"):
        make_task("mine")
    TASKS.pop("mine")
    defined(DenseClassification, lambda: npz(tmp_path / "f.npz"))
    with pytest.raises(ValueError, match=r"'y' are float32: .* from DenseRegression\.$"):
        make_task("mine")
    TASKS.pop("mine")
    defined(DenseRegression, lambda: npz(tmp_path / "f.npz"))
    with pytest.raises(ValueError, match="batch must be at most 36, the rows of the train part"):
        make_task("mine")
    assert make_task("mine", batch=36).fingerprint


def settings() -> list[TaskSettings]:
    return [TaskSettings(kind="mine", fields={"batch": 8})]


def test_a_file_that_is_not_there_is_said_where_a_suite_is_built_here_or_in_a_worker(tmp_path):
    read = lambda: csv(tmp_path / "none.csv", target="y")  # noqa: E731
    defined(DenseRegression, read)
    said = r"suite run, task 1: .*none\.csv: expected it here, found nothing; put it there, on ev"
    with pytest.raises(ConfigError, match=said):
        make_suite("run", settings())
    setup = Setup([entry.model_dump() for entry in settings()], "adamw", {}, str(tmp_path), 1)
    with pytest.raises(ConfigError, match=said):
        setup.suite()


def test_a_worker_whose_file_is_another_says_so_before_it_scores(tmp_path):
    """In one process, the driver's file is one that the worker's task does not read."""
    np.savez(tmp_path / "here.npz", x=PIXELS, y=np.linspace(0, 1, 60))
    np.savez(tmp_path / "there.npz", x=PIXELS + 1, y=np.linspace(0, 1, 60))
    defined(DenseRegression, lambda: npz(tmp_path / "here.npz"))
    suite = make_suite("run", settings())
    with mock.patch.object(Suite, "values_on", return_value={}):
        setup = Setup.of(suite, 1)
    assert setup.suite().fingerprints == suite.fingerprints
    TASKS["mine"].data = lambda self: npz(tmp_path / "there.npz")
    with pytest.raises(ConfigError, match=r"^mine: its data on this machine .* same files in"):
        setup.suite()


def test_whatever_the_data_of_a_task_raise_is_said(tmp_path):
    def read():
        return np.load(tmp_path / "none.npy")

    base = {"init": lambda self, key: {}, "evaluate": lambda self, params, data, part: 1.0}
    defined(Task, read, steps=5)
    for name, method in base.items():
        setattr(TASKS["mine"], name, method)
    TASKS["mine"].__abstractmethods__ = frozenset()
    said = r"suite run, task 1: mine cannot give its data: FileNotFoundError: .*none\.npy"
    with pytest.raises(ConfigError, match=said):
        make_suite("run", [TaskSettings(kind="mine", fields={})])


def test_arrays_that_cannot_change_are_hashed_once_and_others_every_time(monkeypatch):
    hashes = []

    def counted(said, data):
        hashes.append(said)
        return original(said, data)

    original = task._hashed
    monkeypatch.setattr(task, "_hashed", counted)
    monkeypatch.setattr(task, "_hashed_once", task.functools.lru_cache(counted))
    steady, loose = np.arange(6.0, dtype=np.float32), np.arange(6.0, dtype=np.float32)
    steady.flags.writeable = False
    view = loose[:]
    view.flags.writeable = False
    seen = {task.hashed("a", {"x": array}) for array in (steady, steady, loose, loose, view)}
    assert len(seen) == 1
    assert len(hashes) == 4, "one of the steady array, four but one of those that may change"
    loose[0] = 7
    assert task.hashed("a", {"x": view}) not in seen
    assert task.hashed("a", {"z": steady}) not in seen
    assert task.hashed("b", {"x": steady}) not in seen


def test_a_transformer_of_ones_own_text(tmp_path):
    (tmp_path / "a.txt").write_text("to be or not to be " * 60)
    defined(
        CharTransformer, lambda: text(tmp_path, block=50),
        layers=1, width=4, heads=2, context=8, batch=2, steps=5,
    )  # fmt: skip
    mine = make_task("mine")
    params = jax.eval_shape(mine.init, jax.random.key(0))
    data = mine.data()
    assert jax.eval_shape(lambda w: mine.evaluate(w, data, "test"), params).shape == ()
    assert set(np.asarray(data["train"])) == set(range(7)), "as many as it has characters"
    with pytest.raises(ValueError, match="context must be at most"):
        make_task("mine", context=2000)
    TASKS["mine"].alphabet = 6
    with pytest.raises(
        ValueError, match=r"found the symbol 6: state alphabet: ClassVar\[int\] = 7"
    ):
        make_task("mine")
