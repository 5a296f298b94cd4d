"""Jobs that depend on nothing else, done one after the other or side by side in processes.

A job travels as plain data and is named by what it is about; whoever asks for it writes down what
came out, so that what was interrupted goes on where it stood.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import Any, NamedTuple, Protocol, TypeVar

from evolve.config.errors import ConfigError
from evolve.environment import available_memory
from evolve.interrupt import Interrupted
from evolve.plugins import load_sources, to_send
from evolve.scoring.optimizers import Optimizer, known
from evolve.scoring.suite import task_fields
from evolve.scoring.trial import Trials
from evolve.tuning.watching import Watching
from evolve.workers.serve import die_with
from primitives import parse
from proxy_tasks import Task, make_task

PAUSE = 0.3  # seconds after which it is asked whether to stop
HELD = 32  # tasks whose compiled loops a process keeps: as many as a suite has

Heard = Callable[[int], object]


class TaskFacts(NamedTuple):
    """A task as plain data."""

    kind: str
    fields: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, task: Task) -> TaskFacts:
        """Describe a task."""
        return cls(task.kind, tuple(task_fields(task).items()))

    def compiled(self) -> Trials:
        """Return its compiled loops; the next job is often on the same task."""
        return _compiled(make_task(self.kind, **dict(self.fields)))


class Named(NamedTuple):
    """An optimizer as plain data: a known one by its name, a program by its text too."""

    name: str
    text: str = ""

    def optimizer(self) -> Optimizer:
        """Return what it stands for. Raises `ProgramError`."""
        return parse(self.text, name=self.name) if self.text else known(self.name)


@functools.lru_cache(HELD)
def _compiled(task: Task) -> Trials:
    # Or each would keep as many seeds' data as if it were alone.
    return Trials(task, available_memory() / HELD)


class Job(Protocol):
    """What can be done in another process."""

    @property
    def title(self) -> str:
        """Name it for people."""
        ...

    @property
    def size(self) -> int:
        """Return of how many steps it says that they are done."""
        ...

    def do(self, heard: Heard) -> Any:
        """Do it; `heard` is told how many steps are done. Raises `ConfigError`."""
        ...


AnyJob = TypeVar("AnyJob", bound=Job)


def each_done(
    jobs: Sequence[AnyJob],
    workers: int,
    watching: Watching,
    what: str,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[AnyJob, Any]]:
    """Yield each job as it is done, with what came out, or the `ConfigError` that it raised.

    what: is done, for people, as in "tuning". stop: is asked again and again. Raises `Interrupted`
    once it says True.
    """
    if min(workers, len(jobs)) <= 1:
        for job in jobs:
            with watching(f"{what} {job.title}", job.size) as heard:
                try:
                    yield job, job.do(_until(stop, heard))
                except ConfigError as why:
                    yield job, why
        return

    context = multiprocessing.get_context("spawn")  # jax has threads, which a fork would lose
    with (
        ProcessPoolExecutor(workers, context, _begin, (os.getpid(), to_send())) as pool,
        watching(f"{what} in {workers} processes", len(jobs)) as heard,
    ):
        at = {pool.submit(_done_elsewhere, job): job for job in jobs}
        count = 0
        try:
            while at:
                ready, _ = wait(at, PAUSE, FIRST_COMPLETED)
                if stop():  # before a process that the same Ctrl-C has ended is asked
                    raise Interrupted
                for future in ready:
                    count += 1
                    heard(count)
                    job, why = at.pop(future), future.exception()
                    if why is not None and not isinstance(why, ConfigError):
                        raise why
                    yield job, why or future.result()
        except BaseException:
            for process in multiprocessing.active_children():  # they would finish their jobs
                process.kill()
            raise
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _until(stop: Callable[[], bool], heard: Heard) -> Heard:
    """Return what hears how far a job is, and ends it once it is to stop."""

    def hear(done: int) -> None:
        heard(done)
        if stop():
            raise Interrupted

    return hear


def _begin(driver: int, plugins: list[dict[str, Any]]) -> None:
    """Begin a process that does jobs: it ends with the one that started it, and when asked to."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with(driver)
    load_sources(plugins)


def _done_elsewhere(job: Job) -> Any:
    return job.do(lambda count: None)
