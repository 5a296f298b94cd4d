"""Scoring in this process: no worker at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from evolve.scoring.job import Job, Outcome, ReferenceDiverged
from evolve.scoring.scorer import Scorer
from evolve.scoring.suite import Suite
from evolve.workers.errors import WorkerFailure


class Inline:
    """Scores in this process, one job each time that it is asked for arrivals."""

    def __init__(self, suite: Suite):
        self.scorer = Scorer(suite)
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
