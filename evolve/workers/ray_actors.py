"""Workers on Ray: long-lived actors on one machine or many, each with a worker process of its own.

An actor is thin. It holds one process of `evolve.workers.serve` by the same `Local` that serves a
single machine, so deadlines, memory limits, blame and bits are those of local workers, and no
program can hurt the actor. What is left to the driver is the queue, and the loss of actors and
nodes: Ray neither restarts nor retries anything (`max_restarts=0, max_task_retries=0`; with retries
one crashing candidate could loop for ever). Nodes may come and go at any time. A node that computes
other bits than the first one did is not used.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evolve.config.schema import WorkerSettings
from evolve.environment import available_cores
from evolve.interrupt import Interrupted
from evolve.scoring.job import CRASH, Job, Outcome
from evolve.workers.local import (
    COMMAND,
    KILLS,
    START_LIMIT,
    Local,
    Outage,
    WorkerFailure,
)

BATCH_SECONDS = 0.1  # of work that are sent at once: a call takes 1.3 milliseconds
MOST = 64  # jobs in a batch
AHEAD = 2  # batches with an actor: the next one is there when it has done the first
LOOK = 1.0  # seconds between two looks at what the cluster has
NODE_LIMIT = 1800.0  # seconds in which an autoscaling cluster must have got its first node
REACH = 10.0  # seconds in which the head of a cluster must answer
BAD_STARTS = 5  # for each actor, one after the other, before the machines are given up
PAUSE = 30.0  # seconds until an actor is tried again after one could not be used
STORE = 100 << 20  # bytes of Ray's object store on one machine, which nothing here needs
# Ray reads these when it is imported: a Ray of our own listens on 127.0.0.1 alone, and reports
# nothing to anybody.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
GPU_SHARE = 0.9  # of a device's memory that its workers have together


@dataclass(eq=False)
class _Asked:
    number: int
    job: Job
    kills: int = 0  # actors that were lost with it; from the first on, it travels alone


@dataclass(eq=False)
class _Actor:
    handle: Any
    ready: bool = False
    flying: int = 0  # batches


@dataclass
class _Flight:
    actor: _Actor
    batch: list[_Asked]  # empty: whether the actor can score
    since: float = field(default_factory=time.monotonic)


class Agent:
    """What runs in an actor: one worker process, and the care for it."""

    def __init__(
        self,
        setup: dict[str, Any],
        deadline: float,
        memory: float | None,
        share: float,
        command: Sequence[str],
    ):
        """share: cores of its machine for one worker."""
        setup = setup | {"workers": max(1, int(available_cores() / share))}
        self.pool = Local(setup, 1, deadline, memory, command=command)

    def ready(self) -> dict[str, Any]:
        return self.pool.ready()

    def score(self, batch: list[tuple[int, Job]]) -> list[tuple[int, Outcome]]:
        for number, job in batch:
            self.pool.submit(number, job)
        found: list[tuple[int, Outcome]] = []
        while len(found) < len(batch):
            found += self.pool.arrivals(1.0)
        return found


class Cluster:
    """Scores in Ray actors."""

    def __init__(
        self,
        setup: dict[str, Any],
        settings: WorkerSettings,
        memory: float | None = None,
        log: Path | None = None,
        command: Sequence[str] = COMMAND,
    ):
        """See `pool.Local`. Raises `WorkerFailure` where no cluster answers."""
        self.settings, self.log = settings, log
        self.disconnect = connect(settings)
        import ray

        self.ray = ray
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
        self.looked, self.paused = -math.inf, -math.inf

    def ready(self, stop: Callable[[], bool] = lambda: False) -> dict[str, Any]:
        started, limit = time.monotonic(), NODE_LIMIT if self.settings.address else START_LIMIT
        while self.fingerprint is None:
            if stop():
                raise Interrupted
            if time.monotonic() - started > limit:
                raise WorkerFailure(
                    f"no worker could begin on the Ray cluster in {limit:.0f} s: each one asks for "
                    f"{_wanted(self.settings)}, and all nodes together have "
                    f"{self.ray.cluster_resources()}. "
                    "Ask for less (workers.cpus, workers.gpus, workers.tpus), or add nodes."
                )
            self.finished += self.arrivals(0.05)
        return self.fingerprint

    def submit(self, number: int, job: Job) -> None:
        self.queue.append(
            _Asked(number, job)
        )  # handed out with the next look at arrivals: together

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        """Outcomes that have arrived; waits up to `timeout` seconds for the first."""
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
        for flight in list(self.flying.values()):
            limit = (
                len(flight.batch) * (self.settings.deadline + START_LIMIT)
                if flight.actor.ready
                else math.inf
            )
            if time.monotonic() - flight.since > AHEAD * limit:
                self.lost(flight.actor, "it does not answer any more")
        self.hand_out()
        finished, self.finished = self.finished, []
        return finished

    # --- actors ---------------------------------------------------------------------------------

    def hire(self) -> None:
        """Ask for as many actors as there should be; those that find no room yet wait for a node to
        come.
        """
        now = time.monotonic()
        if now - self.looked < LOOK or now - self.paused < PAUSE:
            return
        self.looked = now
        count = self.settings.count
        for _ in range(len(self.actors), self.room() if count == "auto" else count):
            actor = _Actor(self.agent.remote(*self.arguments))
            self.actors.append(actor)
            self.flying[actor.handle.ready.remote()] = _Flight(actor, [])

    def room(self) -> int:
        """How many actors the nodes that are there have room for."""
        has, settings = self.ray.cluster_resources(), self.settings
        asks = {"CPU": settings.cpus, "GPU": settings.gpus, "TPU": settings.tpus}
        return min(int(has.get(name, 0.0) / asked + 1e-9) for name, asked in asks.items() if asked)

    def dismiss(self, actor: _Actor) -> list[_Flight]:
        """End an actor; what it was at, the running batch first."""
        with contextlib.suppress(Exception):  # it may be gone, and the whole cluster with it
            self.ray.kill(actor.handle)
        self.actors.remove(actor)
        its = {ref: flight for ref, flight in self.flying.items() if flight.actor is actor}
        for ref in its:
            del self.flying[ref]
        return list(its.values())

    def lost(self, actor: _Actor, why: str, *flights: _Flight) -> None:
        """An actor or its node is gone: its jobs go to others.

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
            return
        self.failed_starts += 1
        if self.failed_starts > BAD_STARTS * max(1, len(self.actors)):
            if not any(other.ready for other in self.actors):
                raise WorkerFailure(f"workers cannot be started on the Ray cluster: {why}")
            self.failed_starts, self.paused = 0, time.monotonic()

    def note(self, text: str) -> None:
        if self.log:
            with contextlib.suppress(OSError), self.log.open("a") as log:
                log.write(f"{text}\n")

    # --- jobs -----------------------------------------------------------------------------------

    def hand_out(self) -> None:
        ready = [actor for actor in self.actors if actor.ready]
        for depth in range(AHEAD):  # everybody gets a first batch before anybody gets a second
            for actor in ready:
                if self.queue and actor.flying == depth:
                    batch = self.batch(len(ready))
                    ref = actor.handle.score.remote([(asked.number, asked.job) for asked in batch])
                    self.flying[ref] = _Flight(actor, batch)
                    actor.flying += 1

    def batch(self, actors: int) -> list[_Asked]:
        """The next jobs, about as many as take `BATCH_SECONDS`, and no more than leave some for
        everybody.
        """
        outstanding = len(self.queue) + sum(len(flight.batch) for flight in self.flying.values())
        most = min(MOST, BATCH_SECONDS / self.seconds, outstanding / (AHEAD * actors))
        batch = [self.queue.popleft()]
        while self.queue and len(batch) < most and not batch[0].kills and not self.queue[0].kills:
            batch.append(self.queue.popleft())
        return batch

    def take(self, ref: Any) -> None:
        flight = self.flying.pop(ref, None)
        if flight is None:  # of an actor that was lost a moment ago
            return
        actor = flight.actor
        try:
            answer = self.ray.get(ref)
        except self.ray.exceptions.RayError as fault:
            cause = getattr(fault, "cause", None)
            everywhere = isinstance(cause, WorkerFailure) and not isinstance(cause, Outage)
            if everywhere and (flight.batch or self.fingerprint is None):
                raise cause from None  # a task that cannot be, a reference that diverges
            self.lost(actor, str(cause or fault).splitlines()[0], flight)
            return
        if not flight.batch:
            self.begin(actor, answer)
            return
        actor.flying -= 1
        self.finished += answer
        for _, outcome in answer:
            self.seconds += 0.05 * (max(outcome.seconds, 1e-4) - self.seconds)

    def begin(self, actor: _Actor, fingerprint: dict[str, Any]) -> None:
        """Use an actor, if what it computes has the bits of the first one's."""
        if self.fingerprint not in (None, fingerprint):
            self.note(f"a node is not used, for it has other software or hardware: {fingerprint}")
            self.dismiss(actor)
            self.paused = time.monotonic()
            return
        self.fingerprint, actor.ready, self.failed_starts = fingerprint, True, 0

    def close(self) -> None:
        for actor in list(self.actors):
            self.dismiss(actor)
        self.disconnect()


