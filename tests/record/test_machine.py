"""What bits depend on is recorded when a run begins, and compared when it goes on."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from evolve import environment
from evolve.config.errors import ConfigError
from evolve.environment import CAME_LATER, CODE, JAX_SETTINGS, code, differences
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.running.life import _same_machine
from evolve.running.listeners import Listener, Listeners

OTHERWISE = {"0": "7", "true": "false", "false": "true", "threefry2x32": "rbg"}


def fingerprint() -> dict:
    """What is said of this process, as it is read from a record."""
    return json.loads(json.dumps(environment.fingerprint()))


def facts(machine: dict, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The names that lead to each fact of a fingerprint."""
    found = []
    for name, value in machine.items():
        found += facts(value, (*path, name)) if isinstance(value, dict) else [(*path, name)]
    return found


def changed(machine: dict, path: tuple[str, ...]) -> dict:
    """The same with another value in one place."""
    name, *rest = path
    value = changed(machine[name], tuple(rest)) if rest else "another"
    return machine | {name: value}


class Heard(Listener):
    """Keeps what is noted."""

    def __init__(self):
        self.notes: list[str] = []

    def note(self, line: str) -> None:
        self.notes.append(line)


@pytest.fixture
def goes_on(tmp_path) -> Iterator[Callable]:
    """Compare a machine with the one that a run began with; what is noted, and then recorded."""
    with contextlib.closing(Journal(tmp_path / "journal.sqlite")) as journal:

        def compare(before: dict, now: dict, allowed: bool = False) -> tuple[list[str], dict]:
            heard = Heard()
            journal.put([], machine=before)
            _same_machine(journal, now, RunFolder(tmp_path), allowed, Listeners([heard]))
            return heard.notes, journal.get("machine")

        yield compare


def test_each_fact_is_compared_and_named(goes_on):
    """Two dozen: versions, code, device, processor, flags and settings of jax."""
    machine = fingerprint()
    assert goes_on(machine, machine) == ([], machine)
    paths = facts(machine)
    assert len(paths) >= 24
    assert {path[0] for path in paths} >= {"pride", "jax", "numpy", *CAME_LATER}
    for path in paths:
        now = changed(machine, path)
        with pytest.raises(
            ConfigError, match=rf"{'.'.join(path)}: .* → 'another'\), so its scores"
        ):
            goes_on(machine, now)
        assert goes_on(machine, now, allowed=True) == ([], now)


@pytest.mark.parametrize("missing", [*((name,) for name in CAME_LATER), CAME_LATER])
def test_a_run_of_an_older_version_goes_on_and_what_nobody_knows_is_said(goes_on, missing):
    machine = fingerprint()
    older = {name: said for name, said in machine.items() if name not in missing}
    notes, recorded = goes_on(older, machine)
    assert len(notes) == 1
    assert f"did not record {', '.join(missing)}: whether" in notes[0]
    assert recorded == machine
    with pytest.raises(ConfigError, match=r"jax: '0\.0\.1' → "):
        goes_on(older | {"jax": "0.0.1"}, machine)


def test_settings_of_jax_that_decide_bits_are_pinned_whatever_the_user_has_set():
    env = {name.upper(): OTHERWISE[value] for name, value in JAX_SETTINGS.items()}
    ask = "import json; from evolve.environment import *; {}print(json.dumps(fingerprint()))"
    asked = [
        subprocess.Popen(
            [sys.executable, "-c", ask.format(first)],
            env=os.environ | env,
            stdout=subprocess.PIPE,
            text=True,
        )
        for first in ("pin(); ", "")
    ]
    pinned, unpinned = (json.loads(process.communicate()[0]) for process in asked)
    assert pinned == fingerprint()
    differ = differences(pinned, unpinned)
    assert {line.split(": ")[0] for line in differ} == {f"jax_settings.{s}" for s in JAX_SETTINGS}


@pytest.mark.parametrize("package", CODE)
def test_code_that_was_changed_under_the_same_version_is_noticed(package, tmp_path):
    for name in CODE:
        (tmp_path / name / "programs").mkdir(parents=True)
        (tmp_path / name / "programs" / "adamw.py").write_text("beta1 = 0.9\n")
    before = code.__wrapped__(tmp_path)
    (tmp_path / package / "programs" / "adamw.py").write_text("beta1 = 0.8\n")
    after = code.__wrapped__(tmp_path)
    assert [name for name in CODE if before[name] != after[name]] == [package]
    assert set(environment.software()["code"]) == set(CODE)
