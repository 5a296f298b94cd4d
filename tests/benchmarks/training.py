"""How fast one candidate is trained: the machine against optax, compilation, the first candidate of
a process.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import optax
from measure import Figure, in_turns, ratio, seconds

import baselines
from evolve.scoring.optax_optimizer import OptaxOptimizer
from evolve.scoring.trial import Trials
from primitives.canonical.graph import graph
from primitives.machine import step as machine
from proxy_tasks import Task

SEED = "0:bench:0"

# What a user would write, from the values of our programs by their names there.
BY_HAND: dict[str, Callable] = {
    "adamw": lambda lr, v: optax.adamw(
        lr, v["beta1"], v["beta2"], v["eps"], weight_decay=v["weight_decay"]
    ),
    "lion": lambda lr, v: optax.lion(lr, v["beta1"], v["beta2"], weight_decay=v["weight_decay"]),
}

# task -> steps, turns, bar. The larger the task, the smaller the share of the optimizer.
TASKS = {
    "digits_dense": (500, 41, 1.15),
    "digits_conv": (100, 31, 1.05),
    "char_transformer": (20, 41, 1.05),
}


OF_SEARCH = (100, 11, 1.15)  # steps, turns and bar for each task of the suite `search`


def against_optax(
    task: Task, turns: int, bar: float, names: Sequence[str] = tuple(BY_HAND)
) -> Iterator[Figure]:
    """The same training by the machine, by the meaning compiled for the program, and by optax."""
    kind, trials = task.kind, Trials(task)
    begin = trials.begin(SEED)
    for name in names:
        by_hand = BY_HAND[name]
        program = baselines.get(
            name
        )  # its default learning rate: training stays calm enough to compare losses
        shape, peak = trials.schedule, program.learning_rate
        optimizer = by_hand(
            lambda count, shape=shape, peak=peak: peak * shape[count], program.values
        )
        runs = {"machine": trials.runner(program), "compiled": trials.compiled(program)}
        runs["optax"] = trials.compiled(
            OptaxOptimizer("optax", "", (), lambda optimizer=optimizer: optimizer)
        )
        ways: dict[str, Callable] = {
            way: lambda run=run, args=args: run(args, begin, trials.schedule)
            for way, (run, args) in runs.items()
        }
        losses = {
            way: float(trials.evaluate(run()[0], begin.data, part="validation"))
            for way, run in ways.items()
        }
        # Rounding differs and training amplifies it, Lion's signs most; another optimizer would be
        # further away.
        assert max(losses.values()) < 1.1 * min(losses.values()), (
            f"{name}: not the same training: {losses}"
        )
        times = in_turns(ways, turns)
        yield Figure(
            f"{kind}, {name}: machine / optax",
            ratio(times["machine"], times["optax"]),
            bar=bar,
            most=True,
        )
        yield Figure(f"{kind}, {name}: compiled / optax", ratio(times["compiled"], times["optax"]))
        yield Figure(f"{kind}, {name}: optax", 1e3 * statistics.median(times["optax"]), "ms")


def compiling(task: Task, turns: int) -> Iterator[Figure]:
    """The price of a task, paid once by each worker that finds nothing in the cache."""
    times = []
    code = machine.load(graph(baselines.get("adamw")))
    for _ in range(turns):
        trials = Trials(task)
        begin = jax.block_until_ready(trials.begin(SEED))
        times.append(
            seconds(lambda trials=trials, begin=begin: trials.machine(code, begin, trials.schedule))
        )
    yield Figure("compile the machine for a task", statistics.median(times), "s")


FIRST = """
from evolve.environment import pin; pin()
import json, sys
from evolve.config.schema import TaskSettings, WorkerSettings
from evolve.scoring.job import Job
from evolve.scoring.suite import make_suite
from evolve.workers.executor import make_executor
import baselines
tasks = [TaskSettings.model_validate(task) for task in json.loads(sys.argv[1])]
executor = make_executor(WorkerSettings(count=int(sys.argv[2])), make_suite("run", tasks))
executor.ready()
executor.submit(0, Job(str(baselines.get("lion")), ("0:bench:0",)))
outcomes = []
while not outcomes:
    outcomes = executor.arrivals(1.0)
executor.close()
print(outcomes[0][1].status)
"""


def first_candidate(
    tasks: list[dict[str, Any]], workers: int, turns: int, cold_bar: float, warm_bar: float
) -> Iterator[Figure]:
    """From the start of a process to the first outcome of a worker that it spawned: import, data,
    compile, score.
    """
    what = f"first candidate on {len(tasks)} tasks" if len(tasks) > 1 else "first candidate"
    cold, warm = [], []
    for _ in range(turns):
        with tempfile.TemporaryDirectory() as folder:
            for times in (cold, warm):
                start = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-c", FIRST, json.dumps(tasks), str(workers)],
                    env=os.environ
                    | {"JAX_COMPILATION_CACHE_DIR": folder, "JAX_ENABLE_COMPILATION_CACHE": "true"},
                    capture_output=True,
                    text=True,
                )
                assert done.stdout == "ok\n", done.stderr
                times.append(time.perf_counter() - start)
    for how, times, bar in (
        ("nothing compiled", cold, cold_bar),
        ("compiled before", warm, warm_bar),
    ):
        yield Figure(f"{what}, {how}", statistics.median(times), "s", bar=bar, most=True)
