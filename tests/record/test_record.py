"""The record: what is written is what was decided, a resume cannot change it, and damage to it is
found.

What holds when drivers and workers are killed, on full disks and after signals: `tests/promises/`.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import shutil
import signal
import sqlite3
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import endurance
from promises import runs
from promises.runs import ended, recorded, run_folder, wait_for_rows

from evolve.config.presets import load_config
from evolve.config.yaml import read_yaml, write_yaml
from evolve.files import replace_file
from evolve.record.errors import JournalError
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.lock import Lock, RunIsLive, is_held
from evolve.record.rows import Row
from evolve.record.status import status
from evolve.running.facts import Plan
from evolve.running.life import execute
from evolve.scoring.job import WORST, Job, Outcome
from evolve.scoring.wire import canonical, decode_job, decode_outcome, encode_job, encode_outcome

CANDIDATES = 400


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("record")
    runs.prepare(folder)
    return folder


@pytest.fixture(scope="module")
def evolve(place):
    """Start a command in the background."""
    started = []

    def start(*args: object) -> subprocess.Popen:
        started.append(runs.start(place, *args))
        return started[-1]

    with runs.none_ignored():
        yield start
    for process in started:
        with contextlib.suppress(OSError):
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def straight(place, evolve) -> list[tuple]:
    """The rows of the run that nothing disturbs, scored in the driver's own process."""
    budget = f"budget.candidates={CANDIDATES}"
    code, out, err = ended(
        evolve("run", f"{runs.NAME}.yaml", "--set", budget, "--output", "straight")
    )
    assert code == 0, err
    rows = recorded(place / out.splitlines()[-1])
    assert len(rows) == CANDIDATES
    return rows


@pytest.mark.slow
def test_scoring_in_the_process_of_the_tests_gives_the_same_chain(place, straight):
    """Without the cache of compiled loops, and under strict promotion: neither changes a bit."""
    plan = Plan.of(load_config(str(place / "tiny.yaml"), ("budget.candidates=300",)))
    config = plan.config
    folder = RunFolder.create(place / "here", config, config.model_dump(mode="json"), plan.inputs)
    result = execute(folder, plan)
    assert recorded(folder.path) == straight[:300]
    assert result.chain == straight[299][-1].hex()
    assert status(folder)["state"] == "finished"

    before = recorded(folder.path)  # a finished run resumes to the same end
    assert execute(folder, plan).chain == result.chain
    assert recorded(folder.path) == before

    longer = config.model_copy(
        update={"budget": config.budget.model_copy(update={"candidates": 320})}
    )
    execute(folder, Plan.from_folder(folder, longer))
    assert recorded(folder.path) == straight[:320]


# --- what may change over a resume ----------------------------------------------------------------


@pytest.fixture
def finished(place, evolve, straight, tmp_path) -> Path:
    """A copy of a run that has ended."""
    folder = run_folder(place / "straight")
    return Path(shutil.copytree(folder, tmp_path / folder.name))


def test_search_and_scoring_of_a_run_cannot_change(finished, invoke):
    for changed in (
        "search.population=50",
        "scoring.seeds=3",
        "seed=1",
        "confirm.seeds=3",
        "suite=smoke",
    ):
        code, err = invoke("resume", finished, "--set", changed)
        assert code == 2, err
        assert (
            "only the budget and the workers of a run can change, so that it stays one run" in err
        )


def test_a_run_that_is_stopped_keeps_the_budget_of_this_life_in_the_command_to_go_on(
    finished, evolve, straight
):
    budget = f"budget.candidates={10 * CANDIDATES}"
    process = evolve("resume", finished, "--set", budget, "--workers", "inline")
    wait_for_rows(process, finished.parent, CANDIDATES)
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert code == 130
    assert f"  evolve resume {finished} --set {budget}\n" in err
    assert out.splitlines()[-1] == str(finished)
    rows, found = recorded(finished), status(RunFolder(finished))
    assert rows[:CANDIDATES] == straight
    assert (found["state"], found["candidates"]) == ("stopped", len(rows))
    assert found["hash_chain"] == rows[-1][-1].hex()
    assert found["best"]["candidate"] >= 0, "the hall of fame is written when a run is stopped"


def test_a_config_that_was_changed_by_hand_is_noticed(finished, invoke):
    path = finished / "config.resolved.yaml"
    given = read_yaml(path.read_bytes(), "here")
    given["scoring"]["select_seeds"] = 3
    path.write_text(write_yaml(given))
    code, err = invoke("resume", finished)
    assert code == 2
    assert "config.resolved.yaml was changed after the run began" in err


