"""Who scores: this process, its devices, spawned processes, or Ray.

Workers are dumb; the driver decides everything.

All kinds take jobs with a number and give back outcomes with that number, in
any order. On accelerators a worker is a thread with a device of its own, because a
second process would fight over the device's memory; nobody can end it when it hangs.
"""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Protocol

import jax

from evolve.config.schema import TaskSettings, WorkerSettings
from evolve.environment import available_cores
from evolve.interrupt import Interrupted
from evolve.scoring.job import Job, Outcome
from evolve.scoring.scorer import ReferenceDiverged, Scorer
from evolve.scoring.suite import make_suite, tuned_values
from evolve.workers.local import START_LIMIT, Local, WorkerFailure

POLL = 0.1  # seconds between looks at an interrupt
LEAVE = 5.0  # seconds that threads get to end what they are at


class Executor(Protocol):
    """Scores jobs, in any order."""

    def ready(self, stop: Callable[[], bool] = ...) -> dict[str, Any]:
        """Wait until a worker can score; what its bits depend on.

        Raises `WorkerFailure`, `Interrupted`.
        """
        ...

    def submit(self, number: int, job: Job) -> None: ...

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]: ...

    def close(self) -> None: ...


class Inline:
    """Scores in this process, when asked for arrivals."""

    def __init__(self, tasks: list[TaskSettings]):
        self.scorer = Scorer(make_suite("run", tasks))
        self.queue: deque[tuple[int, Job]] = deque()

    def ready(self, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
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
        self.said: SimpleQueue[Any] = (
            SimpleQueue()
        )  # fingerprints, then outcomes by number; a fault at any time
        devices = jax.local_devices()
        self.threads = [
            Thread(target=self.work, args=(tasks, d, len(devices)), daemon=True) for d in devices
        ]
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

    def ready(self, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        first, *others = [self.started(stop) for _ in self.threads]
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

    def started(self, stop: Callable[[], bool]) -> Any:
        for _ in range(int(START_LIMIT / POLL)):
            if stop():
                raise Interrupted
            with contextlib.suppress(Empty):
                return self.heard(POLL)
        raise WorkerFailure(f"a device could not begin in {START_LIMIT:.0f} s")

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
            thread.join(LEAVE)


def _on_cpu() -> bool:
    """Whether jax computes on the CPU here.

    Where that is not set, asking starts jax, which takes its time.
    """
    return os.environ.get("JAX_PLATFORMS") == "cpu" or jax.default_backend() == "cpu"


def make_executor(
    settings: WorkerSettings, tasks: list[TaskSettings], log: Path | None = None
) -> Executor:
    """The executor that a config asks for. Raises `WorkerFailure`."""
    kind = settings.kind
    if kind == "auto":  # spawned processes share a CPU well, and an accelerator badly
        kind = "local" if _on_cpu() else "devices"
    if kind in ("inline", "devices"):
        return Inline(tasks) if kind == "inline" else Devices(tasks)
    count = available_cores() if settings.count == "auto" else settings.count
    memory = None if settings.memory == "auto" else settings.memory * 2**30
    setup = {
        "tasks": [task.model_dump() for task in tasks],
        "references": {name: tuned_values(name) for name in make_suite("run", tasks).fingerprints},
        "folder": os.getcwd(),
        "workers": count,
    }
    if kind == "local":
        return Local(setup, count, settings.deadline, memory, log)
    from evolve.workers.ray_actors import Cluster  # Ray is imported where it is asked for

    return Cluster(setup, settings, memory, log)
