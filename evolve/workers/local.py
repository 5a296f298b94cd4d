"""Local workers: spawned processes that score, and what is done when one dies or hangs.

The driver owns the queue, the deadlines and the blame; a worker only answers. It has one XLA thread
and a bounded share of the memory. The kernel kills it when the driver dies, so a run leaves no
process behind. A call over its pipe costs 44 microseconds.

A job is blamed when workers were lost on it again and again, alone on fresh ones, or when it has
used up its time; while driver and workers are suspended, no time passes. And nobody is blamed
before the next worker has scored a program that is known to be good: an outage is never taken for a
bad program.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from evolve.environment import available_memory, differences, pinned
from evolve.files import ours
from evolve.interrupt import Interrupted
from evolve.scoring.job import CRASH, OOM, TIMEOUT, Job, Outcome
from evolve.scoring.wire import decode_outcome, encode_job
from evolve.workers.clock import AwakeClock
from evolve.workers.errors import Outage, WorkerFailure
from evolve.workers.setup import Setup, shared_order
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


@dataclass(eq=False)
class _Asked:
    """A job that has no outcome yet."""

    number: int
    job: Job
    strikes: int = 0  # workers lost on it
    kills: int = 0  # of those that somebody else killed
    spent: float = 0.0  # seconds of workers that were lost on it


@dataclass(eq=False)
class _Worker:
    """A process. It takes over from a lost one what that was at, and the blame that is not sure."""

    process: subprocess.Popen[bytes]
    stdin: IO[bytes]
    stdout: IO[bytes]
    stderr: IO[bytes]
    started: float
    first: list[_Asked]  # jobs that the lost one was at: they go first, on this fresh one
    blamed: list[tuple[int, Outcome]]  # given out once this one has shown that the machine is well
    ready: bool = False
    held: deque[_Asked] = field(default_factory=deque)  # jobs that it was given, the current first
    since: float = 0.0  # when its current job began
    buffer: bytes = b""  # of an answer
    printed: int = 0  # bytes, during its current job
    words: bytes = b""  # the last of them


class Local:
    """Scores in spawned processes of this machine."""

    def __init__(
        self,
        setup: Setup,
        count: int,
        deadline: float,
        memory: float | None = None,
        log: Path | None = None,
        command: Sequence[str] = COMMAND,
    ):
        """Start `count` workers.

        `deadline` is the seconds that one job may take in all; `memory` the bytes that a worker may
        allocate, None for its share of the machine's. `log` gets what workers print.
        """
        limit = SHARE * available_memory() / setup.workers if memory is None else memory
        self.setup = replace(setup, memory=int(limit))
        self.deadline, self.log, self.command = deadline, log, command
        self.logged = 0
        self.queue: deque[_Asked] = deque()
        self.finished: list[tuple[int, Outcome]] = []
        self.failed_starts = 0
        self.clock = AwakeClock()
        self.looked = 0.0
        self.fingerprint: dict[str, Any] | None = None
        self.selector = selectors.DefaultSelector()
        self.workers: list[_Worker] = []
        for number in range(count):
            self.hire(order=shared_order(number, count, len(setup.tasks)))

    def hire(
        self,
        first: Sequence[_Asked] = (),
        blamed: Sequence[tuple[int, Outcome]] = (),
        order: list[int] | None = None,
    ) -> None:
        """Start a worker, which takes over what a lost one was at and whom it would blame.

        order: in which it compiles the tasks, whose numbers these are.
        """
        process = subprocess.Popen(
            [*self.command, str(os.getpid())],
            env=os.environ | pinned(),
            # Ctrl-C reaches the driver alone, and what a worker starts can be ended with it
            process_group=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Not the log itself: what is printed without end must not fill the disk
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],  # `evolve` is importable from there, installed or not
        )
        assert process.stdin and process.stdout and process.stderr  # noqa: PT018  (all are pipes)
        pipes = (process.stdin, process.stdout, process.stderr)
        worker = _Worker(process, *pipes, self.clock(), list(first), list(blamed))
        with contextlib.suppress(OSError):  # it is dead already, as the end of its output will tell
            worker.stdin.write(replace(self.setup, order=order).line())
            worker.stdin.flush()
        for pipe, reader in ((worker.stdout, self.read), (worker.stderr, self.hear)):
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
        self.hand_out()
        for key, _ in self.selector.select(0 if self.finished else timeout):
            reader, worker = key.data
            if worker in self.workers:  # not lost by what was read a moment ago
                reader(worker)
        self.look_after_workers()
        self.hand_out()
        finished, self.finished = self.finished, []
        return finished

    def look_after_workers(self) -> None:
        """Replace those that have died, hang or were stopped."""
        now = self.clock()
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
            elif (over or look) and _is_stopped(worker.process.pid):
                self.lost(worker, CRASH, "it was stopped")  # by itself or not: it will not answer
            elif over:
                self.lost(worker, TIMEOUT)
            elif not worker.ready and now - worker.started > START_LIMIT:
                self.lost(worker, CRASH)

    def hand_out(self) -> None:
        """Give jobs from the queue to workers that hold fewer than they may."""
        for depth in range(IN_FLIGHT):  # everybody gets a first job before anybody gets a second
            for worker in self.workers:
                if self.queue and worker.ready and len(worker.held) == depth:
                    self.give(worker, self.queue.popleft())

    def give(self, worker: _Worker, asked: _Asked) -> None:
        """Give a job to a worker, or back to the queue where the worker is dead."""
        line = json.dumps({"number": asked.number, "job": encode_job(asked.job)}).encode() + b"\n"
        try:
            worker.stdin.write(line)
            worker.stdin.flush()
        except OSError:  # dead, as will be seen, and not of this job
            self.queue.appendleft(asked)
            return
        if not worker.held:
            worker.since = self.clock()
        worker.held.append(asked)

    def read(self, worker: _Worker) -> bool:
        """Take the answers that have come. Returns whether something has."""
        data = _what_has_come(worker.stdout)
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
        """Take one answer.

        Raises  `WorkerFailure` where the machine is at fault; what an answer of another form raises
                is for the caller, who blames the worker.
        """
        if "failure" in answer:
            raise WorkerFailure(answer["failure"])
        if "fingerprint" in answer and not worker.ready:
            if differ := differences(
                self.fingerprint or answer["fingerprint"], answer["fingerprint"]
            ):
                raise WorkerFailure(
                    f"a worker runs on other software or hardware: {', '.join(differ)}"
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
        if outcome.status == OOM:
            # Of this program, or of what the worker has gathered: a fresh one will tell.
            self.lost(worker, OOM, outcome.detail)
            return
        worker.held.popleft()
        worker.since, worker.printed, worker.words = self.clock(), 0, b""
        self.finished.append((asked.number, outcome))

    def hear(self, worker: _Worker) -> None:
        """Keep the beginning of what is printed, and the last words."""
        data = _what_has_come(worker.stderr)
        if not data:
            if data == b"":
                self.selector.unregister(worker.stderr)
            return
        self.print_to_log(worker, data)
        worker.printed += len(data)
        if worker.printed > MAX_PRINTED and worker.held:
            self.lost(worker, CRASH, f"it printed more than {MAX_PRINTED:,} bytes")

    def print_to_log(self, worker: _Worker, data: bytes) -> None:
        worker.words = (worker.words + data)[-500:]
        if self.log and self.logged < LOG_BYTES:
            self.logged += len(data)
            # Of a full disk, the journal will tell.
            with contextlib.suppress(OSError), open(self.log, "ab", opener=ours) as log:
                log.write(data)

    def lost(self, worker: _Worker, why: str, detail: str = "") -> None:
        """Replace a worker that died, hangs or is not to be trusted, and see to what it was at.

        `why` is the status of the job if it is to blame, `detail` what happened, for people.
        """
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
                asked.spent += self.clock() - worker.since
            asked.kills += foreign
            if asked.strikes >= STRIKES or asked.kills >= KILLS or asked.spent > self.deadline:
                words = detail or (
                    f"over {self.deadline:g} s" if why == TIMEOUT else _ending(status, worker.words)
                )
                if asked.kills >= KILLS:
                    words += ", which others send: the kernel for want of memory, or somebody"
                lost = asked.strikes + asked.kills
                told = f"{lost} worker{'s were' if lost > 1 else ' was'} lost on it: {words}"
                blamed = [*blamed, (asked.number, Outcome(why, seconds=asked.spent, detail=told))]
            else:
                first = [*first, asked]
        self.hire(first, blamed)

    def dismiss(self, worker: _Worker) -> int:
        """End a worker and all that it started. Returns its exit status."""
        for pipe in (worker.stdout, worker.stderr):
            with contextlib.suppress(KeyError):
                self.selector.unregister(pipe)
        with contextlib.suppress(OSError):
            os.killpg(worker.process.pid, signal.SIGKILL)
        status = worker.process.wait()
        # It may have died before it was heard.
        self.print_to_log(worker, _what_has_come(worker.stderr) or b"")
        for pipe in (worker.stdin, worker.stdout, worker.stderr):
            with contextlib.suppress(OSError):
                pipe.close()
        return status

    def close(self) -> None:
        for worker in self.workers:
            self.dismiss(worker)
        self.workers = []
        self.selector.close()


def _what_has_come(pipe: IO[bytes]) -> bytes | None:
    """Read what is in a pipe: no bytes at its end, None where nothing has come yet."""
    try:
        return os.read(pipe.fileno(), 1 << 16)
    except BlockingIOError:
        return None
    except (OSError, ValueError):
        return b""


def _ending(status: int, words: bytes) -> str:
    """Say how a process ended, for people."""
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"signal {-status} ({signal.Signals(-status).name})"
    said = _text(words).splitlines()
    return f"exit status {status}" + (f": {said[-1][:200]}" if said else "")


def _text(words: bytes) -> str:
    """Read what a worker printed, whatever its bytes are."""
    return words.decode(errors="replace").strip()


def _is_stopped(process: int) -> bool:
    """Tell whether somebody has stopped a process, as Ctrl-Z does."""
    with contextlib.suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    return False
