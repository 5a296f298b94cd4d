"""The command line under observation: what a driver is given and told is written down, and it can
die at a named point.

One life is asked for as JSON in the first argument. Without one, lives are asked for on standard
input, a line each: each is forked from this process, which has imported everything and has started
nothing of jax, and a life that costs no import can be ended often. A line then says its process id,
and another one its exit code.

    args    of `evolve`
    place   the folder to start it in
    log     a file for what it does; optional
    dies    "point:n": ends itself with SIGKILL when it comes to this point for the n-th time;
            optional
    changed constants of modules that are others for this life, such as
            {"evolve.running.drive.ROWS": 1}; optional
    output  a file for what it prints, which is added to it; for those that are forked

Points: before BEGIN, before COMMIT, after COMMIT, half of F, F written and F renamed for every file
F that is replaced whole, tables, workers start, workers are ready, replaying, confirming.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sqlite3
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import evolve.commands.main  # first: it sets what jax reads when it is imported
import evolve.record.status
import evolve.reporting.tables
import evolve.running.confirmation
import evolve.running.drive
import evolve.running.life
import evolve.running.listeners
from evolve.record.journal import Journal

# Checkpoints, commits and exports so close to each other that a short run has many.
CLOSER = {
    "evolve.running.drive.EVERY": 64,
    "evolve.running.drive.BRED_AGAIN": 16,
    "evolve.running.drive.ROWS": 16,
    "evolve.running.listeners.REWRITE": 0.05,
}


class Log:
    """What a driver does, line by line: written at once, so that a kill loses nothing of it."""

    def __init__(self, path: str, dies: str):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.point, _, count = dies.rpartition(":")
        self.left = int(count or 0)

    def say(self, *words: object) -> None:
        os.write(self.file, (" ".join(map(str, words)) + "\n").encode())

    def reach(self, point: str) -> None:
        """Die here, if this is the point and the time."""
        if self.comes_to(point):
            self.die()

    def comes_to(self, point: str) -> bool:
        self.left -= point == self.point
        return point == self.point and self.left == 0

    def die(self) -> None:
        self.say("dies")
        os.kill(os.getpid(), signal.SIGKILL)


class Executor:
    """Tells what an executor is given, that it is waited for, and what is heard from it."""

    def __init__(self, executor: Any, log: Log):
        self.executor, self.log, self.confirming = executor, log, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.executor, name)

    def ready(self, *args: Any) -> dict[str, Any]:
        self.log.reach("workers start")
        machine = self.executor.ready(*args)
        self.log.reach("workers are ready")
        return machine

    def submit(self, number: int, *args: Any) -> None:
        self.log.say("given", number)
        self.executor.submit(number, *args)

    def arrivals(self, *args: Any) -> list[tuple[int, Any]]:
        self.log.say("waits")
        found = self.executor.arrivals(*args)
        self.log.say("heard", *(number for number, _ in found))
        if self.confirming and found:
            self.log.reach("confirming")
        return found


def observe(log: Log) -> None:
    """Put the log between the driver and what it uses."""

    class Connection(sqlite3.Connection):
        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            word = statement.split()[0]
            if word in ("BEGIN", "COMMIT"):
                log.reach(f"before {word}")
            found = super().execute(statement, *values)
            if word == "COMMIT":
                log.reach("after COMMIT")
            return found

        def executescript(self, script: str) -> sqlite3.Cursor:
            log.reach("tables")
            return super().executescript(script)

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)

    def put(put, journal, *args, **facts):
        put(journal, *args, **facts)
        log.say("acknowledged", journal.count())

    def make_executor(make, *args, **options):
        return Executor(make(*args, **options), log)

    def confirm(confirm, executor, *args, **options):
        log.say("confirms")
        executor.confirming = True
        return confirm(executor, *args, **options)

    def check(check, driver, *args):
        log.reach("replaying")
        check(driver, *args)

    name = ""  # of the file that is being replaced

    def fsync(fsync, file):
        """`replace_file` syncs the new file when it is written, and the folder when it is
        renamed.
        """
        nonlocal name
        if stat.S_ISDIR(os.fstat(file).st_mode):
            fsync(file)
            log.reach(f"{name} renamed")
            return
        name = Path(os.readlink(f"/proc/self/fd/{file}")).name.removesuffix(".new")
        if log.comes_to(f"half of {name}"):
            os.ftruncate(file, os.fstat(file).st_size // 2)  # as if it had got no further
            log.die()
        fsync(file)
        log.reach(f"{name} written")

    around(Journal, put)
    around(evolve.running.drive.Driver, check)
    around(evolve.running.life, make_executor)
    around(evolve.running.confirmation, confirm)
    around(os, fsync)


def around(owner: Any, wrapper: Callable[..., Any]) -> None:
    """Put a function around the one of its name; it gets that one as its first argument."""
    inner = getattr(owner, wrapper.__name__)
    setattr(owner, wrapper.__name__, lambda *args, **options: wrapper(inner, *args, **options))


def live(asked: dict[str, Any]) -> None:
    """One life. Leaves with `SystemExit`, or not at all."""
    for place, value in (CLOSER | asked.get("changed", {})).items():
        module, _, name = place.rpartition(".")
        assert hasattr(sys.modules[module], name), f"there is no {place} any more"
        setattr(sys.modules[module], name, value)
    os.chdir(asked["place"])
    if asked.get("log"):
        observe(Log(asked["log"], asked.get("dies") or ""))
    sys.argv = ["evolve", *asked["args"]]
    evolve.commands.main.main()


def serve() -> None:
    """Lives that are forked, one at a time, until the input ends."""
    import scipy.stats  # noqa: F401  a driver would import it when it is first needed

    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            for number, path in enumerate((os.devnull, asked["output"], asked["output"])):
                os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), number)
            live(asked)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    live(json.loads(sys.argv[1])) if sys.argv[1:] else serve()
