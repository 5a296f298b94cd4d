"""Runs of the command line in processes of their own, and what they leave behind: rows, files,
processes.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import yaml

from evolve.interrupt import STOPPING
from primitives import load

DRIVEN = [sys.executable, "-P", str(Path(__file__).with_name("driven.py"))]
NAME = "tiny"
CONFIG = """
name: tiny
suite: [{kind: noisy_quadratic, dim: 32, steps: 60}]
search: {initial: [adamw], population: 20, tournament: 3, lag: 32, max_statements: 20, repeats: 2,
  phase: 400}
budget: {candidates: 1500}
scoring: {seeds: 6, select_seeds: 4, hall_of_fame: 4, hurdle_percentile: 0}
confirm: {seeds: 2, finalists: 1, baselines: [adamw]}
workers: {kind: inline}
"""
PATIENCE = 300.0  # seconds for what takes a few on a quiet machine

Rows = list[tuple]


def prepare(place: Path) -> None:
    """Put the config of a small search into a folder, from which its runs are then started: `run
    tiny.yaml`.
    """
    (place / f"{NAME}.yaml").write_text(CONFIG)


def environment(place: Path) -> dict[str, str]:
    """With a cache of compiled loops, that of the suite if there is one: compiling would be most of
    the time of a short run.
    """
    return (
        {"JAX_COMPILATION_CACHE_DIR": str(place / "compiled")}
        | os.environ
        | {
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "PYTHONWARNINGS": "",
        }
    )


def start(place: Path, *args: object, **asked: Any) -> subprocess.Popen[str]:
    """A command, in the background.

    asked: as `driven.py` says; without an `output`, both outputs are pipes.
    """
    asked |= {"args": list(map(str, args)), "place": str(place)}
    with contextlib.ExitStack() as opened:
        out = err = subprocess.PIPE
        if "output" in asked:
            out, err = opened.enter_context(open(asked["output"], "ab")), subprocess.STDOUT
        return subprocess.Popen(
            [*DRIVEN, json.dumps(asked)], env=environment(place), text=True,
            stdin=subprocess.DEVNULL, stdout=out, stderr=err,
        )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a command that ends by itself."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert "Traceback" not in err, err
    return process.returncode, out, err


class Command(Protocol):
    """One that was started in the background."""

    pid: int

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int: ...


class Nursery:
    """A process that has imported everything and forks commands, one at a time: each starts at
    once.
    """

    def __init__(self, place: Path, output: Path):
        """output: a file for what the commands print."""
        self.place, self.output = place, output
        self.last: Forked | None = None
        self.process = subprocess.Popen(
            DRIVEN,
            bufsize=0,
            cwd=place,
            env=environment(place),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, *args: object, **asked: Any) -> Forked:
        asked |= {
            "args": list(map(str, args)),
            "place": str(self.place),
            "output": str(self.output),
        }
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        self.last = Forked(self.process.stdout)
        return self.last

    def last_words(self) -> str:
        return self.output.read_text(errors="replace")[-2000:] if self.output.exists() else ""

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *fault: object) -> None:
        if self.last is not None:
            self.last.kill()  # where a test ends before its command
        self.process.stdin.close()
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class Forked:
    """A command of a nursery, which says its exit code when it has ended."""

    def __init__(self, said: Any):
        self.said = said
        self.pid = int(said.readline())
        self.returncode: int | None = None

    def poll(self) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def kill(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, 9)

    def wait(self, timeout: float | None = PATIENCE) -> int:
        if self.returncode is None:
            if not select.select([self.said], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a forked command", timeout or 0.0)
            self.returncode = int(self.said.readline())
        return self.returncode


def wait_until(true: Callable[[], Any], process: Command, what: str, pause: float = 0.01) -> Any:
    """What `true` returns, as soon as that is true, while a command is running."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert process.poll() is None, f"the command ended with {process.poll()} before: {what}"
        assert time.monotonic() < deadline, f"nothing of it in {PATIENCE:.0f} s: {what}"
        time.sleep(pause)
    return found


def wait_for_rows(process: Command, root: Path, more_than: int) -> Path:
    """The folder of the run, as soon as it has more rows than that."""
    wait_until(lambda: count(run_folder(root)) > more_than, process, f"more than {more_than} rows")
    return run_folder(root)


@contextlib.contextmanager
def none_ignored() -> Iterator[None]:
    """What is started begins with the defaults, also where the tests run under `nohup` or in a
    script's background.
    """
    ignored = [number for number in STOPPING if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(
            number, lambda number, frame: None
        )  # which, unlike one that is ignored, is not inherited
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)


# --- what is on the disk --------------------------------------------------------------------------


def run_folder(root: Path) -> Path | None:
    """The folder of the one run that was begun in a folder."""
    found = list(root.glob(f"{NAME}-*")) if root.is_dir() else []
    assert len(found) <= 1, found
    return found[0] if found else None


def recorded(folder: Path | None) -> Rows:
    """All that was decided, and the chain; the chain comes last in each row."""
    return _asked(
        folder,
        "SELECT number, phase, parent, mutation, program, key, status, reason, same_as, outcome, "
        "score, chain "
        "FROM candidate ORDER BY number",
    )


def count(folder: Path | None) -> int:
    return sum(n for (n,) in _asked(folder, "SELECT COUNT(*) FROM candidate"))


def _asked(folder: Path | None, query: str) -> Rows:
    if folder is None or not (folder / "journal.sqlite").is_file():
        return []
    with contextlib.closing(
        sqlite3.connect(f"file:{folder / 'journal.sqlite'}?mode=ro", uri=True)
    ) as db:
        try:
            return db.execute(query).fetchall()
        except sqlite3.OperationalError as fault:
            if "no such table" not in str(fault):
                raise
            return []


EXPORTS = ("hall_of_fame.json", "summary.json", "best/program.py", "best/optax.py")


def assert_whole(folder: Path) -> None:
    """No file that has its name is half a file."""
    for path in folder.rglob("*"):
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".yaml":
            assert isinstance(yaml.safe_load(path.read_text()), dict), path
        elif path.name == "program.py":
            load(path)
        elif path.name == "optax.py":
            assert path.read_text().endswith("\n"), path
            ast.parse(path.read_text())


def assert_same_end(folder: Path, undisturbed: Path) -> None:
    """Chains, rows and exports of two runs that have ended are the same."""
    assert recorded(folder) == recorded(undisturbed), (
        f"{folder} has other rows than the run that nothing disturbed"
    )
    for name in EXPORTS:
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes(), (
            f"another {name} in {folder}"
        )


# --- processes ------------------------------------------------------------------------------------


def workers_of(driver: int) -> list[int]:
    """Process ids of the workers that serve a driver."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"evolve.workers.serve" in words and str(driver).encode() in words:
                    found.append(int(entry.name))
    return found


def left_behind(drivers: list[int], within: float = 3.0) -> list[int]:
    """Workers of drivers that have ended that are there after so many seconds still."""
    deadline = time.monotonic() + within
    while (found := [w for d in drivers for w in workers_of(d)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def assert_nobody_serves(drivers: list[int]) -> None:
    assert left_behind(drivers) == []
