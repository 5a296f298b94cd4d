"""Local workers: spawned processes that score, and what is done when one dies, hangs or eats the
machine.

The driver owns the queue, the deadlines and the blame; a worker only answers. It has one XLA thread
and a bounded share of the memory, and is killed by the kernel when the driver dies, so a run leaves
no process behind; a call over its pipe costs 44 microseconds. A job is blamed when workers were
lost on it again and again, alone on fresh ones, or when it has used up its time; and nobody is
blamed before the next worker has scored a program that is known to be
good: an outage is never taken for a bad program.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evolve.environment import available_memory, pinned
from evolve.interrupt import Interrupted
from evolve.scoring.job import CRASH, OOM, TIMEOUT, Job, Outcome
from evolve.scoring.wire import decode_outcome, encode_job
from primitives.errors import printable

COMMAND = (sys.executable, "-m", "evolve.workers.serve")
IN_FLIGHT = 2  # jobs given to a worker at once: the next one waits in its pipe
STRIKES = 2  # a job is blamed when as many workers were lost on it, at least one of them fresh ...
KILLS = 10  # ... or as many were killed by somebody else, for whom it can do nothing
LOOK = 0.5  # seconds from one look at whether a worker has been stopped to the next
START_LIMIT = 300.0  # seconds in which a worker must have compiled its tasks
MAX_ANSWER = 1 << 20  # bytes of one answer
MAX_PRINTED = 1 << 24  # bytes that may be printed during one job
LOG_BYTES = 1 << 20  # of what is printed that are kept, in all
SHARE = 0.9  # of the machine's memory that its workers may have together


class WorkerFailure(RuntimeError):
    """No worker can be started, or one differs from the others: the machine is at fault, no
    program.
    """


class Outage(WorkerFailure):
    """On this machine no worker starts any more; another machine may do."""


@dataclass(eq=False)
class _Asked:
    number: int
    job: Job
    strikes: int = 0  # workers lost on it
    kills: int = 0  # of those that somebody else killed
    spent: float = 0.0  # seconds of workers that were lost on it


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen
    started: float
    first: list[_Asked]  # what the worker before it was lost on: goes first, on this fresh one
    blamed: list[
        tuple[int, Outcome]
    ]  # what becomes true once this one has shown that the machine is well
    ready: bool = False
    held: deque[_Asked] = field(default_factory=deque)
    since: float = 0.0  # when its current job began
    buffer: bytes = b""  # of an answer
    printed: int = 0  # bytes, during its current job
    words: bytes = b""  # the last of them


class Local:
    """Scores in spawned processes of this machine."""

    def __init__(
        self,
        setup: dict[str, Any],
        count: int,
        deadline: float,
        memory: float | None = None,
        log: Path | None = None,
        command: Sequence[str] = COMMAND,
    ):
        """setup: what a worker needs to know, see `evolve.workers.serve`.

        deadline: seconds that one job may take in all.

        memory: bytes that a worker may allocate; None for its share of the machine's. log: gets
        what workers print.
        """
        limit = SHARE * available_memory() / setup["workers"] if memory is None else memory
        self.setup = json.dumps(setup | {"memory": int(limit)}).encode() + b"\n"
        self.deadline, self.log, self.command = deadline, log, command
        self.logged = 0
        self.queue: deque[_Asked] = deque()
        self.finished: list[tuple[int, Outcome]] = []
        self.failed_starts = 0
        self.looked = 0.0
        self.fingerprint: dict[str, Any] | None = None
        self.selector = selectors.DefaultSelector()
        self.workers: list[_Worker] = []
        for _ in range(count):
            self.hire()

    def hire(
        self, first: Sequence[_Asked] = (), blamed: Sequence[tuple[int, Outcome]] = ()
    ) -> None:
        process = subprocess.Popen(
            [*self.command, str(os.getpid())],
            env=os.environ | pinned(),
            # Ctrl-C reaches the driver alone, and what a worker starts is ended with it
            process_group=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Not the log itself: what is printed without end must not fill the disk
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],  # `evolve` is importable from there, installed or not
        )
        worker = _Worker(process, time.monotonic(), list(first), list(blamed))
        with contextlib.suppress(
            OSError
        ):  # a worker that is dead already is seen at its end of file
            process.stdin.write(self.setup)
            process.stdin.flush()
        for pipe, reader in ((process.stdout, self.read), (process.stderr, self.hear)):
            os.set_blocking(pipe.fileno(), False)
            self.selector.register(pipe, selectors.EVENT_READ, (reader, worker))
        self.workers.append(worker)

    def ready(self, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        while self.fingerprint is None:
            if stop():
                raise Interrupted
            self.finished += self.arrivals(0.05)
        return self.fingerprint

    def submit(self, number: int, job: Job) -> None:
        self.queue.append(_Asked(number, job))
        self.hand_out()

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        """Outcomes that have arrived; waits up to `timeout` seconds for the first."""
        self.hand_out()
        for key, _ in self.selector.select(0 if self.finished else timeout):
            reader, worker = key.data
            if worker in self.workers:  # not lost by what was read a moment ago
                reader(worker)
        now = time.monotonic()
        look = now - self.looked > LOOK
        if look:
            self.looked = now
        for worker in list(self.workers):
            over = worker.held and now - worker.since > self.deadline - worker.held[0].spent
            if worker.process.poll() is not None:  # also where a child of it keeps its pipes open
                while worker in self.workers and self.read(worker):
                    pass
                if worker in self.workers:
                    self.lost(worker, CRASH)
            elif (over or look) and _is_stopped(
                worker.process.pid
            ):  # by itself or not: it will not answer
                self.lost(worker, CRASH, "it was stopped")
            elif over:
                self.lost(worker, TIMEOUT)
            elif not worker.ready and now - worker.started > START_LIMIT:
                self.lost(worker, CRASH)
        self.hand_out()
        finished, self.finished = self.finished, []
        return finished

    def hand_out(self) -> None:
        for depth in range(IN_FLIGHT):  # everybody gets a first job before anybody gets a second
            for worker in self.workers:
                if self.queue and worker.ready and len(worker.held) == depth:
                    self.give(worker, self.queue.popleft())

    def give(self, worker: _Worker, asked: _Asked) -> None:
        line = json.dumps({"number": asked.number, "job": encode_job(asked.job)}).encode() + b"\n"
        try:
            worker.process.stdin.write(line)
            worker.process.stdin.flush()
        except OSError:  # dead, as will be seen, and not of this job
            self.queue.appendleft(asked)
            return
        if not worker.held:
            worker.since = time.monotonic()
        worker.held.append(asked)

    def read(self, worker: _Worker) -> bool:
        """Take the answers that have come; whether something has."""
        data = _what_has_come(worker.process.stdout)
        if data is None:
            return False
        if not data:
            try:
                worker.process.wait(1.0)  # it is ending: how?
            except subprocess.TimeoutExpired:
                self.lost(worker, CRASH, "it closed its pipe")
            else:
                self.lost(worker, CRASH)
            return False
        worker.buffer += data
        *lines, worker.buffer = worker.buffer.split(b"\n")
        try:
            if len(worker.buffer) > MAX_ANSWER:
                raise ValueError("an answer without end")
            for line in lines:
                if worker in self.workers:  # not lost by the line before
                    self.take(worker, json.loads(line))
        except WorkerFailure:
            raise
        except Exception as fault:  # a program may have found the pipe, and written anything
            self.lost(
                worker, CRASH, f"it said what cannot be understood: {printable(str(fault), 200)}"
            )
        return True

    def take(self, worker: _Worker, answer: dict[str, Any]) -> None:
        if "failure" in answer:
            raise WorkerFailure(answer["failure"])
        if "fingerprint" in answer and not worker.ready:
            if self.fingerprint not in (None, answer["fingerprint"]):
                raise WorkerFailure(
                    f"a worker runs on other software or hardware: {answer['fingerprint']}"
                )
            self.fingerprint, worker.ready, self.failed_starts = answer["fingerprint"], True, 0
            self.finished += worker.blamed
            for asked in worker.first:
                self.give(worker, asked)
            worker.blamed, worker.first = [], []
            return
        outcome = decode_outcome(answer["outcome"], answer["seconds"], answer.get("detail", ""))
        asked = worker.held[0]
        if asked.number != answer["number"]:
            raise ValueError("an answer to something else")
        if (
            outcome.status == OOM
        ):  # of this program, or of what the worker has gathered: a fresh one will tell
            self.lost(worker, OOM, outcome.detail)
            return
        worker.held.popleft()
        worker.since, worker.printed, worker.words = time.monotonic(), 0, b""
        self.finished.append((asked.number, outcome))

    def hear(self, worker: _Worker) -> None:
        """Keep the beginning of what is printed, and the last words."""
        data = _what_has_come(worker.process.stderr)
        if not data:
            if data == b"":
                self.selector.unregister(worker.process.stderr)
            return
        self.print_to_log(worker, data)
        worker.printed += len(data)
        if worker.printed > MAX_PRINTED and worker.held:
            self.lost(worker, CRASH, f"it printed more than {MAX_PRINTED:,} bytes")

    def print_to_log(self, worker: _Worker, data: bytes) -> None:
        worker.words = (worker.words + data)[-500:]
        if self.log and self.logged < LOG_BYTES:
            self.logged += len(data)
            with (
                contextlib.suppress(OSError),
                self.log.open("ab") as log,
            ):  # of a full disk, the journal will tell
                log.write(data)

    def lost(self, worker: _Worker, why: str, detail: str = "") -> None:
        """A worker died, hangs or is not to be trusted: replace it, and see to what it was at."""
        # By a user, by the kernel for want of memory elsewhere, ...: hardly by a job.
        foreign = worker.process.returncode == -signal.SIGKILL
        status = self.dismiss(worker)
        self.workers.remove(worker)
        first, blamed = worker.first, worker.blamed
        if not worker.ready:
            self.failed_starts += 1
            if self.failed_starts > 2 * (len(self.workers) + 1):
                where = (
                    f" Its last words are in {self.log}."
                    if self.log
                    else f" Its last words: {_text(worker.words)}"
                )
                raise Outage(f"workers cannot be started.{where}")
        elif worker.held:
            asked = worker.held.popleft()
            self.queue.extendleft(reversed(worker.held))
            if not foreign:
                asked.strikes += 1
                asked.spent += time.monotonic() - worker.since
            asked.kills += foreign
            if asked.strikes >= STRIKES or asked.kills >= KILLS or asked.spent > self.deadline:
                words = detail or (
                    f"over {self.deadline:g} s" if why == TIMEOUT else _ending(status, worker.words)
                )
                lost = asked.strikes + asked.kills
                told = f"{lost} worker{'s were' if lost > 1 else ' was'} lost on it: {words}"
                blamed = [*blamed, (asked.number, Outcome(why, seconds=asked.spent, detail=told))]
            else:
                first = [*first, asked]
        self.hire(first, blamed)

    def dismiss(self, worker: _Worker) -> int:
        """End a worker and all that it started; its exit status."""
        for pipe in (worker.process.stdout, worker.process.stderr):
            with contextlib.suppress(KeyError):
                self.selector.unregister(pipe)
        with contextlib.suppress(OSError):
            os.killpg(worker.process.pid, signal.SIGKILL)
        status = worker.process.wait()
        self.print_to_log(
            worker, _what_has_come(worker.process.stderr) or b""
        )  # it may have died before it was heard
        for pipe in (worker.process.stdin, worker.process.stdout, worker.process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()
        return status

    def close(self) -> None:
        for worker in self.workers:
            self.dismiss(worker)
        self.workers = []
        self.selector.close()


def _what_has_come(pipe: Any) -> bytes | None:
    """Bytes from a pipe: none at its end, None where nothing has come yet."""
    try:
        return os.read(pipe.fileno(), 1 << 16)
    except BlockingIOError:
        return None
    except (OSError, ValueError):
        return b""


def _ending(status: int, words: bytes) -> str:
    """How a process ended, for people."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"signal {-status} ({signal.Signals(-status).name})"
    said = _text(words).splitlines()
    return f"exit status {status}" + (f": {said[-1][:200]}" if said else "")


def _text(words: bytes) -> str:
    return words.decode(errors="replace").strip()


def _is_stopped(process: int) -> bool:
    """Whether somebody has stopped a process, as Ctrl-Z does."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    return False
