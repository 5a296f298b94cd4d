"""The record: what is written is what was decided, and no kill, full disk or lost worker changes where a run ends.

One uninterrupted run gives the chain; every other run here must follow it, link by link.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from benchmarks import endurance

from evolve.config import load_config, read_yaml, write_yaml
from evolve.folder import RunFolder
from evolve.job import WORST, Job, Outcome
from evolve.journal import Journal, JournalError, Lock, Row, RunIsLive, is_held, replace_file
from evolve.run import execute, resolve
from evolve.status import status
from evolve.wire import canonical, decode_job, decode_outcome, encode_job, encode_outcome

CANDIDATES = 1500
# The command, with checkpoints so close to each other that short runs have many.
OFTEN = "import evolve.cli, evolve.drive; evolve.drive.EVERY = 64; evolve.drive.BRED_AGAIN = 16; evolve.cli.main()"
EVOLVE = [sys.executable, "-c", OFTEN]
CONFIG = """
name: tiny
suite: [{kind: noisy_quadratic, dim: 32, steps: 60}]
search: {initial: [adamw], population: 20, tournament: 3, lag: 32, max_statements: 20, repeats: 2, phase: 400}
budget: {candidates: 1500}
scoring: {seeds: 6, select_seeds: 4, hall_of_fame: 4, hurdle_percentile: 0}
confirm: {seeds: 2, finalists: 1, baselines: [adamw]}
workers: {kind: inline}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("record")
    (folder / "tiny.yaml").write_text(CONFIG)
    return folder


