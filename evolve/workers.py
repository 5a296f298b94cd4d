"""Who scores: this process, its devices, or spawned processes. Workers are dumb; the driver owns queue and blame.

All kinds take jobs with a number and give back outcomes with that number, in
any order. A local worker is a process of its own with one XLA thread; a call
over its pipe costs 44 microseconds. It exits at the end of its input and is
killed by the kernel when the driver dies, so a run leaves no process behind.
On accelerators a worker is a thread with a device of its own, because a second
process would fight over the device's memory; nobody can end it when it hangs.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol

import jax

from evolve.config import TaskSettings, WorkerSettings
from evolve.environment import pinned
from evolve.scoring import Job, Outcome, ReferenceDiverged, Scorer
from evolve.suite import make_suite
from evolve.wire import decode_outcome, encode_job

IN_FLIGHT = 2  # jobs given to a worker at once: the next one waits in its pipe
STRIKES = 3  # a job is blamed after as many workers died or hung on it
START_LIMIT = 300.0  # seconds in which a worker must have compiled its tasks
MAX_ANSWER = 1 << 20  # bytes of one answer


class WorkerFailure(RuntimeError):
    """No worker can be started, or one differs from the others: the machine is at fault, no program."""


class Executor(Protocol):
    """Scores jobs, in any order."""

    def ready(self) -> dict[str, Any]:
        """Wait until a worker can score; what its bits depend on. Raises `WorkerFailure`."""
        ...

    def submit(self, number: int, job: Job) -> None: ...

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]: ...

    def close(self) -> None: ...


class Inline:
    """Scores in this process, when asked for arrivals."""

    def __init__(self, tasks: list[TaskSettings]):
        self.scorer = Scorer(make_suite("run", tasks))
        self.queue: deque[tuple[int, Job]] = deque()

    def ready(self) -> dict[str, Any]:
        return self.scorer.fingerprint()

    def submit(self, number: int, job: Job) -> None:
        self.queue.append((number, job))

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        if not self.queue:
            return []
        number, job = self.queue.popleft()
        try:
            return [(number, self.scorer.try_to_score(job))]
        except ReferenceDiverged as fault:
            raise WorkerFailure(str(fault)) from None

    def close(self) -> None:
        self.queue.clear()


class Devices:
    """Scores in this process, on each of its devices in a thread of its own."""

    def __init__(self, tasks: list[TaskSettings]):
        self.jobs: SimpleQueue[tuple[int, Job] | None] = SimpleQueue()
        self.said: SimpleQueue[Any] = SimpleQueue()  # fingerprints, then outcomes by number; a fault at any time
        devices = jax.local_devices()
        self.threads = [Thread(target=self.work, args=(tasks, d, len(devices)), daemon=True) for d in devices]
        for thread in self.threads:
            thread.start()

    def work(self, tasks: list[TaskSettings], device: Any, workers: int) -> None:
        try:
            with jax.default_device(device):
                scorer = Scorer(make_suite("run", tasks), workers, device)
                scorer.check()
                self.said.put(scorer.fingerprint())
                while asked := self.jobs.get():
                    number, job = asked
                    self.said.put((number, scorer.try_to_score(job)))
        except Exception as fault:  # for whoever waits
            self.said.put(fault)

    def ready(self) -> dict[str, Any]:
        first, *others = [self.heard(START_LIMIT) for _ in self.threads]
        if any(other != first for other in others):
            raise WorkerFailure(f"the devices of this machine differ: {[first, *others]}")
        return first

    def submit(self, number: int, job: Job) -> None:
        self.jobs.put((number, job))

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        """Outcomes that have arrived; waits up to `timeout` seconds for the first."""
        try:
            found = [self.heard(timeout)]
        except Empty:
            return []
        return found + [self.heard(0.0) for _ in range(self.said.qsize())]

    def heard(self, timeout: float) -> Any:
        said = self.said.get(timeout=timeout)
        if isinstance(said, Exception):
            raise WorkerFailure(str(said)) from said
        return said

    def close(self) -> None:
        """End the threads, each after the job that it is at."""
        with contextlib.suppress(Empty):
            while True:
                self.jobs.get_nowait()
        for _ in self.threads:
            self.jobs.put(None)
        for thread in self.threads:
            thread.join()


@dataclass
class _Worker:
    process: subprocess.Popen
    started: float
    ready: bool = False
    held: deque[tuple[int, Job]] = field(default_factory=deque)
    since: float = 0.0  # when its current job began
    buffer: bytes = b""


class Local:
    """Scores in spawned processes."""

    def __init__(self, tasks: list[TaskSettings], count: int, deadline: float, log: Path | None = None):
        setup = {"tasks": [t.model_dump() for t in tasks], "folder": os.getcwd(), "workers": count}
        self.setup = json.dumps(setup).encode() + b"\n"
        self.deadline, self.log = deadline, log
        self.queue: deque[tuple[int, Job]] = deque()
        self.strikes: Counter[int] = Counter()
        self.finished: list[tuple[int, Outcome]] = []
        self.failed_starts = 0
        self.fingerprint: dict[str, Any] | None = None
        self.selector = selectors.DefaultSelector()
        self.workers = [self.hire() for _ in range(count)]

    def hire(self) -> _Worker:
        log = self.log.open("ab") if self.log else subprocess.DEVNULL
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "evolve.serve", str(os.getpid())],
                env=os.environ | pinned(),
                process_group=0,  # Ctrl-C reaches the driver alone
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=Path(__file__).parent.parent,  # `evolve` is importable from there, installed or not
            )
        finally:
            if self.log:
                log.close()  # type: ignore[union-attr]
        worker = _Worker(process, time.monotonic())
        with contextlib.suppress(OSError):  # a worker that is dead already is seen at its end of file
            process.stdin.write(self.setup)
            process.stdin.flush()
        os.set_blocking(process.stdout.fileno(), False)
        self.selector.register(process.stdout, selectors.EVENT_READ, worker)
        return worker

    def ready(self) -> dict[str, Any]:
        while self.fingerprint is None:
            self.finished += self.arrivals(0.05)
        return self.fingerprint

    def submit(self, number: int, job: Job) -> None:
        self.queue.append((number, job))
        self.hand_out()

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        """Outcomes that have arrived; waits up to `timeout` seconds for the first."""
        self.hand_out()
        for key, _ in self.selector.select(0 if self.finished else timeout):
            self.read(key.data)
        now = time.monotonic()
        for worker in list(self.workers):
            if worker.ready and worker.held and now - worker.since > self.deadline:
                self.lost(worker, "timeout")
            elif not worker.ready and now - worker.started > START_LIMIT:
                self.lost(worker, "start")
        self.hand_out()
        finished, self.finished = self.finished, []
        return finished

    def hand_out(self) -> None:
        for depth in range(IN_FLIGHT):  # everybody gets a first job before anybody gets a second
            for worker in list(self.workers):
                if self.queue and worker.ready and len(worker.held) == depth:
                    number, job = self.queue.popleft()
                    if not worker.held:
                        worker.since = time.monotonic()
                    worker.held.append((number, job))
                    line = json.dumps({"number": number, "job": encode_job(job)}).encode() + b"\n"
                    try:
                        worker.process.stdin.write(line)
                        worker.process.stdin.flush()
                    except OSError:
                        self.lost(worker, "crash")

    def read(self, worker: _Worker) -> None:
        try:
            data = worker.process.stdout.read()
        except OSError:
            data = b""
        if data is None:
            return
        if not data:
            self.lost(worker, "crash" if worker.ready else "start")
            return
        worker.buffer += data
        *lines, worker.buffer = worker.buffer.split(b"\n")
        if len(worker.buffer) > MAX_ANSWER:
            self.lost(worker, "crash")
            return
        for line in lines:
            self.take(worker, json.loads(line))

    def take(self, worker: _Worker, answer: dict[str, Any]) -> None:
        if "fingerprint" in answer:
            if self.fingerprint not in (None, answer["fingerprint"]):
                raise WorkerFailure(f"a worker runs on other software or hardware: {answer['fingerprint']}")
            self.fingerprint, worker.ready, self.failed_starts = answer["fingerprint"], True, 0
            return
        if "failure" in answer:
            raise WorkerFailure(answer["failure"])
        number, _ = worker.held.popleft()
        assert number == answer["number"], "a worker answers in order"
        worker.since = time.monotonic()
        outcome = decode_outcome(answer["outcome"], answer["seconds"], answer.get("detail", ""))
        self.finished.append((number, outcome))

    def lost(self, worker: _Worker, why: str) -> None:
        """A worker died or hung: replace it, and blame the job it was at only after several strikes."""
        self.dismiss(worker)
        self.workers.remove(worker)
        if why == "start":
            self.failed_starts += 1
            if self.failed_starts > 2 * (len(self.workers) + 1):
                where = f" Its last words are in {self.log}." if self.log else ""
                raise WorkerFailure(f"workers cannot be started.{where}")
        waiting = list(worker.held)
        if waiting:
            number, _ = waiting[0]
            self.strikes[number] += 1
            if self.strikes[number] >= STRIKES:
                self.finished.append((number, Outcome(why, detail=f"{STRIKES} workers were lost on it")))
                waiting = waiting[1:]
        self.queue.extendleft(reversed(waiting))
        self.workers.append(self.hire())

    def dismiss(self, worker: _Worker) -> None:
        self.selector.unregister(worker.process.stdout)
        worker.process.kill()
        worker.process.wait()
        for pipe in (worker.process.stdin, worker.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()

    def close(self) -> None:
        for worker in self.workers:
            self.dismiss(worker)
        self.workers = []
        self.selector.close()


def available_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _on_cpu() -> bool:
    """Whether jax computes on the CPU here. Where that is not set, asking starts jax, which takes its time."""
    return os.environ.get("JAX_PLATFORMS") == "cpu" or jax.default_backend() == "cpu"


def make_executor(settings: WorkerSettings, tasks: list[TaskSettings], log: Path | None = None) -> Executor:
    """The executor that a config asks for."""
    kind = settings.kind
    if kind == "auto":  # spawned processes share a CPU well, and an accelerator badly
        kind = "local" if _on_cpu() else "devices"
    if kind != "local":
        return Inline(tasks) if kind == "inline" else Devices(tasks)
    count = available_cores() if settings.count == "auto" else settings.count
    return Local(tasks, count, settings.deadline, log)