def test_another_machine_is_refused_unless_asked_for_and_then_recorded(finished, invoke):
    with contextlib.closing(Journal(finished / "journal.sqlite")) as journal:
        machine = journal.get("machine")
        journal.put([], machine=machine | {"jax": "0.0.1"})
    code, err = invoke("resume", finished)
    assert code == 2
    assert f"jax: '0.0.1' → {machine['jax']!r}" in err
    assert "--allow-different-machine" in err
    code, err = invoke("resume", finished, "--allow-different-machine")
    assert code == 0, err
    with contextlib.closing(Journal(finished / "journal.sqlite")) as journal:
        assert journal.get("machine") == machine
        assert [m["jax"] for m in journal.get("machines")] == ["0.0.1", machine["jax"]]


def test_a_program_that_is_bred_otherwise_than_recorded_is_refused(finished, invoke):
    """The chain is sound here, as it would be had another version made it."""
    with contextlib.closing(sqlite3.connect(finished / "journal.sqlite")) as db:
        (program,) = db.execute("SELECT program FROM candidate WHERE number = 40").fetchone()
        db.execute(
            "UPDATE candidate SET program = ? WHERE number = 40", (program.replace("g", "w", 1),)
        )
        db.commit()
    rechain(finished / "journal.sqlite")
    code, err = invoke("resume", finished)
    assert code == 1
    assert "candidate 40 comes out as another program than the one recorded" in err


def rechain(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        previous = bytes(32)
        for values in db.execute("SELECT * FROM candidate ORDER BY number").fetchall():
            previous = Row(*values).linked(previous)
            db.execute("UPDATE candidate SET chain = ? WHERE number = ?", (previous, values[0]))
        db.commit()


@pytest.fixture
def invoke():
    """A command in this process: exit code and standard error."""
    from click.testing import CliRunner

    from evolve.commands.main import main

    def call(*args: object) -> tuple[int, str]:
        result = CliRunner().invoke(main, [str(a) for a in args])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result.exit_code, result.stderr

    return call


# --- the journal ----------------------------------------------------------------------------------

ODD = ((WORST, -0.0, 0.1), (5e-324, 1.7976931348623157e308, 1 / 3), (0.0, float("inf"), -1e-300))


def rows(number: int = 12) -> list[Row]:
    made, previous = [], bytes(32)
    for n in range(number):
        scored = n % 3 == 0
        row = Row(
            number=n, phase=n // 5, parent=n - 1 if n else None, mutation="insert",
            program=f"u = g * {n}.0", key=f"{n:032x}", status="ok" if scored else "cached",
            reason="", same_as=None if scored else n - n % 3,
            outcome=canonical(encode_outcome(Outcome("ok", ODD, ODD[:1]))) if scored else None,
            score=WORST if n == 3 else -0.0, seconds=0.5, detail="words", chain=b"",
        )  # fmt: skip
        previous = row.linked(previous)
        made.append(replace(row, chain=previous))
    return made


@pytest.fixture
def journal(tmp_path):
    with contextlib.closing(Journal(tmp_path / "journal.sqlite")) as opened:
        opened.put(rows(), status="stopped")
        yield opened


def test_rows_come_back_as_they_were_with_every_bit_of_the_scores(journal, tmp_path):
    with contextlib.closing(Journal(tmp_path / "journal.sqlite", read_only=True)) as again:
        assert list(again.rows()) == rows()
        restored = again.rows().__next__().restored()
        assert [v.hex() for row in restored.scores for v in row] == [
            v.hex() for row in ODD for v in row
        ]
        assert list(again.rows(5)) == rows()[5:]
        assert again.get("status") == "stopped"
        assert again.get("elapsed", 7) == 7


def test_outcomes_and_jobs_cross_the_wire_with_every_bit():
    outcome = Outcome("ok", ODD, ODD, 1.0, "words")
    said = json.loads(canonical(encode_outcome(outcome)))
    assert str(decode_outcome(said)) == str(replace(outcome, seconds=0.0, detail=""))
    job = Job(
        "u", ("a", "b"), hurdle=WORST, select=("c",), bar=float("inf"), part="test", known="lion"
    )
    assert decode_job(json.loads(json.dumps(encode_job(job)))) == job
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))


DECIDED = (
    "phase",
    "parent",
    "mutation",
    "program",
    "key",
    "status",
    "reason",
    "same_as",
    "outcome",
    "chain",
)


