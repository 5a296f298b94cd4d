"""What is printed: whatever a stranger has written, no command lets it steer a terminal."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from promises.strangers import make_run

import baselines
from evolve.commands.main import main
from evolve.comparison.contest import Verdict
from evolve.config.yaml import read_yaml, write_yaml
from evolve.files import replace_file
from evolve.record.folder import RunFolder
from evolve.reporting.scores import Scores
from primitives.errors import plain
from primitives.export.optax import to_optax_source

HOSTILE = "a\x1b[2J\x9b1m\x07\x08\r\u202e[red]b[/red]:smile:"
SHOWN = "a\\x1b[2J\\x9b1m\\x07\\x08\\r\\u202e[red]b[/red]:smile:"
EXIT = (0, 1, 2)


def harmless(said: str) -> str:
    assert all(c.isprintable() or c in "\n\t" for c in said), said
    return said


def called(*arguments: object) -> str:
    """Call a command as on a terminal, which sees what click keeps from a pipe."""
    result = CliRunner().invoke(main, [str(a) for a in arguments], color=True)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code in EXIT
    return harmless(result.output)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    make_run(place := tmp_path_factory.mktemp("whole"))
    return place / "run"


@pytest.fixture
def run(whole, tmp_path, monkeypatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    return RunFolder(Path(shutil.copytree(whole, "run")))


NAMES = [
    ("show", "{}"), ("show", "{}.py"), ("export", "{}"), ("export", "lion", "--name", "{}"),
    ("export", "lion", "--to", "{}"), ("list", "{}"), ("validate", "{}.py", "{}.yaml", "{}"),
    ("status", "{}"), ("verify", "{}"), ("resume", "{}"), ("run", "{}"), ("run", "{}.yaml"),
    ("run", "smoke", "--set", "{}=1"), ("run", "smoke", "--set", "name={}"),
    ("run", "smoke", "--set", "suite={}"), ("run", "smoke", "--set", "search.initial=['{}']"),
    ("run", "smoke", "--workers", "{}"), ("run", "smoke", "--address", "{}"),
    ("run", "smoke", "--seed", "{}"), ("run", "smoke", "--plugin", "{}.py"),
    ("score", "{}"), ("score", "lion", "--suite", "{}"), ("score", "lion", "--schedule", "{}"),
    ("score", "lion", "--seeds", "{}"), ("reference", "{}"), ("tune", "{}"),
    ("reference", "smoke", "--optimizers", "{}"), ("status", "a", "{}"), ("{}",), ("--{}",),
    ("status", "--{}"), ("-{}",),
]  # fmt: skip


def test_no_name_that_is_typed_steers_the_terminal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in NAMES:
        assert called(*(word.replace("{}", HOSTILE) for word in command))
    assert len(NAMES) == 32


def test_no_name_of_a_file_does(run):
    """`[red]a.py` is no markup."""
    name = HOSTILE.replace("/", "")
    shutil.copy(baselines.PROGRAMS / "lion.py", f"{name}.py")
    shutil.copy(run.given_config, f"{name}.yaml")
    run.path.rename(name)
    shown = SHOWN.replace("/", "")
    said = called("validate", f"{name}.py", f"{name}.yaml")
    assert f"{shown}.py: fine" in said
    for command in ("status", "verify", "show", "export"):
        called(command, name)
    assert f"{shown}: stopped" in called("status", name)


def test_nothing_that_a_run_holds_does(run):
    with contextlib.closing(sqlite3.connect(run.journal)) as db:
        db.execute("UPDATE candidate SET status = ?1, reason = ?1 WHERE number < 59", (HOSTILE,))
        db.commit()
    assert SHOWN in called("status", run.path)
    called("verify", run.path)

    config = read_yaml(run.given_config.read_text(), "a")
    replace_file(run.given_config, write_yaml(config | {"suite": HOSTILE, "name": HOSTILE}))
    replace_file(run.resolved_config, write_yaml(config | {"suite": HOSTILE}))
    for command in ("status", "verify", "show", "resume"):
        called(command, run.path)


def test_nor_who_holds_it(run):
    with run.lock.open("w") as held:
        held.write(HOSTILE)
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "by another driver (a\\x1b[2J" in called("resume", run.path)


def test_a_table_shows_words_as_they_are_written(capsys):
    line = Verdict(HOSTILE, HOSTILE, [], 0.0, 0.0, 0.0, 3, HOSTILE, 4.0, False, False)
    for name in ("[red]a", HOSTILE):
        scores = Scores((line,), name, 2, HOSTILE, HOSTILE, HOSTILE)
        for text in (str(scores.grid()), repr(scores)):
            assert "[red]" in harmless(text)
        scores.grid().print()
    assert "[red]a: 2 fresh seeds" in harmless(capsys.readouterr().out)


def test_the_gate_keeps_what_is_ours_as_it_is():
    """Programs and their exports have nothing to escape, whatever their authors say."""
    texts = [str(p) for p in map(baselines.get, baselines.names())]
    texts += [to_optax_source(baselines.get(name)) for name in ("lion", "adamw")]
    assert all(plain(text) == text for text in texts)
    assert plain(HOSTILE) == SHOWN
    assert len(texts) > 40


def test_a_stream_that_is_closed_is_said_before_anything_is_worked_for(tmp_path):
    """The next file that is opened would get what is printed."""
    code = """
import os, sys
import evolve.__main__
from evolve.commands.main import main
for arguments in (["list", "tasks"], ["run", "smoke"], ["score", "lion"], ["show", "lion"]):
    try:
        main(arguments)
    except SystemExit as left:
        assert left.code == 2, left
    assert os.readlink("/proc/self/fd/0") == "/dev/null"
"""
    command = f"{sys.executable} -c '{code}' >&- <&-"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    said = "standard output is closed; let it be a file, or /dev/null\n"
    assert (done.returncode, done.stderr) == (0, 4 * said)
    assert list(tmp_path.iterdir()) == []
