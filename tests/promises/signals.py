"""Promise 8: a run that is told to stop saves, says how to go on, and is gone within ten seconds,
however it is told.

Two runs are stopped again and again, by every signal, at start-up, in the search and in the
confirmation, and go on each time: one scores in the driver's own process, the other in two workers.
A third is stopped inside a computation that never ends, a fourth in a session of Python that lives
on. All must end in the chain of the run that nobody disturbed.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import re
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from promises import runs

from evolve.interrupt import StopSignal

PROMISED = 10.0  # seconds from a signal to the end
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU)
EVOLVE = (sys.executable, "-m", "evolve.commands.main")
# A command whose 50th job is a computation without an end, inside XLA. {limit}: seconds until it is
# cut off.
ENDLESS = """
import itertools, time, jax, evolve.commands.main, evolve.interrupt, evolve.scoring.scorer
evolve.interrupt.LIMIT = {limit}
score, jobs = evolve.scoring.scorer.Scorer.try_to_score, itertools.count()
def stuck(self, job):
    number = next(jobs)
    if number == 40:
        time.sleep(0.5)  # until what came before is written
    if number == 50:
        print("stuck", flush=True)
        jax.lax.while_loop(lambda x: x < 2, jax.numpy.sin, jax.numpy.float32(1)).block_until_ready()
    return score(self, job)
