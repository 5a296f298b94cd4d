"""Handing out a list of jobs, and waiting for all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from evolve.interrupt import Interrupted
from evolve.scoring.job import Job, Outcome
from evolve.workers.executor import Executor

POLL = 0.05  # seconds between looks at an interrupt


def gather(
    executor: Executor,
    jobs: Sequence[Job],
    stop: Callable[[], bool] = lambda: False,
    done: Callable[[int], object] = lambda count: None,
) -> list[Outcome]:
    """Return the outcomes of jobs, in their order; nothing else may be with the executor.

    done: is told again and again how many have come.
    Raises  `Interrupted` when asked to stop.
    """
    for number, job in enumerate(jobs):
        executor.submit(number, job)

    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < len(jobs):
        if stop():
            raise Interrupted
        outcomes.update(executor.arrivals(POLL))
        done(len(outcomes))
    return [outcomes[number] for number in range(len(jobs))]