@pytest.mark.parametrize("column", ["number", *DECIDED])
def test_a_changed_byte_is_found_and_its_row_is_named(journal, column):
    for number in (0, 6, 11):
        found = journal.db.execute(
            f"SELECT {column} FROM candidate WHERE number = ?", (number,)
        ).fetchone()[0]
        changed = {
            int: lambda v: v + 100,
            str: lambda v: v + " ",
            bytes: lambda v: bytes([v[0] ^ 1]) + v[1:],
        }
        new = changed.get(type(found), lambda v: 1)(found)
        journal.db.execute(f"UPDATE candidate SET {column} = ? WHERE number = ?", (new, number))
        if not (
            column == "number" and number == 11
        ):  # a last row that is missing is scored again, not damage
            with pytest.raises(
                JournalError, match=rf"row {number} is damaged: its hash does not follow"
            ):
                list(journal.rows())
        at = new if column == "number" else number
        journal.db.execute(f"UPDATE candidate SET {column} = ? WHERE number = ?", (found, at))
    assert list(journal.rows()) == rows()


@pytest.mark.parametrize("value", ["CAST(x'ff' AS TEXT)", "x'00ff'", "1e999"])
def test_bytes_that_are_no_text_are_found_too(journal, value):
    journal.db.execute(f"UPDATE candidate SET program = {value} WHERE number = 7")
    with pytest.raises(JournalError, match=r"row 7 is damaged: "):
        list(journal.rows())


def test_a_file_with_flipped_bytes_is_refused_or_says_what_it_said(journal, tmp_path):
    """Anywhere in the file; what is not covered by the chain (seconds, words, free pages) decides
    nothing.
    """
    journal.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal.close()
    sound = (tmp_path / "journal.sqlite").read_bytes()
    rng = random.Random(0)
    refused = 0
    for n in range(150):
        broken = bytearray(sound)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        path = tmp_path / f"broken{n}" / "journal.sqlite"
        path.parent.mkdir()
        path.write_bytes(broken)
        try:
            with contextlib.closing(Journal(path)) as opened:
                said = [r.decided() for r in opened.rows()]
        except JournalError:
            refused += 1
        else:
            assert said == [r.decided() for r in rows()[: len(said)]]
    assert refused > 10


def test_facts_and_rows_are_written_together_or_not_at_all(journal):
    with pytest.raises(JournalError, match="cannot be written: UNIQUE"):
        journal.put(rows()[:1], status="changed")
    assert journal.get("status") == "stopped"
    assert journal.count() == 12


def test_a_full_database_says_so_and_keeps_what_it_has(journal):
    pages = journal.db.execute("PRAGMA page_count").fetchone()[0]
    journal.db.execute(f"PRAGMA max_page_count = {pages + 1}")
    many = [replace(r, number=r.number + 100, program="x" * 4000) for r in rows()]
    with pytest.raises(
        JournalError, match=r"is full. What was recorded before is intact; free some space"
    ):
        journal.put(many)
    assert list(journal.rows()) == rows()
    journal.db.execute("PRAGMA max_page_count = 100000")
    journal.put(many)


def test_what_is_no_journal_is_refused(tmp_path):
    (tmp_path / "journal.sqlite").write_text("a story " * 1000)
    with pytest.raises(JournalError, match="cannot be opened as a journal"):
        Journal(tmp_path / "journal.sqlite")


def test_the_lock_names_its_holder_and_is_free_again_when_released(tmp_path):
    path = tmp_path / "run.lock"
    lock = Lock(path)
    assert is_held(path)
    with pytest.raises(RunIsLive, match=rf"another driver \(pid {os.getpid()} on "):
        Lock(path)
    lock.release()
    text = path.read_text()
    assert not is_held(path)
    assert path.read_text() == text, "asking changes nothing"
    Lock(path).release()


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    replace_file(path, "1")
    replace_file(path, "2")
    assert path.read_text() == "2"
    assert list(tmp_path.iterdir()) == [path]


def test_the_benchmark_of_long_journals_works(monkeypatch):
    """And finds that the same candidates follow after few rows and after many."""
    monkeypatch.setattr(endurance, "FEW", 200)
    figures = {name: value for name, value, _ in endurance.endurance(600, blocks=1)}
    assert all(math.isfinite(value) and value > 0 for value in figures.values())
    assert {
        "candidate, many rows / few",
        "memory at its peak, many rows",
        "resume of many rows",
    } <= set(figures)
    assert figures["rows that were resumed"] == 1112
