"""How fast a search goes: candidates a second against a compilation each, breeding, and a second
worker.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure import Figure, ratio, seconds
from mutants import mutants
from training import SEED

import baselines
from evolve.config.schema import Budget, Config, TaskSettings, WorkerSettings
from evolve.config.validation import validated
from evolve.environment import available_cores, collect_rarely
from evolve.record.journal import Journal
from evolve.running.drive import Clock, Driver
from evolve.scoring.job import Job
from evolve.scoring.loops import program_loop
from evolve.scoring.suite import make_suite
from evolve.scoring.trial import Runner, Trials
from evolve.search.candidate import CACHED, REJECTED
from evolve.search.mutation import Space, mutate
from evolve.search.search import Search
from evolve.workers.executor import make_executor
from evolve.workers.inline import Inline
from primitives import Program
from primitives.canonical.graph import graph
from primitives.canonical.liveness import live_statements
from primitives.canonical.probe import probe

CHAIN = 5  # mutations from adamw to a parent, at most


def a_search(steps: int, fresh: int, turns: int, by_jit: int) -> Iterator[Figure]:
    """A real search, journal and all, in this process, until so many programs were scored that it
    had not seen.

    In turns with what a user would do without us: one `jax.jit` for each program, here for some
    that the search has just scored, evenly spread.
    """
    config = search_config(steps)
    (task,) = make_suite("bench", list(config.suite)).tasks
    trials = Trials(task)
    chunk, rates, generated, jits, statuses = fresh // turns, [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.sqlite")
        executor = Inline(make_suite("run", list(config.suite)))
        executor.scorer.score(
            Job(str(baselines.get("adamw")), (SEED,))
        )  # compiled once: a figure of its own
        driver = Driver(
            Search(config, [baselines.get("adamw")]),
            executor,
            journal,
            Budget(candidates=10**9),
            Clock(),
        )
        committed = driver.run()
        for _ in range(turns):
            scored: list[Program] = []
            drawn, start = 0, time.process_time()
            while len(scored) < chunk:
                one = next(committed)
                drawn += 1
                statuses.append(one.status)
                if one.status not in (CACHED, REJECTED):
                    scored.append(one.candidate.program)
            spent = time.process_time() - start
            rates.append(spent / chunk)
            generated.append(spent / drawn)
            some = scored[:: max(1, len(scored) // by_jit)][:by_jit]
            jits.append(statistics.mean(seconds(lambda p=p: by_one_jit(trials, p)) for p in some))
        committed.close()
        journal.close()
    yield Figure("one jax.jit each", 1.0 / statistics.median(jits), "programs/s")
    yield Figure("search, evaluated", 1.0 / statistics.median(rates), "programs/s")
    yield Figure("search, evaluated / one jax.jit each", ratio(jits, rates), bar=30.0)
    yield Figure("search, generated", 1.0 / statistics.median(generated), "programs/s")
    yield Figure("search, generated / one jax.jit each", ratio(jits, generated), bar=100.0)
    yield Figure("search, known already", 100 * statuses.count(CACHED) / len(statuses), "%")
    yield Figure("search, rejected cheaply", 100 * statuses.count(REJECTED) / len(statuses), "%")


def search_config(steps: int) -> Config:
    """One seed, and no training ends early: what is scored was trained as `by_one_jit` trains
    it.
    """
    return validated(
        {
            "name": "bench",
            "suite": [{"kind": "digits_dense", "steps": steps}],
            "budget": {"candidates": 10**9},
            "scoring": {"seeds": 1, "select_seeds": 1, "hurdle_percentile": 0, "early": 0},
        },
        "bench",
    )


def by_one_jit(trials: Trials, program: Program) -> float:
    """What a user would do: compile the training loop for one program, run it, evaluate."""
    run = Runner(trials.task, program_loop(trials.task, trials.layout, program))
    begin = trials.begin(SEED)
    final, _ = run(
        program.values | {"learning_rate": program.learning_rate}, begin, trials.schedule
    )
    return float(trials.evaluate(final, begin.data, part="validation"))


def breeding(count: int, turns: int) -> Iterator[Figure]:
    """What the driver does for a candidate, all of it for each: mutate (which checks), liveness,
    graph, key, probe.
    """
    collect_rarely()  # as a run does
    parents = list(
        itertools.islice(mutants(baselines.get("adamw"), CHAIN, seed=1), min(100, count))
    )
    rng = np.random.Generator(np.random.Philox(key=2))

    def breed() -> None:
        for number in range(count):
            child = mutate(parents[number % len(parents)], Space(), rng).program
            values = graph(child)
            moves = probe(values)
            _ = values.key, moves.descends, moves.key
            live_statements(child)

    breed()
    rate = count / statistics.median(seconds(breed) for _ in range(turns))
    yield Figure("mutate, check, liveness, key, probe; one core", rate, "programs/s", bar=5000.0)


def two_workers(steps: int, jobs: int, turns: int) -> Iterator[Figure]:
    """Jobs a second of two local workers over one; and the same for jobs so long that only the
    machine can limit it.
    """
    if available_cores() < 2:
        return
    tasks = [TaskSettings(kind="digits_dense", fields={"steps": steps})]
    suite = make_suite("run", tasks)
    one, two = (make_executor(WorkerSettings(count=count), suite) for count in (1, 2))
    try:
        for executor in (one, two):
            executor.ready()
            throughput(executor, 8, 1)  # both workers are ready, and have the start of their seeds
        for name, seeds, bar in (
            ("2 local workers / 1", 4, 1.9),
            ("2 local workers / 1, jobs of seconds", 160, None),
        ):
            count = max(2, 4 * jobs // seeds)
            speeds = [
                (throughput(one, count, seeds), throughput(two, 2 * count, seeds))
                for _ in range(turns)
            ]
            yield Figure(name, ratio([b for _, b in speeds], [a for a, _ in speeds]), bar=bar)
    finally:
        one.close()
        two.close()


def throughput(executor, jobs: int, seeds: int) -> float:
    """Jobs a second, by the clock on the wall."""
    program = str(baselines.get("lion"))
    start = time.perf_counter()
    for number in range(jobs):
        executor.submit(number, Job(program, tuple(f"{k}:bench" for k in range(seeds))))
    done = 0
    while done < jobs:
        done += len(executor.arrivals(0.05))
    return jobs / (time.perf_counter() - start)
