"""Scoring in this process on each of its devices, in a thread of its own.

On an accelerator a second process would fight over the device's memory. What this costs: nobody can
end a thread whose computation hangs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import jax

from evolve.environment import differences
from evolve.interrupt import Interrupted
from evolve.scoring.job import Job, Outcome
from evolve.scoring.scorer import Scorer
from evolve.scoring.suite import Suite, make_suite
from evolve.workers.errors import WorkerFailure
from evolve.workers.local import START_LIMIT

POLL = 0.1  # seconds between looks at an interrupt
LEAVE = 5.0  # seconds that threads get to end what they are at


class Devices:
    """Scores on all devices of this process."""

    def __init__(self, suite: Suite):
        self.jobs: SimpleQueue[tuple[int, Job] | None] = SimpleQueue()
        # First a fingerprint from each thread, then outcomes with their numbers; a fault at any
        # time.
        self.said: SimpleQueue[Any] = SimpleQueue()
        devices = jax.local_devices()
        self.threads = [
            Thread(target=self.work, args=(suite, d, len(devices)), daemon=True) for d in devices
        ]
        for thread in self.threads:
            thread.start()

    def work(self, suite: Suite, device: Any, workers: int) -> None:
        """Score jobs on one device until there are none; what a thread does."""
        try:
            with jax.default_device(device):
                # Built again, for its data must lie on this device.
                here = make_suite(suite.name, suite.settings, suite.reference, suite.given)
                scorer = Scorer(here, workers, device)
                scorer.check()
                self.said.put(scorer.fingerprint())
                while asked := self.jobs.get():
                    number, job = asked
                    self.said.put((number, scorer.try_to_score(job)))
        except Exception as fault:  # for whoever waits
            self.said.put(fault)

    def ready(self, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        first, *others = [self.started(stop) for _ in self.threads]
        if differ := [fact for other in others for fact in differences(first, other)]:
            raise WorkerFailure(f"the devices of this machine differ: {', '.join(differ)}")
        return first

    def submit(self, number: int, job: Job) -> None:
        self.jobs.put((number, job))

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        try:
            found = [self.heard(timeout)]
        except Empty:
            return []
        return found + [self.heard(0.0) for _ in range(self.said.qsize())]

    def started(self, stop: Callable[[], bool]) -> Any:
        """Wait for the fingerprint of a thread. Raises `WorkerFailure`, `Interrupted`."""
        for _ in range(int(START_LIMIT / POLL)):
            if stop():
                raise Interrupted
            with contextlib.suppress(Empty):
                return self.heard(POLL)
        raise WorkerFailure(f"a device could not begin in {START_LIMIT:.0f} s")

    def heard(self, timeout: float) -> Any:
        """Return what a thread says next. Raises `Empty`; `WorkerFailure` for a fault of its."""
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
