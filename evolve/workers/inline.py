"""Scoring in this process: no worker at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from evolve.scoring.job import ERROR, Job, Outcome, ReferenceDiverged
from evolve.scoring.scorer import Scorer
from evolve.scoring.suite import Suite
from evolve.workers.errors import WorkerFailure


class Inline:
    """Scores in this process, one job each time that it is asked for arrivals."""

    def __init__(self, suite: Suite):
        self.scorer = Scorer(suite)
        self.queue: deque[tuple[int, Job]] = deque()
        self.proven = False  # that anything at all can be scored here

    def ready(self, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        return self.scorer.fingerprint()

    def submit(self, number: int, job: Job) -> None:
        self.queue.append((number, job))

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        if not self.queue:
            return []
        number, job = self.queue.popleft()
        try:
            outcome = self.scorer.try_to_score(job)
            if outcome.status == ERROR and not self.proven:
                self.prove(outcome)
        except ReferenceDiverged as fault:
            raise WorkerFailure(str(fault)) from None
        self.proven = True
        return [(number, outcome)]

    def prove(self, outcome: Outcome) -> None:
        """Score the reference, where the first that was asked for failed: is that the machine?

        Raises `WorkerFailure`, with nothing recorded that is no program's fault.
        """
        try:
            self.scorer.check()
        except ReferenceDiverged:
            raise
        except Exception as fault:
            raise WorkerFailure(
                f"nothing can be scored in this process: {outcome.detail}; and of the reference: "
                f"{type(fault).__name__}: {fault}. If that lasts, empty the cache of compiled "
                "loops, the folder JAX_COMPILATION_CACHE_DIR."
            ) from None

    def close(self) -> None:
        self.queue.clear()
