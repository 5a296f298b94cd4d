"""How fast scoring and breeding are on this machine: `make bench`, or `python tests/benchmarks/bench.py`.

What is compared is measured in turns within one process, so that a machine which slows down slows all sides;
each figure is the median over the turns, a ratio the median of the ratios of the turns.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evolve.environment import pin

pin()  # before jax is imported

import jax  # noqa: E402
import numpy as np  # noqa: E402
import optax  # noqa: E402

import baselines  # noqa: E402
from evolve.mutation import Space, mutate  # noqa: E402
from evolve.trial import Trials  # noqa: E402
from evolve.workers import available_cores  # noqa: E402
from primitives import Program, identity, machine  # noqa: E402
from primitives.graph import graph  # noqa: E402
from proxy_tasks import Task, make_task  # noqa: E402

SEED = "0:bench:0"
CHAIN = 5  # mutations from adamw to a random program

# What a user would write, from the values of our programs by their names there.
BY_HAND: dict[str, Callable] = {
    "adamw": lambda lr, v: optax.adamw(lr, v["beta1"], v["beta2"], v["eps"], weight_decay=v["weight_decay"]),
    "lion": lambda lr, v: optax.lion(lr, v["beta1"], v["beta2"], weight_decay=v["weight_decay"]),
}


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    steps: int = 500
    runs: int = 41  # turns of one trial each
    turns: int = 5
    by_machine: int = 60  # programs a turn
    by_jit: int = 4
    bred: int = 1000
    compilations: int = 3


TINY = Size(steps=5, runs=2, turns=2, by_machine=2, by_jit=1, bred=10, compilations=1)


@dataclass(frozen=True)
class Figure:
    """One number. `goal` reads as at least or at most, by `best`."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    best: str = "high"

    @property
    def met(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.best == "high" else self.value <= self.goal


def seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


# --- what is measured ------------------------------------------------------------------------------


def one_trial(trials: Trials, size: Size) -> Iterator[Figure]:
    """The same trial by the machine, by the meaning compiled for the program, and by optax."""
    w, draws, data = trials.starts(SEED)
    rest = (w, draws, data, trials.schedule)
    for name, by_hand in BY_HAND.items():
        program = baselines.get(name)  # its default learning rate: training stays calm enough to compare losses
        values = program.values
        shape, peak = trials.schedule, program.learning_rate
        optimizer = by_hand(lambda count, shape=shape, peak=peak: peak * shape[count], values)
        code = machine.load(graph(program))
        meaning, hand = trials.compiled(program), trials.by_hand(optimizer)
        ways: dict[str, Callable] = {
            "machine": lambda code=code: trials.run_machine(code, *rest),
            "compiled": lambda meaning=meaning: meaning(*rest),
            "optax": lambda hand=hand: hand(*rest),
        }
        losses = {way: float(trials.evaluate(run()[0], data, part="validation")) for way, run in ways.items()}
        # Rounding differs and training amplifies it, Lion's signs most; another optimizer would be further away.
        assert max(losses.values()) < 1.1 * min(losses.values()), f"{name}: not the same training: {losses}"
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(size.runs):
            for way, run in ways.items():
                times[way].append(seconds(run))
        for way in ways:
            yield Figure(f"{name}, one trial, {way}", 1e3 * statistics.median(times[way]), "ms")
        for way, goal in [("machine", 1.4), ("compiled", None)]:
            ratio = statistics.median(a / b for a, b in zip(times[way], times["optax"], strict=True))
            yield Figure(f"{name}, {way} / optax", ratio, "x", goal, "low")


def fresh_programs(count: int, seed: int = 0) -> list[Program]:
    """Mutants of mutants of adamw, no two alike."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    found: dict[str, Program] = {}
    while len(found) < count:
        program = baselines.get("adamw")
        for _ in range(CHAIN):
            program = mutate(program, Space(), rng).program
        found.setdefault(identity.key(graph(program)), program)
    return list(found.values())


def new_programs(trials: Trials, size: Size) -> Iterator[Figure]:
    """Programs that were never seen before, from their text form to their trained parameters."""
    w, draws, data = trials.starts(SEED)
    rest = (w, draws, data, trials.schedule)
    programs = iter(fresh_programs(size.turns * (size.by_machine + size.by_jit)))
    finite = 0

    def by_machine(program: Program) -> bool:
        return bool(trials.run_machine(machine.load(graph(program)), *rest)[1])

    def by_jit(program: Program) -> bool:
        return bool(trials.compiled(program)(*rest)[1])

    by_machine(baselines.get("adamw"))  # the one compilation of the machine is a figure of its own
    fast, slow = [], []
    for _ in range(size.turns):
        for score, count, rates in [(by_machine, size.by_machine, fast), (by_jit, size.by_jit, slow)]:
            start = time.perf_counter()
            for _ in range(count):
                finite += score(next(programs))
            rates.append(count / (time.perf_counter() - start))
    yield Figure("new programs, machine", statistics.median(fast), "programs/s")
    yield Figure("new programs, one jax.jit each", statistics.median(slow), "programs/s")
    ratio = statistics.median(a / b for a, b in zip(fast, slow, strict=True))
    yield Figure("new programs, machine / jax.jit", ratio, "x", 30.0)
    share = finite / (size.turns * (size.by_machine + size.by_jit))
    yield Figure("new programs that stay finite", 100 * share, "%")


def breeding(size: Size) -> Iterator[Figure]:
    """What the driver does for a candidate: mutate (which checks), canonical form, key, and the probe."""
    parents = fresh_programs(min(100, size.bred), seed=1)
    rng = np.random.Generator(np.random.Philox(key=2))

    def rate(with_probe: bool) -> float:
        start = time.perf_counter()
        for number in range(size.bred):
            values = graph(mutate(parents[number % len(parents)], Space(), rng).program)
            identity.key(values)
            if with_probe:
                probe = identity.probe(values)
                _ = probe.descends, probe.key
        return size.bred / (time.perf_counter() - start)

    rate(True)
    pairs = [(rate(False), rate(True)) for _ in range(size.turns)]
    plain, probed = (statistics.median(column) for column in zip(*pairs, strict=True))
    yield Figure("mutate, check, graph, key", plain, "programs/s", 2000.0)
    yield Figure("the same and probe", probed, "programs/s", 2000.0)


def compiling(task: Task, size: Size) -> Iterator[Figure]:
    """The price of a task, paid once by each worker."""
    times = []
    code = machine.load(graph(baselines.get("adamw")))
    for _ in range(size.compilations):
        trials = Trials(task)
        w, draws, data = trials.starts(SEED)
        start = time.perf_counter()
        trials.run_machine.lower(code, w, draws, data, trials.schedule).compile()
        times.append(time.perf_counter() - start)
    yield Figure("compile the machine for a task", statistics.median(times), "s")


# --- report ----------------------------------------------------------------------------------------


def description(task: Task) -> dict[str, str]:
    """The machine, as far as it matters for a time."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib", "optax", "numpy")]
    device = jax.devices()[0]
    return {
        "processor": processor(),
        "cores": f"{available_cores()}, of which one is used",
        "device": f"{device.platform} ({device.device_kind})",
        "system": f"{platform.system()} {platform.machine()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *versions]),
        "XLA_FLAGS": os.environ["XLA_FLAGS"],
        "load": f"{os.getloadavg()[0]:.1f} processes at the start" if hasattr(os, "getloadavg") else "unknown",
        "task": f"{task.kind}, {task.steps} steps",
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def table(machine_facts: dict[str, str], figures: list[Figure]) -> str:
    """Markdown."""
    lines = ["# Benchmark", "", "Written by `make bench`; read the ratios, the times are those of this machine.", ""]
    lines += [f"- {key}: {value}" for key, value in machine_facts.items()]
    lines += ["", "| figure | value | goal | met |", "|---|---|---|---|"]
    for figure in figures:
        sign = "≥" if figure.best == "high" else "≤"
        goal = "" if figure.goal is None else f"{sign} {figure.goal:,g} {figure.unit}"
        met = {None: "", True: "yes", False: "no"}[figure.met]
        lines.append(
            f"| {figure.name} | {figure.value:,.{3 if figure.value < 100 else 0}f} {figure.unit} | {goal} | {met} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="measure next to nothing: whether it works, not how fast")
    parser.add_argument(
        "--into", type=Path, default=Path(__file__).parent, help="folder of results.json and results.md"
    )
    options = parser.parse_args(arguments)
    size = TINY if options.tiny else Size()
    jax.config.update("jax_enable_compilation_cache", False)  # a compilation is measured, not looked up
    task = make_task("digits_dense", steps=size.steps)
    facts = description(task)
    trials = Trials(task)
    figures: list[Figure] = []
    for part in (compiling(task, size), one_trial(trials, size), new_programs(trials, size), breeding(size)):
        for figure in part:
            print(f"{figure.name}: {figure.value:,.3f} {figure.unit}", file=sys.stderr)
            figures.append(figure)
    results = {"machine": facts, "figures": {f.name: asdict(f) | {"met": f.met} for f in figures}}
    options.into.mkdir(parents=True, exist_ok=True)
    (options.into / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    (options.into / "results.md").write_text(table(facts, figures))
    print(table(facts, figures), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