def _wanted(settings: WorkerSettings) -> str:
    asks = {"CPU": settings.cpus, "GPU": settings.gpus, "TPU": settings.tpus}
    return ", ".join(f"{amount:g} {name}" for name, amount in asks.items() if amount)


def _environment(settings: WorkerSettings) -> dict[str, str]:
    """Of an actor.

    Without its platform by name, a worker would fall back to another one without a word.
    """
    platform = "cuda" if settings.gpus else "tpu" if settings.tpus else "cpu"
    variables = {"JAX_PLATFORMS": platform}
    flags = os.environ.get("XLA_FLAGS", "")
    if settings.gpus:
        flags += " --xla_gpu_deterministic_ops=true"
        if settings.gpus < 1:
            variables["XLA_CLIENT_MEM_FRACTION"] = f"{GPU_SHARE * settings.gpus:.3f}"
    return variables | ({"XLA_FLAGS": flags.strip()} if flags.strip() else {})


def connect(settings: WorkerSettings) -> Callable[[], None]:
    """Connect to a cluster, or start one on this machine; what undoes it.

    Raises `WorkerFailure`.
    """
    if not settings.address:
        os.environ.update(LOOPBACK)
        # Without one, Ray writes a token that everybody on this machine can read into the user's
        # home.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    if ray.is_initialized():  # by whoever called: theirs to end
        return lambda: None
    if settings.address:
        _authenticated(settings.address)
        _reached(settings.address)
        options: dict[str, Any] = {"address": settings.address}
        folder = None
    else:
        count = 0 if settings.count == "auto" else math.ceil(settings.count * settings.cpus)
        folder = _folder()
        options = {
            "num_cpus": max(available_cores(), count),
            "include_dashboard": False,
            "object_store_memory": STORE,
            "_temp_dir": folder,
        }
    try:
        with _own_signals():
            ray.init(log_to_driver=False, logging_level="ERROR", **options)
    except Exception as fault:  # Ray has no common one for this
        _remove(folder)
        where = f"at {settings.address}" if settings.address else "on this machine"
        raise WorkerFailure(
            f"Ray does not answer {where}: {str(fault).splitlines()[0] or type(fault).__name__}"
        ) from None

    def disconnect() -> None:
        with _own_signals():
            ray.shutdown()
        _remove(folder)

    return disconnect


