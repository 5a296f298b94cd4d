"""What handing out work costs: Ray against local workers, and how many results a driver can take
in.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from measure import Figure, ratio
from mutants import mutants
from searching import throughput

import baselines
from evolve.config.presets import load_config, load_suite
from evolve.config.schema import TaskSettings, WorkerSettings
from evolve.record.journal import Journal
from evolve.running.drive import Clock, Driver
from evolve.scoring.job import Job
from evolve.scoring.suite import make_suite
from evolve.search.candidate import Candidate
from evolve.search.search import Search
from evolve.workers.executor import make_executor
from evolve.workers.ray_actors import Cluster
from evolve.workers.setup import Setup
from primitives.canonical.graph import graph
from primitives.canonical.probe import probe

LAG = 256  # of a small cluster: 16 for each of 16 workers
SYNTHETIC = (sys.executable, str(Path(__file__).parent.parent / "promises" / "synthetic.py"))


def ray_against_local(steps: int, turns: int, call: float = 0.5) -> Iterator[Figure]:
    """Calls of half a second each on two workers, in turns; all are up, so Ray's own processes are
    there for both.
    """
    tasks = [TaskSettings(kind="digits_dense", fields={"steps": steps})]
    with contextlib.ExitStack() as opened:
        executors = [
            make_executor(WorkerSettings(kind=kind, count=2), make_suite("run", tasks))
            for kind in ("local", "ray")
        ]
        for executor in executors:
            opened.callback(executor.close)
            executor.ready()
            throughput(executor, 16, 1)  # both workers are ready, and have the start of their seeds
        each = throughput(executors[0], 8, 8)
        seeds = max(1, round(call * each * 8 / 2))  # `each` is of two workers
        for executor in executors:
            throughput(executor, 2, seeds)
        speeds = [
            tuple(throughput(executor, 8, seeds) for executor in executors) for _ in range(turns)
        ]
        yield Figure("a call, local workers", 1e3 * 2 / speeds[0][0], "ms")
        local, remote = map(list, zip(*speeds, strict=True))
        yield Figure(
            "Ray / local workers, time of a call", ratio(local, remote), bar=1.03, most=True
        )


class Bred(Search):
    """A search that has nothing left to do but to take in outcomes."""

    def __init__(self, config: Any, programs: list):
        super().__init__(config, [baselines.get(name) for name in config.search.initial])
        self.bred = programs

    def needed(self, number: int) -> int:
        return max(0, number - self.settings.lag)

    def draw(self, number: int) -> Candidate:
        program, key, text = self.bred[number % len(self.bred)]
        job = Job(text, self.seeds, select=self.select_seeds)
        return Candidate(number, 0, None, "bred", program, f"{number:032x}", key, job=job)


def driver(results: int = 20_000, programs: int = 500) -> Iterator[Figure]:
    """Queue, batches, Ray, order, hash chain, journal: everything that a driver does for a result
    but to breed.
    """
    found = []
    start = replace(baselines.get("adamw"), doc="")  # as a search starts
    for program in itertools.islice(mutants(start, 8), min(programs, results)):
        values = graph(program)
        found.append((program, probe(values).key.hex(), str(program)))
    budget = f"budget={{candidates: {results}}}"
    config = load_config("quickstart", (f"search.lag={LAG}", f"search.phase={results}", budget))
    config = config.model_copy(update={"suite": load_suite("quickstart")[1]})
    setup = Setup([], "adamw", {}, ".", workers=2)
    executor = Cluster(setup, WorkerSettings(kind="ray", count=2), command=SYNTHETIC)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Journal(Path(folder) / "journal")) as journal,
    ):
        try:
            executor.ready()
            life = Driver(Bred(config, found), executor, journal, config.budget, Clock())
            used, start = time.process_time(), time.perf_counter()
            taken = sum(1 for _ in life.run())
            used, took = time.process_time() - used, time.perf_counter() - start
        finally:
            executor.close()
    yield Figure(
        "results that a driver takes in, Ray, a second of its own",
        taken / used,
        "results/s",
        bar=5000.0,
    )
    yield Figure("results that a driver takes in, Ray, on this machine", taken / took, "results/s")
