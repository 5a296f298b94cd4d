"""Promise 4, poison: what hangs, crashes or eats the memory gets its outcome in time, and hurts
nobody else.

Every deed of `poisoned.py` is done by a program among innocent ones, on workers that know it, local
and on Ray. A poison is handed out when a worker is free, so that its seconds are its own, and
innocents are queued behind it.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from promises import poisoned

import baselines
from evolve.config.schema import Config, TaskSettings, WorkerSettings
from evolve.record.journal import Journal
from evolve.running.drive import Clock, Driver
from evolve.scoring.job import CRASH, DIVERGED, MACHINE, OK, TIMEOUT, Job, Outcome
from evolve.scoring.references import Values, tuned, tuned_values
from evolve.scoring.scorer import Scorer
from evolve.scoring.suite import Suite, make_suite
from evolve.search.candidate import CACHED, generator
from evolve.search.mutation import Space, mutate
from evolve.search.search import Search
from evolve.workers.local import LOG_BYTES, STRIKES, Local
from evolve.workers.ray_actors import Cluster
from evolve.workers.setup import Setup
from primitives import Program, parse
from primitives.registry import registered_for_a_while
from proxy_tasks import TASKS, make_task

COMMAND = [sys.executable, "-P", poisoned.__file__]
FIELDS = {"dim": 32, "steps": 60}
TASK = TaskSettings(kind="poisoned", fields=FIELDS)
MEMORY = 2 << 30
DEADLINE = 3.0  # seconds; no less than a worker takes to start
# Seconds after the deadline in which an outcome must be there; no less than fresh workers take to
# start
BEYOND = 5.0
BEHIND = 4  # innocents queued behind every poison
READ = 1 << 16  # bytes of the last read of what is printed
LEAK = 128 << 20  # bytes by which the driver may grow
MARK = "PRIDE_POISON"  # in the environment of all that is started from here

# The short form does most deeds, each in one way; those on Ray stand for one kind of end each.
SHORT = (
    "called_hang", "called_fail", "traced_wrong_shape", "evaluated_fork", "called_segfault",
    "called_print_without_end",
)  # fmt: skip
SHORT_ON_RAY = ("traced_spin", "called_allocate", "called_not_a_number", "called_print_a_line")


@dataclass
class Fed:
    """What came of poisons and innocents, by number."""

    deadline: float
    names: dict[int, str] = field(default_factory=dict)
    given: dict[int, float] = field(default_factory=dict)
    seconds: dict[int, float] = field(
        default_factory=dict
    )  # from when it was handed out to its outcome
    outcomes: dict[int, Outcome] = field(default_factory=dict)

    def give(self, pool: Any, name: str, job: Job) -> None:
        number = len(self.names)
        self.names[number], self.given[number] = name, time.monotonic()
        pool.submit(number, job)

    def take(self, number: int, outcome: Outcome) -> None:
        assert number not in self.outcomes, f"{self.names[number]} has two outcomes"
        self.outcomes[number], self.seconds[number] = outcome, time.monotonic() - self.given[number]


def keep(place: Path, long: bool) -> dict[str, object]:
    """All deeds on local workers, some on Ray; long: each in all ways on both. Then a search."""
    mark = uuid.uuid4().hex
    with (
        mock.patch.dict(os.environ, {MARK: mark}),
        registered_for_a_while(),
        mock.patch.dict(TASKS),
    ):
        poisoned.register()
        setup = made_setup(place, workers := 4 if long else 2)
        innocents = {name: Job(str(p), ("0:search:0",)) for name, p in mutants(200 if long else 20)}
        scorer = Scorer(poisoned_suite())
        straight = {name: scorer.try_to_score(job) for name, job in innocents.items()}
        assert [o.status for o in straight.values()].count(OK) > len(straight) / 2
        programs = poisoned.programs()
        names = list(programs) if long else list(SHORT)

        figures = {"kinds of poison": len(names)}
        fed: list[Fed] = []
        before = resident()
        log = place / "workers.log"
        with contextlib.closing(Local(setup, workers, DEADLINE, MEMORY, log, COMMAND)) as pool:
            pool.ready()
            pool.deadline = deadline_here(place)
            fed.append(feed(pool, names, innocents, 0, free_worker, pool.deadline))
            log_bytes, searched = log.stat().st_size, search(place, pool)
        assert log_bytes <= LOG_BYTES + READ, f"{log} has {log_bytes:,} bytes"
        grown = resident() - before
        assert grown < LEAK, f"the driver has grown by {grown:,} bytes"
        on_ray: list[Fed] = []
        settings = WorkerSettings(kind="ray", count=workers, deadline=deadline_here(place))
        with contextlib.closing(
            Cluster(setup, settings, MEMORY, place / "ray.log", COMMAND)
        ) as cluster:
            cluster.ready()
            chosen = names if long else list(SHORT_ON_RAY)
            on_ray.append(feed(cluster, chosen, innocents, 1, free_actor, settings.deadline))

        later = max(starts(place)[workers:])  # nobody waits for the first ones
        beyond = max(BEYOND, STRIKES * later)
        figures["outcomes right, local"] = judge(fed, straight, beyond)
        figures["outcomes right, Ray"] = judge(on_ray, straight, beyond)
        everybody = [(f, n) for f in fed + on_ray for n in f.names]
        poisons = [(f, n) for f, n in everybody if f.names[n] in programs]
        figures |= {
            "slowest beyond the deadline, s": round(
                max(f.seconds[n] - f.deadline for f, n in poisons), 1
            ),
            "slowest start of a worker, s": round(later, 1),
            "innocents": len(everybody) - len(poisons),
            "innocents with another score": 0,
            "scheduled again": 0,
            "cached in a search": searched,
            "processes left": len(processes_left(mark)),
            "log KiB": log_bytes >> 10,
        }
    assert figures["processes left"] == 0, processes_left(mark)
    return figures


# --- what is needed -------------------------------------------------------------------------------


def made_setup(place: Path, workers: int) -> Setup:
    """What a worker must know; the poisoned task has the reference of the task that it was made
    of.
    """
    return replace(Setup.of(poisoned_suite(), workers), folder=str(place))


def honest_values() -> Values:
    return tuned_values(make_task("noisy_quadratic", **FIELDS))


def poisoned_suite() -> Suite:
    suite = make_suite("run", [TASK])
    return replace(suite, given=dict.fromkeys(suite.fingerprints, honest_values()))


def mutants(count: int) -> Iterator[tuple[str, Program]]:
    """Innocents: tuned AdamW, one or two mutations away, with a name each."""
    start = tuned("adamw", make_task("poisoned", **FIELDS), honest_values())
    for number in range(count):
        rng = generator(4, number)
        program = mutate(start, Space(), rng).program
        yield f"innocent {number}", mutate(program, Space(), rng).program if number % 2 else program


def starts(place: Path) -> list[float]:
    """Seconds that each worker took to start here, so far."""
    return [float(line) for line in (place / poisoned.STARTS).read_text().split()]


def deadline_here(place: Path) -> float:
    return max([DEADLINE, *starts(place)])


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def processes_left(mark: str, within: float = 5.0) -> list[str]:
    """What was started from here and is there after so many seconds still."""
    end = time.monotonic() + within
    while (found := list(marked(mark))) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def marked(mark: str) -> Iterator[str]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    yield (
                        (entry / "cmdline")
                        .read_bytes()
                        .replace(b"\0", b" ")
                        .decode(errors="replace")
                    )


# --- all at once ----------------------------------------------------------------------------------


def free_worker(pool: Local) -> bool:
    return not pool.queue and any(worker.ready and not worker.held for worker in pool.workers)


def free_actor(cluster: Cluster) -> bool:
    return not cluster.queue and any(actor.ready and not actor.flying for actor in cluster.actors)


def feed(
    pool: Any,
    names: list[str],
    innocents: dict[str, Job],
    seed: int,
    is_free: Callable[[Any], bool],
    deadline: float,
) -> Fed:
    """Hand out poisons in a random order, each to a free worker, with innocents behind it; wait for
    all outcomes.
    """
    rng = random.Random(seed)
    programs = poisoned.programs()
    waiting = deque(rng.sample(names, len(names)))
    fed = Fed(deadline)
    while waiting or len(fed.outcomes) < len(fed.names):
        if waiting and is_free(pool):
            name = waiting.popleft()
            fed.give(pool, name, Job(programs[name][0], ("0:search:0",)))
            for innocent in rng.sample(list(innocents), BEHIND):
                fed.give(pool, innocent, innocents[innocent])
        for number, outcome in pool.arrivals(0.05):
            fed.take(number, outcome)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:  # nobody is scheduled again
        assert not pool.arrivals(0.05)
    return fed


def judge(fed: list[Fed], straight: dict[str, Outcome], beyond: float) -> int:
    """How many poisons have the outcome that they should; all, or this raises."""
    programs = poisoned.programs()
    wrong, right = [], 0
    for one in fed:
        for number, name in one.names.items():
            outcome, seconds = one.outcomes[number], one.seconds[number]
            if name in straight:
                assert outcome == straight[name], f"{name}: {outcome}, and inline {straight[name]}"
                continue
            why = []
            if outcome.status != programs[name][1]:
                why.append(f"{outcome.status} ({outcome.detail}), not {programs[name][1]}")
            if seconds > one.deadline + beyond:
                why.append(f"{seconds:.1f} s with a deadline of {one.deadline:.1f}")
            why += spoken(name, outcome)
            wrong += [f"{name}: {', '.join(why)}"] * bool(why)
            right += not why
    assert not wrong, "\n".join(wrong)
    return right


def spoken(name: str, outcome: Outcome) -> Iterator[str]:
    """What is wrong with what people are told."""
    words = outcome.detail
    if outcome.status not in (OK, DIVERGED) and not words:
        yield "nothing is said"
    if not words.isprintable() or len(words) > 700:
        yield f"it says what cannot be shown: {words!r}"
    if name.endswith("_fail") and "it does not work" not in words:
        yield f"what went wrong is not in {words!r}"
    lost = re.match(r"(\d+) workers? w", words)
    if outcome.status in MACHINE and not (lost and int(lost[1]) <= STRIKES):
        yield f"it should say that at most {STRIKES} workers were lost: {words!r}"


# --- in a search ----------------------------------------------------------------------------------


def search(place: Path, pool: Local) -> int:
    """A search from innocent and poisonous programs ends, and is replayed without a worker; how
    many were `cached`.
    """
    programs = [
        tuned("adamw", make_task("poisoned", **FIELDS), honest_values()),
        baselines.get("lion"),
    ]
    programs += 2 * [
        parse(poisoned.programs()[name][0], name=name) for name in ("traced_spin", "called_leave")
    ]
    config = Config.model_validate(
        {
            "suite": [{"kind": TASK.kind} | FIELDS],
            "search": {"population": 12, "tournament": 8, "lag": 8},
            "budget": {"candidates": 30},
            "scoring": {"seeds": 1, "select_seeds": 1},
        }
    )
    asked: list[str] = []

    class Told:
        """Says what is asked."""

        def submit(self, number: int, job: Job) -> None:
            asked.append(job.program)
            pool.submit(number, job)

        def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
            return pool.arrivals(timeout)

    with contextlib.closing(Journal(place / "journal.sqlite")) as journal:
        driver = Driver(Search(config, programs), Told(), journal, config.budget, Clock())
        found = list(driver.run())
        assert len(found) == 30
        assert len(set(asked)) == len(asked), "a program was scored twice"
        poison = [
            c
            for c in found
            if "traced_" in str(c.candidate.program) or "called_" in str(c.candidate.program)
        ]
        statuses = {c.candidate.number: c.status for c in poison}
        assert [statuses[n] for n in range(2, 6)] == [TIMEOUT, CRASH, CACHED, CACHED], statuses
        assert set(statuses.values()) <= {TIMEOUT, CRASH, CACHED}, statuses
        asked.clear()
        again = Driver(Search(config, programs), Told(), journal, config.budget, Clock(), begin=0)
        assert [c.status for c in again.run()] == [c.status for c in found]
        assert again.chain == driver.chain
        assert not asked, "what is recorded was scored again"
    return sum(status == CACHED for status in statuses.values())