def _authenticated(address: str) -> None:
    """Refuse a cluster where everybody who reaches a port can run code, unless the user says so."""
    mode = os.environ.get("RAY_AUTH_MODE")
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if mode is None and not token.is_file() and "RAY_AUTH_TOKEN" not in os.environ:
        raise WorkerFailure(
            f"the Ray cluster at {address} would be used without authentication. Set "
            f"RAY_AUTH_MODE=token on every node "
            "(evolve/CLUSTER.md says how), or RAY_AUTH_MODE=disabled to go without."
        )


def _reached(address: str) -> None:
    """Ray itself goes on trying for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=REACH).close()
    except OSError as fault:
        why = fault.strerror or fault
        raise WorkerFailure(
            f"no Ray cluster answers at {address} ({why}). Give HOST:PORT as `ray start --head` "
            f"says it."
        ) from None


def _folder() -> str:
    """A place for a Ray of our own.

    Ray's usual one can be read and written by everybody on this machine.
    """
    root = (
        Path("/tmp") if os.path.isdir("/tmp") else Path(tempfile.gettempdir())
    )  # sockets need a short name
    for left in root.glob("pride-ray-*-*"):  # by drivers that were killed
        driver = left.name.split("-")[2]
        with contextlib.suppress(OSError):
            if (
                left.stat().st_uid == os.getuid()
                and driver.isdecimal()
                and not Path("/proc", driver).exists()
            ):
                shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"pride-ray-{os.getpid()}-", dir=root)


def _remove(folder: str | None) -> None:
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep our handlers: Ray puts one of its own in their place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
