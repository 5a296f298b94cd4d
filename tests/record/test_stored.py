"""What is stored of a run, spoiled in every place, is read through the command line: whatever it
holds, a command ends with a code and clear words, and steers no terminal.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from click.testing import CliRunner
from promises import hostile
from promises.strangers import make_run

from evolve.commands.main import main
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.stored import FACTS
from primitives import load
from primitives.export.optax import to_optax_source

COMMANDS = (("status",), ("status", "--json"), ("show",), ("export",), ("verify",))
VALUES: list[Any] = [
    None, True, -1, 10**400, 1e308, 0.5, "x", "\x1b[2J\x9b", "[red]x[/red]", "\ud800", [], {}, [1],
    {"\x1b]0;x\x07": "\x1b"}, "NaN", "-Infinity",
]  # fmt: skip


def called(*arguments: object) -> tuple[int, str]:
    """Call a command as on a terminal: its exit code, and all that it prints."""
    result = CliRunner().invoke(main, [str(a) for a in arguments], color=True)
    assert result.exception is None or isinstance(result.exception, SystemExit), arguments
    return result.exit_code, result.output


def clear(*arguments: object) -> int:
    """Call a command; whatever it says, it is for people's eyes."""
    code, said = called(*arguments)
    assert code in (0, 1, 2), arguments
    assert said, arguments
    assert all(c.isprintable() or c in "\n\t" for c in said), (arguments, said)
    assert "Traceback" not in said
    return code


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run with every file, and a chain that is linked though nobody trained."""
    place = tmp_path_factory.mktemp("whole")
    make_run(place)
    folder = RunFolder(place / "run")
    with contextlib.closing(Journal(folder.journal, read_only=True)) as journal:
        chain = journal.link_before(journal.count()).hex()
    entry = json.loads(folder.hall_of_fame.read_text())[0]
    numbers: dict[str, Any] = {
        "score": 0.1, "low": 0.0, "high": 0.2, "statements": 3, "state": "1", "operations": 4.0,
    }  # fmt: skip
    name = f"found_{entry['candidate']}"
    line = {"name": name, "status": "ok", "scores": [0.1, 0.1], "finalist": True}
    table = [line | numbers | {"beats_reference": True}]
    folder.summary.write_text(json.dumps({"chain": chain, "verdicts": table, "best": name}))
    folder.best_optax.write_text(to_optax_source(replace(load(folder.best_program), name=name)))
    change(folder, "UPDATE meta SET value = '\"finished\"' WHERE name = 'status'")
    return folder.path


def change(folder: RunFolder, script: str) -> None:
    with contextlib.closing(sqlite3.connect(folder.journal)) as db:
        db.executescript(script)


@pytest.fixture
def run(whole, tmp_path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(whole, tmp_path / "run")))


def places(said: Any, path: tuple = ()) -> Iterator[tuple]:
    """Yield the path of every value."""
    yield path
    if isinstance(said, dict | list):
        for key in said if isinstance(said, dict) else range(len(said))[:2]:
            yield from places(said[key], (*path, key))


def put(said: Any, path: tuple, value: Any) -> Any:
    """Return data with another value in a place."""
    if not path:
        return value
    copy = dict(said) if isinstance(said, dict) else list(said)
    copy[path[0]] = put(said[path[0]], path[1:], value)
    return copy


def text_of(said: Any) -> str:
    text = json.dumps(said).replace('"NaN"', "NaN").replace('"-Infinity"', "-Infinity")
    return text


@pytest.mark.parametrize("name", ["meta.json", "hall_of_fame.json", "summary.json"])
def test_whatever_a_file_holds_in_any_place_every_command_is_clear(run, name):
    path, cases, codes, rng = run.path / name, 0, set(), Random(name)
    said = json.loads(path.read_text())
    for place in places(said):
        for value in rng.sample(VALUES, 2):
            path.write_text(text_of(put(said, place, value)))
            cases += 1
            command = rng.choice(COMMANDS)
            codes.add(clear(command[0], run.path, *command[1:]))
    print(f"{name}: {cases} cases")
    assert cases >= {"meta.json": 100, "hall_of_fame.json": 10, "summary.json": 25}[name]
    assert codes >= {0, 2 if name == "meta.json" else 1}


def test_whatever_a_journal_holds_every_command_is_clear(run):
    """Half of them are statements of a stranger, the others facts of the wrong type."""
    journal, codes = run.journal.read_bytes(), []
    for number in range(60):
        hostile.spoil_rows(run.journal, Random(number))
        codes.append(clear(("status", "verify")[number % 2], run.path))
        run.journal.write_bytes(journal)
    for number, name in enumerate(FACTS):
        for value in Random(number).sample(VALUES, 8):
            with contextlib.closing(sqlite3.connect(run.journal)) as db:
                db.execute("REPLACE INTO meta VALUES (?, ?)", (name, text_of(value)))
                db.commit()
            codes.append(clear(("status", "verify")[len(codes) % 2], run.path))
            run.journal.write_bytes(journal)
    assert len(codes) == 60 + 6 * 8
    assert set(codes) == {0, 1}


# --- verify ---------------------------------------------------------------------------------------

ROWS = {
    "a program": ("UPDATE candidate SET program = program || ' ' WHERE number = 7", "row 7 "),
    "a status": ("UPDATE candidate SET status = 'ok' WHERE number = 9", "row 9 "),
    "an outcome": ("UPDATE candidate SET outcome = '{}' WHERE number = 0", "row 0 "),
    "a parent": ("UPDATE candidate SET parent = 1 WHERE number = 30", "row 30 "),
    "a link": ("UPDATE candidate SET chain = x'deadbeef' WHERE number = 30", "row 30 "),
    "the last link": ("UPDATE candidate SET chain = zeroblob(32) WHERE number = 59", "row 59 "),
    "a score": ("UPDATE candidate SET score = 9.0 WHERE number = 12", "row 12 "),
    "no score": ("UPDATE candidate SET score = NULL WHERE number = 0", "row 0 "),
    "a time": ("UPDATE candidate SET seconds = 'x' WHERE number = 3", "row 3 "),
    "a word": ("UPDATE candidate SET detail = x'00' WHERE number = 3", "row 3 "),
    "a row": ("DELETE FROM candidate WHERE number = 20", "row 20 "),
    "the last row": ("DELETE FROM candidate WHERE number = 59", "chain"),
    "all rows": ("DELETE FROM candidate", "0 rows"),
    "everything": ("DELETE FROM candidate; DELETE FROM checkpoint", "chain"),
    "half of it": ("DELETE FROM candidate WHERE number > 9; DELETE FROM checkpoint", "chain"),
    "a seal": ("UPDATE checkpoint SET seal = zeroblob(32)", "a checkpoint does not fit"),
    "records": ("UPDATE checkpoint SET records = zeroblob(1792)", "a checkpoint does not fit"),
    "seconds": ("UPDATE meta SET value = '\"x\"' WHERE name = 'elapsed'", "elapsed"),
    "infinity": ("UPDATE meta SET value = 'Infinity' WHERE name = 'elapsed'", "elapsed"),
    "a machine": ("UPDATE meta SET value = '[1]' WHERE name = 'machine'", "machine"),
    "machines": ("INSERT INTO meta VALUES ('machines', '5')", "machines"),
    "a state": ("UPDATE meta SET value = '\"done\"' WHERE name = 'status'", "status"),
    "what decides": ("UPDATE meta SET value = '{}' WHERE name = 'decisive'", "decisive"),
}
FILES: dict[str, tuple[str, str, str]] = {
    "a seed": ("config.resolved.yaml", "seed: 0", "seed: 1"),
    "a list": ("config.yaml", "name: run", "- name"),
    "a start": ("meta.json", "beta1 = ", "beta1 = 0.5 * "),
    "another start": ("meta.json", "0.999", "0.99"),
    "a value": ("meta.json", '"beta1": ', '"beta1": 1'),
    "what decides": ("meta.json", '"seed": 0', '"seed": 1'),
    "a score": ("hall_of_fame.json", '"score": ', '"score": 1'),
    "a candidate": ("hall_of_fame.json", '"candidate": ', '"candidate": 1'),
    "a statement": ("hall_of_fame.json", "return ", "return g #"),
    "a chain": ("summary.json", '"chain": "', '"chain": "0'),
    "the best": ("best/program.py", "return ", "return g #"),
    "an export": ("best/optax.py", "import jax\n", "import jax, os\n"),
}


def test_a_run_that_is_as_it_was_written_is_sound(run):
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    code, said = called("verify", run.path)
    assert (code, said.count("\n")) == (0, 1), said
    assert f"sound: 60 rows, 1 checkpoints, chain {summary(run)['chain']}" in said
    facts = json.loads(called("verify", run.path, "--json")[1])
    assert (facts["sound"], facts["rows"], facts["faults"]) == (True, 60, [])
    assert before == {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}


def summary(run: RunFolder) -> dict[str, Any]:
    return json.loads(run.summary.read_text())


def test_whatever_is_changed_in_a_journal_is_named_by_its_row_or_fact(run):
    journal = run.journal.read_bytes()
    for what, (script, where) in ROWS.items():
        change(run, script)
        code, said = called("verify", run.path)
        assert (code, where in said) == (1, True), (what, said)
        run.journal.write_bytes(journal)
    assert len(ROWS) == 23


def test_whatever_is_changed_in_a_file_is_named_by_the_file(run):
    for what, (name, old, new) in FILES.items():
        path = run.path / name
        whole = path.read_text()
        assert old in whole, what
        path.write_text(whole.replace(old, new, 1))
        code, said = called("verify", run.path)
        assert (code, name in said) == (1, True), (what, said)
        path.unlink()
        assert clear("verify", run.path) in (1, 2), what
        path.write_text(whole)
    assert len(FILES) == 12


def test_status_says_that_it_did_not_verify_and_refuses_what_it_sees_at_once(run):
    code, said = called("status", run.path)
    assert (code, f"evolve verify {run.path}" in said) == (0, True)
    journal = run.journal.read_bytes()
    for what in ("the last link", "the last row", "all rows", "everything", "half of it"):
        change(run, ROWS[what][0])
        assert clear("status", run.path) == 1, what
        run.journal.write_bytes(journal)


def test_a_finished_run_is_read_where_nobody_may_write(run):
    """The journal keeps a write-ahead log, for whose readers SQLite would make a file."""
    change(run, "PRAGMA journal_mode = WAL")
    code = (
        "import os, sys, evolve.__main__, evolve.api, evolve.reporting.progress\n"
        "from evolve.commands.main import main\n"
        "os.geteuid() or os.seteuid(65534); main(['status', sys.argv[1]])"
    )
    with tempfile.TemporaryDirectory() as place:  # which others than root may enter
        shutil.copytree(run.path, f"{place}/run")
        for path in (Path(place), *Path(place).rglob("*")):
            path.chmod(0o555)
        command = [sys.executable, "-c", code, f"{place}/run"]
        done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "60 candidates" in done.stdout) == (0, True), done.stderr
