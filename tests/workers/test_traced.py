"""What workers have traced is kept: read again it has the same bits, and nothing of others is."""

from __future__ import annotations

import os
from dataclasses import replace

import jax
import numpy as np
import pytest
from jax import export

import proxy_tasks
from evolve.compiled import ENABLED, FOLDER
from evolve.scoring import traced
from evolve.scoring.optimizers import known
from evolve.scoring.traced import at_every_start, compiler
from evolve.scoring.trial import Trials
from proxy_tasks import make_task

TASK = make_task("noisy_quadratic", dim=4, steps=5)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where compiled code lies, as in a worker."""
    monkeypatch.delenv(ENABLED, raising=False)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path / "traced"


@pytest.fixture
def count(monkeypatch):
    """How often something was traced."""
    names = []
    usual = export.export

    def counted(function, **more):
        names.append(function)
        return usual(function, **more)

    monkeypatch.setattr(traced.export, "export", counted)
    return names


def tripled(task=TASK) -> float:
    """Something cheap, in a fresh process as far as the cache can tell."""
    return float(compiler(task)("triple", lambda x: 3 * x)(np.float32(2)))


def test_what_is_read_has_the_bits_of_what_is_traced(folder, count):
    def losses(**how) -> list[float]:
        trials = Trials(TASK, **how)  # the second finds the memory of the first
        return [trials.loss(known(name), "1") for name in ("adamw", "lion", "adamw")]

    expected = losses()
    assert losses(compile=compiler(TASK)) == expected
    assert len(count) == len(list(folder.iterdir())) == 3  # begin, train, evaluate
    assert losses(compile=compiler(TASK)) == expected
    assert len(count) == 3


@pytest.mark.parametrize("spoil", [b"", b"x" * 100, None], ids=["empty", "other bytes", "half"])
def test_damage_is_traced_again_and_written_over(folder, count, spoil):
    assert tripled() == 6
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:100] if spoil is None else spoil)
    assert tripled() == tripled() == 6
    assert len(count) == 2


def test_another_task_version_or_code_is_another_function(folder, count, monkeypatch):
    assert tripled() == tripled(replace(TASK, dim=5)) == 6
    assert len(count) == 2
    facts = traced.fingerprint()
    for changed in (facts | {"jax": "0"}, facts | {"code": {"proxy_tasks": "another"}}):
        monkeypatch.setattr(traced, "fingerprint", lambda changed=changed: changed)
        assert tripled() == tripled() == 6
    assert len(count) == 4


def test_other_shapes_and_dtypes_are_other_functions(folder, count):
    function = compiler(TASK)("twice", lambda x: x + x)
    for x in (np.float32(1), np.int32(1), np.ones(3, np.float32), np.ones(4, np.float32)):
        assert np.array_equal(function(x), 2 * x)
    assert len(count) == 4


def test_what_somebody_else_defined_is_traced_at_every_start(folder, monkeypatch):
    class Theirs(type(TASK)):
        """A class that is defined here."""

    assert Theirs.__module__.split(".")[0] != proxy_tasks.__name__
    assert compiler(object.__new__(Theirs)) is at_every_start
    assert compiler(TASK) is not at_every_start
    monkeypatch.setattr(traced, "loaded", lambda: ["a plug-in"])
    assert compiler(TASK) is at_every_start


def test_where_nothing_compiled_is_kept_nothing_traced_is(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setenv(ENABLED, "false")
    assert compiler(TASK) is at_every_start
    monkeypatch.delenv(ENABLED)
    monkeypatch.setenv(FOLDER, "gs://bucket/compiled")
    assert compiler(TASK) is at_every_start


def test_the_oldest_go_first_and_nobody_else_reads_them(folder, monkeypatch):
    monkeypatch.setattr(traced, "KEPT_BYTES", 300)
    for number in range(5):
        path = folder / f"{number}.traced"
        traced.write(path, bytes(64))
        os.utime(path, ns=(number, number))
    assert sorted(path.name for path in folder.iterdir()) == ["2.traced", "3.traced", "4.traced"]
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert {os.stat(path).st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_what_jax_cannot_keep_is_traced_at_every_start(folder, caplog):
    class Odd(tuple):
        __slots__ = ()

    jax.tree_util.register_pytree_node(Odd, lambda x: (tuple(x), None), lambda _, x: Odd(x))
    function = compiler(TASK)("odd", lambda x: Odd((x + 1, x)))
    assert [float(x) for x in function(np.float32(1))] == [2.0, 1.0]
    assert not folder.exists() or not list(folder.iterdir())
