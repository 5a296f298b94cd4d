"""Workers on Ray: long-lived actors on one machine or many, each with a worker process of its own.

An actor is thin. It holds one process of `evolve.workers.serve` by the same `Local` that serves a
single machine, so deadlines, memory limits, blame and bits are those of local workers, and no
program can hurt the actor.

What is left to the driver is the queue, and the loss of actors and nodes. Ray neither restarts nor
retries anything (`max_restarts=0, max_task_retries=0`): with retries one crashing candidate could
loop for ever. Nodes may come and go at any time. A node that computes other bits than the first one
is not used.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evolve.config.schema import WorkerSettings
from evolve.environment import available_cores, differences, software
from evolve.files import ours
from evolve.interrupt import Interrupted
from evolve.scoring.job import CRASH, Job, Outcome
from evolve.workers.clock import AwakeClock
from evolve.workers.errors import Outage, WorkerFailure
from evolve.workers.gather import gather
from evolve.workers.local import COMMAND, KILLS, START_LIMIT, Local
from evolve.workers.ray_session import connect
from evolve.workers.setup import Setup

BATCH_SECONDS = 0.1  # of work that are sent at once: a call takes 1.3 milliseconds
MOST = 64  # jobs in a batch
AHEAD = 2  # batches with an actor: the next one is there when it has done the first
LOOK = 1.0  # seconds between two looks at what the cluster has
NODE_LIMIT = 1800.0  # seconds in which an autoscaling cluster must have got its first node
BAD_STARTS = 5  # for each actor, one after the other, before the machines are given up
NODE_GONE = "its node has died"  # Ray's words; it may give out a dead node for some seconds
PAUSE = 30.0  # seconds until an actor is tried again after one could not be used
GPU_SHARE = 0.9  # of a device's memory that its workers have together


@dataclass(eq=False)
class _Asked:
    """A job that has no outcome yet."""

    number: int
    job: Job
    kills: int = 0  # actors that were lost with it; from the first on, it travels alone


@dataclass(eq=False)
class _Actor:
    """An actor, as the driver knows it."""

    handle: Any
    ready: bool = False
    flying: int = 0  # batches that it was sent and has not answered


@dataclass
class _Flight:
    """A question to an actor that is not answered yet."""

    actor: _Actor
    batch: list[_Asked]  # jobs to score; none: the question is whether the actor can score
    since: float  # by the clock of the cluster


class Agent:
    """What runs in an actor: one worker process, and the care for it."""

    def __init__(
        self,
        setup: Setup,
        deadline: float,
        memory: float | None,
        share: float,
        command: Sequence[str],
    ):
        """Start the worker. `share`: cores of its machine for one worker."""
        setup = replace(setup, workers=max(1, int(available_cores() / share)))
        self.pool = Local(setup, 1, deadline, memory, command=command)

    def ready(self) -> dict[str, Any]:
        """Wait until the worker can score. Returns what its bits depend on."""
        return self.pool.ready()

    def score(self, batch: list[Job]) -> list[Outcome]:
        """Return the outcomes of jobs, in their order."""
        return gather(self.pool, batch)


class Cluster:
    """Scores in Ray actors."""

    def __init__(
        self,
        setup: Setup,
        settings: WorkerSettings,
        memory: float | None = None,
        log: Path | None = None,
        command: Sequence[str] = COMMAND,
    ):
        """Connect to a cluster, or start one here; the rest is as for `Local`.

        Raises  `WorkerFailure` where no cluster answers.
        """
        self.settings, self.log = settings, log
        self.disconnect = connect(settings)
        import ray
        import ray.exceptions

        self.ray, self.errors = ray, ray.exceptions
        resources = {"TPU": settings.tpus} if settings.tpus else None
        self.agent = ray.remote(Agent).options(
            num_cpus=settings.cpus,
            num_gpus=settings.gpus,
            resources=resources,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": _environment(settings)},
        )
        self.arguments = (setup, settings.deadline, memory, settings.cpus, tuple(command))
        self.actors: list[_Actor] = []
        self.flying: dict[Any, _Flight] = {}
        self.queue: deque[_Asked] = deque()
        self.finished: list[tuple[int, Outcome]] = []
        self.fingerprint: dict[str, Any] | None = None
        self.seconds = BATCH_SECONDS  # that a job takes, about
        self.failed_starts = 0
        self.clock = AwakeClock()
        self.looked, self.paused = -math.inf, -math.inf

    def ready(self, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        started, limit = self.clock(), NODE_LIMIT if self.settings.address else START_LIMIT
        while self.fingerprint is None:
            if stop():
                raise Interrupted
            if self.clock() - started > limit:
                raise WorkerFailure(
                    f"no worker could begin on the Ray cluster in {limit:.0f} s: each one asks for "
                    f"{_wanted(self.settings)}, and all nodes together have "
                    f"{self.ray.cluster_resources()}. "
                    "Ask for less (workers.cpus, workers.gpus, workers.tpus), or add nodes."
                )
            self.finished += self.arrivals(0.05)
        return self.fingerprint

    def submit(self, number: int, job: Job) -> None:
        self.queue.append(_Asked(number, job))  # handed out at the next look at arrivals, together

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        self.hire()
        self.hand_out()
        flying = list(self.flying)
        if not flying:
            time.sleep(timeout)  # for a node to come
            return []
        done, _ = self.ray.wait(flying, num_returns=1, timeout=0 if self.finished else timeout)
        if done and len(flying) > 1:
            done, _ = self.ray.wait(flying, num_returns=len(flying), timeout=0)
        for ref in done:
            self.take(ref)

        now = self.clock()
        for flight in list(self.flying.values()):
            limit = (
                len(flight.batch) * (self.settings.deadline + START_LIMIT)
                if flight.actor.ready
                else math.inf
            )
            if now - flight.since > AHEAD * limit:
                self.lost(flight.actor, "it does not answer any more")
        self.hand_out()
        finished, self.finished = self.finished, []
        return finished

    # --- actors ---------------------------------------------------------------------------------

    def hire(self) -> None:
        """Ask for as many actors as there should be.

        Those that find no room yet wait for a node to come.
        """
        now = self.clock()
        if now - self.looked < LOOK or now - self.paused < PAUSE:
            return
        self.looked = now
        count = self.settings.count
        for _ in range(len(self.actors), self.room() if count == "auto" else count):
            actor = _Actor(self.agent.remote(*self.arguments))
            self.actors.append(actor)
            self.flying[actor.handle.ready.remote()] = _Flight(actor, [], self.clock())

    def room(self) -> int:
        """Return for how many actors there is room on the nodes of now."""
        has, settings = self.ray.cluster_resources(), self.settings
        asks = {"CPU": settings.cpus, "GPU": settings.gpus, "TPU": settings.tpus}
        return min(int(has.get(name, 0.0) / asked + 1e-9) for name, asked in asks.items() if asked)

    def dismiss(self, actor: _Actor) -> list[_Flight]:
        """End an actor. Returns what it had not answered, the batch that it was at first."""
        with contextlib.suppress(Exception):  # it may be gone, and the whole cluster with it
            self.ray.kill(actor.handle)
        self.actors.remove(actor)
        its = {ref: flight for ref, flight in self.flying.items() if flight.actor is actor}
        for ref in its:
            del self.flying[ref]
        return list(its.values())

    def lost(self, actor: _Actor, why: str, *flights: _Flight, node_gone: bool = False) -> None:
        """Give the jobs of an actor to others, for it or its node is gone.

        No job can do that, so none is blamed lightly.
        """
        self.note(f"an actor was lost: {why}")
        flights = (*flights, *self.dismiss(actor))
        for number, flight in enumerate(flights):
            for asked in reversed(flight.batch):
                asked.kills += number == 0
                if asked.kills >= KILLS:
                    detail = f"{asked.kills} actors were lost with it: {why}"
                    self.finished.append((asked.number, Outcome(CRASH, detail=detail)))
                else:
                    self.queue.appendleft(asked)
        if actor.ready:
            self.looked = -math.inf  # the next one at once
        elif not node_gone:  # which says nothing of whether workers can start on others
            self.not_started(why)

    def not_started(self, why: str) -> None:
        """Count an actor that could not begin; after many, give the machines up for a while.

        Raises `WorkerFailure` where none else scores.
        """
        self.failed_starts += 1
        if self.failed_starts > BAD_STARTS * max(1, len(self.actors)):
            if not any(other.ready for other in self.actors):
                raise WorkerFailure(f"workers cannot be started on the Ray cluster: {why}")
            self.failed_starts, self.paused = 0, self.clock()

    def note(self, text: str) -> None:
        """Write a line to the log of the workers."""
        if self.log:
            with contextlib.suppress(OSError), open(self.log, "a", opener=ours) as log:
                log.write(f"{text}\n")

    # --- jobs -----------------------------------------------------------------------------------

    def hand_out(self) -> None:
        """Send batches to the actors that have fewer than they should have."""
        ready = [actor for actor in self.actors if actor.ready]
        for depth in range(AHEAD):  # everybody gets a first batch before anybody gets a second
            for actor in ready:
                if self.queue and actor.flying == depth:
                    batch = self.batch(len(ready))
                    ref = actor.handle.score.remote([asked.job for asked in batch])
                    self.flying[ref] = _Flight(actor, batch, self.clock())
                    actor.flying += 1

    def batch(self, actors: int) -> list[_Asked]:
        """Take the next jobs from the queue: about as many as take `BATCH_SECONDS`.

        No more than leave some for everybody.
        """
        outstanding = len(self.queue) + sum(len(flight.batch) for flight in self.flying.values())
        most = min(MOST, BATCH_SECONDS / self.seconds, outstanding / (AHEAD * actors))
        batch = [self.queue.popleft()]
        while self.queue and len(batch) < most and not batch[0].kills and not self.queue[0].kills:
            batch.append(self.queue.popleft())
        return batch

    def take(self, ref: Any) -> None:
        """Take an answer. Raises `WorkerFailure` for a fault that every actor would have."""
        flight = self.flying.pop(ref, None)
        if flight is None:  # of an actor that was lost a moment ago
            return
        actor = flight.actor
        try:
            answer: Any = self.ray.get(ref)
        except self.errors.RayError as fault:
            cause: Exception = getattr(fault, "cause", None) or fault
            everywhere = isinstance(cause, WorkerFailure) and not isinstance(cause, Outage)
            if everywhere and (flight.batch or self.fingerprint is None):
                raise cause from None  # a task that cannot be, a reference that diverges
            said = str(cause)
            self.lost(actor, said.splitlines()[0], flight, node_gone=NODE_GONE in said)
            return
        if not flight.batch:
            self.begin(actor, answer)
            return
        actor.flying -= 1
        for asked, outcome in zip(flight.batch, answer, strict=True):
            self.finished.append((asked.number, outcome))
            self.seconds += 0.05 * (max(outcome.seconds, 1e-4) - self.seconds)

    def begin(self, actor: _Actor, fingerprint: dict[str, Any]) -> None:
        """Use an actor, if what it computes has the bits of the first one's."""
        expected = self.fingerprint or fingerprint | software()
        if differ := differences(expected, fingerprint):
            whose = "the first one" if self.fingerprint else "the driver"
            why = f"a node has other software or hardware than {whose} ({', '.join(differ)})"
            self.note(f"{why}; it is not used")
            self.dismiss(actor)
            self.not_started(why)
            self.paused = self.clock()
            return
        self.fingerprint, actor.ready, self.failed_starts = fingerprint, True, 0

    def close(self) -> None:
        for actor in list(self.actors):
            self.dismiss(actor)
        self.disconnect()


def _wanted(settings: WorkerSettings) -> str:
    """Say what an actor asks for."""
    asks = {"CPU": settings.cpus, "GPU": settings.gpus, "TPU": settings.tpus}
    return ", ".join(f"{amount:g} {name}" for name, amount in asks.items() if amount)


def _environment(settings: WorkerSettings) -> dict[str, str]:
    """Return the environment variables of an actor.

    The platform is named, for without that a worker would fall back to another one in silence.
    """
    platform = "cuda" if settings.gpus else "tpu" if settings.tpus else "cpu"
    variables = {"JAX_PLATFORMS": platform}
    flags = os.environ.get("XLA_FLAGS", "")
    if settings.gpus:
        flags += " --xla_gpu_deterministic_ops=true"
        if settings.gpus < 1:
            variables["XLA_CLIENT_MEM_FRACTION"] = f"{GPU_SHARE * settings.gpus:.3f}"
    return variables | ({"XLA_FLAGS": flags.strip()} if flags.strip() else {})
