"""Who scores: this process, its devices, spawned processes, or Ray.

Workers are dumb; the driver decides everything. All kinds take jobs with a number and give back
outcomes with that number, in any order.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import jax

from evolve.config.schema import WorkerSettings
from evolve.environment import available_cores
from evolve.scoring.job import Job, Outcome
from evolve.scoring.suite import Suite
from evolve.workers.devices import Devices
from evolve.workers.inline import Inline
from evolve.workers.local import Local
from evolve.workers.setup import Setup


class Executor(Protocol):
    """Scores jobs, in any order."""

    def ready(self, stop: Callable[[], bool] = ...) -> dict[str, Any]:
        """Wait until a worker can score, and return what the bits of its scores depend on.

        Raises  `WorkerFailure`; `Interrupted` when asked to stop.
        """
        ...

    def submit(self, number: int, job: Job) -> None:
        """Take a job, under a number that no other job has at this time."""
        ...

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        """Return outcomes that have arrived, with their numbers.

        Waits up to `timeout` seconds for the first. Raises `WorkerFailure`.
        """
        ...

    def close(self) -> None:
        """End all workers, whatever they are at."""
        ...


def make_executor(settings: WorkerSettings, suite: Suite, log: Path | None = None) -> Executor:
    """Start the workers that a config asks for, to score on a suite.

    `log` gets what they print. Raises `WorkerFailure`.
    """
    kind = settings.kind
    if kind == "auto":  # spawned processes share a CPU well, and an accelerator badly
        kind = "local" if _on_cpu() else "devices"
    if kind in ("inline", "devices"):
        return Inline(suite) if kind == "inline" else Devices(suite)

    count = available_cores() if settings.count == "auto" else settings.count
    memory = None if settings.memory == "auto" else settings.memory * 2**30
    setup = Setup.of(suite, count)
    if kind == "local":
        return Local(setup, count, settings.deadline, memory, log)
    from evolve.workers.ray_actors import Cluster  # Ray is imported where it is asked for

    return Cluster(setup, settings, memory, log)


def _on_cpu() -> bool:
    """Tell whether workers compute on the CPU: they do unless `JAX_PLATFORMS` says otherwise.

    Where it leaves the choice to jax, asking starts jax, which takes its time.
    """
    return os.environ.get("JAX_PLATFORMS", "cpu") == "cpu" or jax.default_backend() == "cpu"