@pytest.fixture(scope="module")
def evolve(place):
    """Start a command in the background, with a cache of compiled loops: starting is most of these tests."""
    env = os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(place / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "PYTHONWARNINGS": "",
    }
    started = []

    def start(*args: object) -> subprocess.Popen:
        process = subprocess.Popen(
            [*EVOLVE, *map(str, args)], cwd=place, env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(OSError):
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that ends by itself."""
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return process.returncode, out, err


@pytest.fixture(scope="module")
def straight(place, evolve) -> list[tuple]:
    """The rows of the run that nothing disturbs, scored in the driver's own process."""
    code, out, err = ended(evolve("run", "tiny.yaml", "--output", "straight"))
    assert code == 0, err
    rows = recorded(place / out.splitlines()[-1])
    assert len(rows) == CANDIDATES
    return rows


def recorded(folder: Path) -> list[tuple]:
    """What is on the disk: all that was decided, and the chain."""
    path = folder / "journal.sqlite"
    if not path.is_file():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        try:
            return db.execute(
                "SELECT number, phase, parent, mutation, program, key, status, reason, same_as, outcome, score, chain "
                "FROM candidate ORDER BY number"
            ).fetchall()
        except sqlite3.OperationalError:  # before the schema is there
            return []


def count(folder: Path | None) -> int:
    if folder is None or not (folder / "journal.sqlite").is_file():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{folder / 'journal.sqlite'}?mode=ro", uri=True)) as db:
        try:
            return db.execute("SELECT COUNT(*) FROM candidate").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def run_folder(root: Path) -> Path | None:
    found = list(root.glob("tiny-*")) if root.is_dir() else []
    return found[0] if found else None


def wait_for_rows(process: subprocess.Popen, root: Path, more_than: int) -> Path:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        folder = run_folder(root)
        if count(folder) > more_than:
            return folder
        time.sleep(0.01)
    raise AssertionError(f"no more rows; the command ended with {process.poll()}: {process.communicate()}")


def workers_of(driver: int) -> list[int]:
    """Process ids of the workers that serve a driver."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"evolve.serve" in words and str(driver).encode() in words:
                    found.append(int(entry.name))
    return found


def assert_nobody_serves(drivers: list[int]) -> None:
    deadline = time.monotonic() + 3
    while any(workers_of(d) for d in drivers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [workers_of(d) for d in drivers] == [[]] * len(drivers)


linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

# --- kills -----------------------------------------------------------------------------------------


@linux
def test_a_run_killed_at_twenty_random_moments_ends_in_the_chain_of_the_undisturbed_run(
    place, evolve, straight, record_property
):
    """Early kills fall into start-up and replay, late ones wait until something new has been recorded."""
    rng = random.Random(20)
    root = place / "killed"
    kills = while_scoring = 0
    before: list[tuple] = []
    drivers = []
    plan = [("late", "inline")] * 9 + [("late", "2")] * 3 + [("early", "inline")] * 6 + [("early", "2")] * 2
    rng.shuffle(plan)
    for moment, kind in plan:
        folder = run_folder(root)
        begin = ["run", "tiny.yaml", "--output", root] if folder is None else ["resume", folder]
        process = evolve(*begin, "--workers", kind)
        drivers.append(process.pid)
        if moment == "late":
            wait_for_rows(process, root, len(before))
            time.sleep(rng.uniform(0.0, 0.1))
        else:
            time.sleep(rng.uniform(0.05, 1.6))
        assert process.poll() is None, f"the run ended before it could be killed: {process.communicate()}"
        process.kill()
        process.wait()
        kills += 1
        folder = run_folder(root)
        after = recorded(folder) if folder else []
        assert after[: len(before)] == before, "what was recorded is neither lost nor changed"
        assert after == straight[: len(after)]
        while_scoring += len(before) < len(after) < CANDIDATES
        before = after
    folder = run_folder(root)
    code, out, err = ended(evolve("resume", folder))
    assert code == 0, err
    assert out.splitlines()[-1] == str(folder)
    assert re.search("replaying candidates [1-9]", err), "the last resume began at a checkpoint"
    assert recorded(folder) == straight
    assert json.loads((folder / "summary.json").read_text())["chain"] == straight[-1][-1].hex()
    assert_nobody_serves(drivers)
    record_property("kills", kills)
    record_property("while_scoring", while_scoring)
    print(f"{kills} kills, {while_scoring} while candidates were being scored")
    assert kills == 20
    assert while_scoring >= 10


@linux
def test_stopping_saves_says_how_to_go_on_and_goes_on_to_the_same_chain(place, evolve, straight, invoke):
    root = place / "stopped"
    process = evolve("run", "tiny.yaml", "--output", root, "--workers", "2")
    folder = wait_for_rows(process, root, 0)

    process.send_signal(signal.SIGSTOP)  # so that it does not end while we look at it
    code, err = invoke("resume", folder)
    assert code == 2
    assert f"is being run by another driver (pid {process.pid} on" in err
    assert status(RunFolder(folder))["state"] == "running"

    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    code, out, err = ended(process)
    assert code == 143
    assert f"  evolve resume {folder}\n" in err
    assert out.splitlines()[-1] == str(folder)
    assert_nobody_serves([process.pid])
    rows = recorded(folder)
    assert 0 < len(rows) < CANDIDATES
    assert rows == straight[: len(rows)]
    found = status(RunFolder(folder))
    assert found["state"] == "stopped"
    assert found["candidates"] == len(rows)
    assert found["best"] is not None, "the hall of fame is written when a run is stopped"
    assert found["hash_chain"] == rows[-1][-1].hex()

    budget = f"budget.candidates={len(rows) + 300}"
    process = evolve("resume", folder, "--set", budget, "--workers", "inline")
    wait_for_rows(process, root, len(rows))
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert code == 130
    assert f"  evolve resume {folder} --set {budget}\n" in err, "the budget of this life is not lost"

    code, out, err = ended(evolve("resume", folder, "--set", budget, "--workers", "inline"))
    assert code == 0, err
    assert recorded(folder) == straight[: len(rows) + 300]
    assert status(RunFolder(folder))["state"] == "finished"


@linux
def test_workers_that_are_killed_are_replaced_and_nothing_else_changes(place, evolve, straight):
    root = place / "shot"
    process = evolve("run", "tiny.yaml", "--output", root, "--workers", "2", "--set", "budget.candidates=700")
    seen = 0
    for _ in range(2):
        folder = wait_for_rows(process, root, seen)
        seen = count(folder)
        os.kill(workers_of(process.pid)[0], signal.SIGKILL)
    code, _, err = ended(process)
    assert code == 0, err
    assert seen < 700
    assert recorded(folder) == straight[:700]
    assert_nobody_serves([process.pid])


def test_one_local_worker_gives_the_chain_of_the_inline_run(place, evolve, straight):
    code, out, err = ended(
        evolve("run", "tiny.yaml", "--output", "one", "--workers", 1, "--set", "budget.candidates=300")
    )
    assert code == 0, err
    assert recorded(place / out.splitlines()[-1]) == straight[:300]


def test_scoring_in_the_process_of_the_tests_gives_the_same_chain(place, straight):
    """Without the cache of compiled loops, and under strict promotion: neither changes a bit."""
    config, inputs = resolve(load_config(str(place / "tiny.yaml"), ("budget.candidates=300",)))
    folder = RunFolder.create(place / "here", config, config.model_dump(mode="json"), inputs)
    result = execute(folder, config, lambda line: None)
    assert recorded(folder.path) == straight[:300]
    assert result.chain == straight[299][-1].hex()
    assert status(folder)["state"] == "finished"

    before = recorded(folder.path)  # a finished run resumes to the same end
    assert execute(folder, config, lambda line: None).chain == result.chain
    assert recorded(folder.path) == before

    longer = config.model_copy(update={"budget": config.budget.model_copy(update={"candidates": 320})})
    execute(folder, longer, lambda line: None)
    assert recorded(folder.path) == straight[:320]


# --- disks -----------------------------------------------------------------------------------------


@linux
def test_a_disk_that_is_full_ends_the_run_with_a_clear_message_and_costs_no_row(place, evolve, straight):
    """A limit on the size of files stands for the disk: no root is needed for it."""
    root = place / "full"
    process = evolve("run", "tiny.yaml", "--output", root)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (600_000, 600_000))
    code, _, err = ended(process)
    folder = run_folder(root)
    assert code == 1
    last = err.splitlines()[-1]
    assert f"{folder / 'journal.sqlite'}: cannot be written:" in last
    assert "What was recorded before is intact; " in last
    assert last.endswith(", then resume.")
    rows = recorded(folder)
    assert 0 < len(rows) < CANDIDATES
    assert rows == straight[: len(rows)]

    code, _, err = ended(evolve("resume", folder, "--set", f"budget.candidates={len(rows) + 50}"))
    assert code == 0, err
    assert recorded(folder) == straight[: len(rows) + 50]


@pytest.mark.skipif(not shutil.which("mount") or os.geteuid() != 0, reason="needs a file system of its own")
def test_on_a_full_file_system_the_remedy_is_to_free_space(place, evolve, straight):
    root = place / "small"
    root.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=900k", "none", root], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        code, _, err = ended(evolve("run", "tiny.yaml", "--output", root))
        folder = run_folder(root)
        assert code == 1
        assert "full" in err.splitlines()[-1] or "No space left" in err.splitlines()[-1]
        rows = recorded(folder)
        assert rows == straight[: len(rows)]
        subprocess.run(["mount", "-o", "remount,size=8m", root], check=True)
        code, _, err = ended(evolve("resume", folder, "--set", f"budget.candidates={len(rows) + 50}"))
        assert code == 0, err
        assert recorded(folder) == straight[: len(rows) + 50]

        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        code, _, err = ended(evolve("resume", folder))
        assert code == 1
        assert "Read-only file system" in err
        assert status(RunFolder(folder))["candidates"] == len(rows) + 50, "reading needs no right to write"
        code, _, err = ended(evolve("run", "tiny.yaml", "--output", root))
        assert code == 2
        assert "cannot be written: Read-only file system. Choose another folder with --output." in err
    finally:
        subprocess.run(["umount", "-l", root], check=True)


# --- what may change over a resume -----------------------------------------------------------------


@pytest.fixture
def finished(place, evolve, straight, tmp_path) -> Path:
    """A copy of a run that has ended."""
    folder = run_folder(place / "straight")
    return Path(shutil.copytree(folder, tmp_path / folder.name))


def test_search_and_scoring_of_a_run_cannot_change(finished, invoke):
    for changed in ("search.population=50", "scoring.seeds=3", "seed=1", "confirm.seeds=3", "suite=smoke"):
        code, err = invoke("resume", finished, "--set", changed)
        assert code == 2, err
        assert "only the budget and the workers of a run can change, so that it stays one run" in err


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
        db.execute("UPDATE candidate SET program = ? WHERE number = 40", (program.replace("g", "w", 1),))
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

    from evolve.cli import main

    def call(*args: object) -> tuple[int, str]:
        result = CliRunner().invoke(main, [str(a) for a in args])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result.exit_code, result.stderr

    return call


# --- the journal -----------------------------------------------------------------------------------

ODD = ((WORST, -0.0, 0.1), (5e-324, 1.7976931348623157e308, 1 / 3), (0.0, float("inf"), -1e-300))


def rows(number: int = 12) -> list[Row]:
    made, previous = [], bytes(32)
    for n in range(number):
        scored = n % 3 == 0
        row = Row(
            number=n, phase=n // 5, parent=n - 1 if n else None, mutation="insert", program=f"u = g * {n}.0",
            key=f"{n:032x}", status="ok" if scored else "cached", reason="", same_as=None if scored else n - n % 3,
            outcome=canonical(encode_outcome(Outcome("ok", ODD, ODD[:1]))) if scored else None,
            score=WORST if n == 3 else -0.0, seconds=0.5, detail="words", chain=b"",
        )  # fmt: skip
        previous = row.linked(previous)
        made.append(replace(row, chain=previous))
    return made


@pytest.fixture
def journal(tmp_path):
    with contextlib.closing(Journal(tmp_path / "journal.sqlite")) as opened:
        opened.put(rows(), status="running")
        yield opened


def test_rows_come_back_as_they_were_with_every_bit_of_the_scores(journal, tmp_path):
    with contextlib.closing(Journal(tmp_path / "journal.sqlite", read_only=True)) as again:
        assert list(again.rows()) == rows()
        restored = again.rows().__next__().restored()
        assert [v.hex() for row in restored.scores for v in row] == [v.hex() for row in ODD for v in row]
        assert list(again.rows(5)) == rows()[5:]
        assert again.get("status") == "running"
        assert again.get("nothing", 7) == 7


def test_outcomes_and_jobs_cross_the_wire_with_every_bit():
    outcome = Outcome("ok", ODD, ODD, 1.0, "words")
    said = json.loads(canonical(encode_outcome(outcome)))
    assert str(decode_outcome(said)) == str(replace(outcome, seconds=0.0, detail=""))
    job = Job("u", ("a", "b"), hurdle=WORST, select=("c",), bar=float("inf"), part="test", known="lion")
    assert decode_job(json.loads(json.dumps(encode_job(job)))) == job
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical(float("nan"))


DECIDED = ("phase", "parent", "mutation", "program", "key", "status", "reason", "same_as", "outcome", "chain")


@pytest.mark.parametrize("column", ["number", *DECIDED])
def test_a_changed_byte_is_found_and_its_row_is_named(journal, column):
    for number in (0, 6, 11):
        found = journal.db.execute(f"SELECT {column} FROM candidate WHERE number = ?", (number,)).fetchone()[0]
        changed = {int: lambda v: v + 100, str: lambda v: v + " ", bytes: lambda v: bytes([v[0] ^ 1]) + v[1:]}
        new = changed.get(type(found), lambda v: 1)(found)
        journal.db.execute(f"UPDATE candidate SET {column} = ? WHERE number = ?", (new, number))
        if not (column == "number" and number == 11):  # a last row that is missing is scored again, not damage
            with pytest.raises(JournalError, match=rf"row {number} is damaged: its hash does not follow"):
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
    """Anywhere in the file; what is not covered by the chain (seconds, words, free pages) decides nothing."""
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
    assert refused > 15


def test_facts_and_rows_are_written_together_or_not_at_all(journal):
    with pytest.raises(JournalError, match="cannot be written: UNIQUE"):
        journal.put(rows()[:1], status="changed")
    assert journal.get("status") == "running"
    assert journal.count() == 12


def test_a_full_database_says_so_and_keeps_what_it_has(journal):
    pages = journal.db.execute("PRAGMA page_count").fetchone()[0]
    journal.db.execute(f"PRAGMA max_page_count = {pages + 1}")
    many = [replace(r, number=r.number + 100, program="x" * 4000) for r in rows()]
    with pytest.raises(JournalError, match=r"is full. What was recorded before is intact; free some space"):
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
    assert {"candidate, many rows / few", "memory at its peak, many rows", "resume of many rows"} <= set(figures)
    assert figures["rows that were resumed"] == 1112