evolve.scoring.scorer.Scorer.try_to_score = stuck
evolve.commands.main.main()
"""
# A session of Python as in a notebook: it keeps the last exception, with all that its frames hold.
SESSION = """
from evolve.environment import pin; pin()
from pathlib import Path
from evolve.config.presets import load_config
from evolve.record.folder import RunFolder
from evolve.running.facts import Plan
from evolve.running.life import execute
plan = Plan.of(load_config("tiny.yaml", ("workers.kind=local", "workers.count=1")))
folder = RunFolder.create(Path("session"), plan.config, {}, plan.inputs)
"""
# Gives a process the terminal on its standard input for its own, as a shell would.
TAKE = (
    f"import fcntl, os, sys; fcntl.ioctl(0, {termios.TIOCSCTTY}, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass
class Stage:
    """Where the lives are lived, and what they add up to."""

    place: Path
    straight: runs.Rows = field(default_factory=list)  # of the run that nobody disturbed
    sent: list[int] = field(default_factory=list)  # signals
    seconds: list[float] = field(default_factory=list)  # from a signal to the end
    same: list[str] = field(
        default_factory=list
    )  # runs that came to the end of the undisturbed one

    def start(self, *command: object, **streams: Any) -> Life:
        """A process of its own."""
        output = self.file()
        with output.open("wb") as file:
            options = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file} | streams
            process = subprocess.Popen(
                list(map(str, command)), cwd=self.place, env=runs.environment(self.place), **options
            )
        return Life(self, process, output)

    def fork(self, nursery: runs.Nursery, *words: object) -> Life:
        """One that need not import anything."""
        nursery.output = self.file()
        return Life(self, nursery.start(*words), nursery.output)

    def file(self) -> Path:
        path = self.place / f"{time.monotonic_ns()}.txt"
        path.touch()
        return path

    def processes(self) -> list[int]:
        """Those of this place that live: drivers, workers, and whatever else was started by
        them.
        """
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if f"={self.place}/compiled".encode() in (entry / "environ").read_bytes():
                        found.append(int(entry.name))
        return found


@dataclass
class Life:
    """One process that runs or resumes a run."""

    stage: Stage
    process: Any
    output: Path  # both streams

    def until(self, true: Callable[[], Any], what: str) -> None:
        try:
            runs.wait_until(true, self.process, what, 0.005)
        except AssertionError as fault:
            raise AssertionError(f"{fault}; it said: {self.said()}") from None

    def send(self, number: int) -> None:
        self.stage.sent.append(number)
        with contextlib.suppress(
            ProcessLookupError
        ):  # the one before has ended it: its exit code will tell
            os.kill(self.process.pid, number)

    def gone(self, number: int) -> float:
        """Seconds until a signal that was just sent has ended it."""
        began = time.monotonic()
        self.process.wait(runs.PATIENCE)
        seconds = time.monotonic() - began
        name = signal.Signals(number).name
        assert self.process.returncode == 128 + number, (
            f"{name}: {self.process.returncode}: {self.said()}"
        )
        assert seconds <= PROMISED, f"{name}: {seconds:.1f} s until it was gone"
        self.stage.seconds.append(seconds)
        return seconds

    def ended(self) -> None:
        """By itself."""
        self.process.wait(runs.PATIENCE)
        assert self.process.returncode == 0, self.said()

    def said(self) -> str:
        words = self.output.read_text()
        assert "Traceback" not in words, words
        assert "Exception ignored" not in words, words
        return words

    def says(self, what: str) -> None:
        self.until(lambda: what in self.output.read_text(), what)


@dataclass
class Run:
    """A run that is stopped and goes on: nothing is lost, and it always is a beginning of the
    undisturbed one.
    """

    stage: Stage
    name: str
    workers: str
    nursery: runs.Nursery | None = None
    before: runs.Rows = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.stage.place / self.name

    @property
    def folder(self) -> Path | None:
        return runs.run_folder(self.root)

    def live(self, *command: str, **streams: Any) -> Life:
        words = (
            ("resume", self.folder) if self.folder else ("run", "tiny.yaml", "--output", self.root)
        )
        words += ("--workers", self.workers)
        return (
            self.stage.start(*command, *words, **streams)
            if command
            else self.stage.fork(self.nursery, *words)
        )

    def starting(self, life: Life) -> None:
        """Until it has taken up the run; its workers are not ready then."""

        def holds() -> bool:
            lock = self.folder and self.folder / "run.lock"
            return bool(
                lock and lock.is_file() and lock.read_text().startswith(f"pid {life.process.pid} ")
            )

        life.until(holds, "the lock of the run")

    def searching(self, life: Life) -> None:
        life.until(lambda: runs.count(self.folder) > len(self.before), "a new row")

    def says_how_to_go_on(self, life: Life) -> None:
        assert f"resume {self.folder}\n" in life.said(), f"how to go on is not said: {life.said()}"
        assert life.said().splitlines()[-1] == str(self.folder), (
            f"the last line is not the folder: {life.said()}"
        )

    def keeps_all(self) -> None:
        """To be asked after each life."""
        after = runs.recorded(self.folder)
        assert after[: len(self.before)] == self.before, "what was recorded is lost or changed"
        assert after == self.stage.straight[: len(after)], (
            "what was recorded is not what the undisturbed run has"
        )
        self.before = after

    def stop(self, reached: Callable[[Life], None], number: int, *pauses: float) -> None:
        """A life until some point, and a signal, or several."""
        life = self.live()
        reached(life)
        for pause in pauses:
            life.send(number)
            time.sleep(pause)
        self.stopped(life, number)

    def stopped(self, life: Life, number: int) -> float:
        """Seconds until it was gone."""
        life.send(number)
        seconds = life.gone(number)
        self.says_how_to_go_on(life)
        self.keeps_all()
        return seconds

    def ends(self) -> None:
        """The same as the run that nobody disturbed."""
        self.keeps_all()
        assert len(self.before) == len(self.stage.straight), "it has not come to its end"
        summary = json.loads((self.folder / "summary.json").read_text())
        assert summary["chain"] == self.stage.straight[-1][-1].hex()
        self.stage.same.append(self.name)


def keep(place: Path, long: bool) -> dict[str, object]:
    """Send every signal at every stage, and see each run through to its end."""
    stage = Stage(place)
    candidates, seeds = (5000, 500) if long else (500, 60)  # of the search; of the confirmation
    config = runs.CONFIG.replace("candidates: 1500", f"candidates: {candidates}")
    config = config.replace("confirm: {seeds: 2", f"confirm: {{seeds: {seeds}")
    (place / "tiny.yaml").write_text(config)
    handlers_are_given_back()
    try:
        with (
            runs.none_ignored(),
            runs.Nursery(place, stage.file()) as one,
            runs.Nursery(place, stage.file()) as other,
        ):
            stage.fork(one, "run", "tiny.yaml", "--output", "straight").ended()
            stage.straight = runs.recorded(runs.run_folder(place / "straight"))
            assert len(stage.straight) == candidates
            with ThreadPoolExecutor(2) as pool:  # most of a life is its start
                parts = (workers, one), (inline, other), (session, None), (stuck, None)
                for done in [pool.submit(part, stage, long, nursery) for part, nursery in parts]:
                    done.result()
        deadline = time.monotonic() + 3
        while (left := stage.processes()) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not left, f"processes that are left: {left}"
    finally:
        for process in stage.processes():
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
    return {
        "signals sent": len(stage.sent),
        "slowest exit s": round(max(stage.seconds), 1),
        "resumed to the same chain": len(stage.same),
        "workers left": len(left),
    }


def handlers_are_given_back() -> None:
    """And a thread other than the main one, which may have none, watches nothing."""
    stop = StopSignal(lambda: None)

    def watched() -> list[Any]:
        with stop.watching():
            return [signal.getsignal(number) for number in SIGNALS]

    before = [signal.getsignal(number) for number in SIGNALS]
    for handler, ours in zip(before, watched(), strict=True):
        assert (handler is ours) == (handler is signal.SIG_IGN)
    assert [signal.getsignal(number) for number in SIGNALS] == before
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(watched).result() == before


def inline(stage: Stage, long: bool, nursery: runs.Nursery) -> None:
    """A search in the driver's own process; at last in terminals that are closed."""
    run = Run(stage, "inline", "inline", nursery)
    run.stop(run.starting, signal.SIGTERM)
    run.stop(run.searching, signal.SIGXCPU)
    if long:
        at_random_moments(run, random.Random(8))
    with terminal(run) as (life, close):
        run.searching(life)
        stage.sent.append(signal.SIGHUP)  # by the kernel
        close()
        life.gone(signal.SIGHUP)
        run.keeps_all()
    if long:
        with terminal(run, "/bin/sh", "-c", "trap '' HUP; exec \"$@\"", "sh") as (life, close):
            run.searching(life)
            close()
            life.process.wait(runs.PATIENCE)
    else:
        run.live().ended()
    run.ends()  # though nobody heard it


