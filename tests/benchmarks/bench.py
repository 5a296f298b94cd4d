"""How fast everything is on this machine: `make bench`, or `python tests/benchmarks/bench.py`.

What is compared is measured in turns within one process, so that a machine which slows down slows
all sides; a ratio is the median of the ratios of the turns.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from evolve.environment import pin

pin()  # before jax is imported

import jax  # noqa: E402
from calls import CASES, call_by_call  # noqa: E402
from endurance import endurance  # noqa: E402
from measure import Figure  # noqa: E402
from method import method  # noqa: E402
from searching import a_search, breeding, two_workers  # noqa: E402
from training import OF_SEARCH, TASKS, against_optax, compiling, first_candidate  # noqa: E402
from workers import driver, ray_against_local  # noqa: E402

from evolve.environment import available_cores  # noqa: E402
from evolve.scoring.suite import suite_of  # noqa: E402
from proxy_tasks import make_task  # noqa: E402


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    share: float = 1.0  # of the steps of a training against optax
    steps: int = 500  # of a training in a search; AdamW is tuned for 60 and for 500
    turns: int = 0  # 0: as many as each measurement wants
    fresh: int = 2000
    bred: int = 2000
    jobs: int = 32
    batch: int = 32
    by_jit: int = 3  # programs that are compiled one by one, for each turn
    repeats: int = 40  # of a comparison of AdamW with itself


TINY = Size(
    share=0.12, steps=60, turns=1, fresh=4, bred=20, jobs=2, batch=2, by_jit=1, repeats=1
)  # one length: one compilation


def measurements(size: Size) -> Iterator[Iterator[Figure]]:
    """All of them, one after the other."""

    def turns(count: int) -> int:
        return size.turns or count

    yield breeding(size.bred, turns(7))  # first, in a process that has trained nothing, as a driver
    for kind, (length, count, bar) in TASKS.items():
        if size is TINY and kind != "digits_dense":  # which compiles in no time
            continue
        task = make_task(kind, steps=max(2, int(length * size.share)))
        yield against_optax(task, turns(count), bar)
    if size is not TINY:
        steps, count, bar = OF_SEARCH
        for task in suite_of("search"):
            yield against_optax(replace(task, steps=steps), count, bar, ["adamw"])
    yield a_search(size.steps, size.fresh, turns(10), size.by_jit)
    if size is not TINY:  # who works where is tested elsewhere
        yield two_workers(size.steps, size.jobs, turns(9))
        yield ray_against_local(size.steps, turns(9))
        yield driver()
    for (ancestor, kind), (length, bar) in CASES.items():
        if size is TINY and bar is None:
            continue
        shortened = max(2, int(length * size.share))
        yield call_by_call(
            ancestor, kind, shortened, bar, turns(3), size.batch, max(1, size.batch // 8)
        )
    if size is not TINY:  # 40 repeats, and one alone says nothing
        yield method(size.repeats)
    yield compiling(make_task("digits_dense", steps=size.steps), turns(3))
    if size is not TINY:
        yield many_candidates(1_000_000)
        one = [{"kind": "digits_dense", "steps": size.steps}]
        yield first_candidate(one, 1, turns(3), 10.0, 4.0)
        several = [entry.model_dump() for entry in suite_of("search").settings]
        yield first_candidate(several, 2, turns(3), 30.0, 8.0)


def many_candidates(rows: int) -> Iterator[Figure]:
    """What a long run costs, with its bars."""
    bars = {
        "candidate, many rows / few": 1.1,
        "memory at its peak, many rows": 1024.0,
        "resume of many rows": 10.0,
    }
    for name, value, unit in endurance(rows):
        yield Figure(name, value, unit, bar=bars.get(name), most=True)


def description() -> dict[str, str]:
    """The machine, as far as it matters for a time."""
    versions = [
        f"{name} {importlib.metadata.version(name)}" for name in ("jax", "jaxlib", "optax", "numpy")
    ]
    device = jax.devices()[0]
    return {
        "processor": processor(),
        "cores": f"{available_cores()}, of which one is used but for two workers",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "device": f"{device.platform} ({device.device_kind})",
        "system": f"{platform.system()} {platform.machine()}",
        "versions": ", ".join([f"Python {platform.python_version()}", *versions]),
        "XLA_FLAGS": os.environ["XLA_FLAGS"],
        "load": f"{os.getloadavg()[0]:.1f} processes at the start",
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
    lines = [
        "# Benchmark",
        "",
        "Written by `make bench`; read the ratios, the times are those of this machine.",
        "",
    ]
    lines += [f"- {key}: {value}" for key, value in machine_facts.items()]
    lines += ["", "| figure | value | bar | met |", "|---|---|---|---|"]
    for figure in figures:
        met = {None: "", True: "yes", False: "no"}[figure.met]
        digits = 3 if figure.value < 100 else 0
        lines.append(
            f"| {figure.name} | {figure.value:,.{digits}f} {figure.unit} | {figure.asked} | {met} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tiny",
        action="store_true",
        help="measure next to nothing: whether it works, not how fast",
    )
    parser.add_argument(
        "--only", default="", help="measurements whose name contains this, printed and not written"
    )
    parser.add_argument(
        "--into",
        type=Path,
        default=Path(__file__).parent,
        help="folder of results.json and results.md",
    )
    options = parser.parse_args(arguments)
    jax.config.update(
        "jax_enable_compilation_cache", options.tiny
    )  # a compilation is measured, not looked up
    facts, began = description(), time.perf_counter()
    figures: list[Figure] = []
    for measurement in measurements(TINY if options.tiny else Size()):
        if options.only not in measurement.__name__:
            continue
        for figure in measurement:
            print(
                f"{figure.name}: {figure.value:,.3f} {figure.unit} {figure.asked}",
                file=sys.stderr,
                flush=True,
            )
            figures.append(figure)
    facts["duration"] = f"{time.perf_counter() - began:.0f} s"
    if not options.only:
        options.into.mkdir(parents=True, exist_ok=True)
        results = {
            f.name: {"value": f.value, "unit": f.unit, "bar": f.asked, "met": f.met}
            for f in figures
        }
        text = json.dumps({"machine": facts, "figures": results}, indent=1, ensure_ascii=False)
        (options.into / "results.json").write_text(text + "\n")
        (options.into / "results.md").write_text(table(facts, figures))
    print(table(facts, figures), end="")


if __name__ == "__main__":
    main(sys.argv[1:])