def workers(stage: Stage, long: bool, nursery: runs.Nursery) -> None:
    """A search in workers; at last under `nohup`."""
    run = Run(stage, "workers", "2" if long else "1", nursery)
    run.stop(run.starting, signal.SIGINT)
    run.stop(run.searching, signal.SIGHUP)
    if long:
        at_random_moments(run, random.Random(80))
    life = run.live("nohup", *EVOLVE)
    run.searching(life)
    life.send(signal.SIGHUP)  # which it does not hear
    life.says("confirming")
    run.stopped(life, signal.SIGUSR1)
    run.live().ended()
    run.ends()


def at_random_moments(run: Run, rng: random.Random) -> None:
    """Each signal, at random moments of start-up and search: once, and twice as shells and wrappers
    send it.
    """

    def anywhere(life: Life) -> None:
        run.starting(life)
        if rng.random() < 0.5:
            run.searching(life)
        time.sleep(rng.uniform(0.0, 0.1))

    for number in SIGNALS:
        for pauses in ((), (), (0.0,), (0.1,)):
            run.stop(anywhere, number, *pauses)


def stuck(stage: Stage, long: bool, _: None) -> None:
    """A computation that does not return: it is cut off when the time is over, or by the second
    signal.
    """
    run = Run(stage, "stuck", "inline")
    limit = 9.0 if long else 1.0
    life = run.live(sys.executable, "-c", ENDLESS.format(limit=limit))
    life.says("stuck")
    assert run.stopped(life, signal.SIGTERM) >= limit, "it had its time to end by itself"
    if long:
        life = run.live(sys.executable, "-c", ENDLESS.format(limit=60.0))
        life.says("stuck")
        life.send(signal.SIGTERM)
        time.sleep(1.0)
        assert life.process.poll() is None, "it has its time to end by itself"
        assert run.stopped(life, signal.SIGINT) < 2.0, "the second signal ends it at once"
    assert run.before, "what was recorded before is kept"


def session(stage: Stage, long: bool, _: None) -> None:
    """A run in a session of Python: Ctrl-C ends the run alone, leaves nobody, and the session can
    go on with it.
    """
    run = Run(stage, "session", "")
    life = stage.start(sys.executable, "-i", "-q", "-u", stdin=subprocess.PIPE)
    rng = random.Random(888)

    def tell(words: str) -> None:
        life.process.stdin.write(words.encode() + b"\n")
        life.process.stdin.flush()

    def ended() -> bool:
        return (
            len(
                re.findall(
                    "^(?:KeyboardInterrupt|.*Interrupted)", life.output.read_text(), re.MULTILINE
                )
            )
            > attempt
        )

    tell(SESSION)
    for attempt in range(20 if long else 1):
        tell(f"print('begins', {attempt}); execute(folder, plan)")
        life.says(f"begins {attempt}")
        if attempt % 2:
            time.sleep(rng.uniform(0.0, 0.5))
        else:
            run.searching(life)
        life.send(signal.SIGINT)
        began = time.monotonic()
        life.until(ended, "the end of the run")
        stage.seconds.append(time.monotonic() - began)
        assert runs.left_behind([life.process.pid]) == [], "workers of a session are left"
        run.keeps_all()
    tell("execute(folder, plan).chain")
    life.process.stdin.close()
    life.process.wait(runs.PATIENCE)
    assert "Exception ignored" not in life.output.read_text(), life.output.read_text()
    run.ends()


@contextlib.contextmanager
def terminal(run: Run, *wrapper: str) -> Iterator[tuple[Life, Callable[[], None]]]:
    """A life in a terminal of its own, and how to close that."""
    ours, theirs = pty.openpty()
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs, "start_new_session": True}
    life = run.live(*wrapper, sys.executable, "-S", "-c", TAKE, *EVOLVE, **streams)
    os.close(theirs)
    with os.fdopen(ours, "rb") as held:
        yield life, held.close
