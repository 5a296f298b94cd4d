"""Promise 9, long runs: the millionth candidate costs what the first ones cost, in time and in
memory.

The run is a real one, with its search, driver, journal, checkpoints, files, commands and workers;
only the scores come out of a hash (`synthetic.py`), so that nothing is trained. Every phase starts
from the initial program: one asks as much as another.

Memory is flat if driver and workers hold at most a tenth more at the end than after a tenth of the
run. What the driver knows of every candidate takes 16 bytes, and 48 more of one that is new: 7 % of
it after a million.

Cost is flat if in no tenth of the run a candidate takes a tenth more time of the driver's processor
than in the first. A program that is known already costs a quarter of one that is new, and there are
more and more of them: so what breeding costs is measured by kind, and the kinds are weighed as in
the whole run. And a machine slows down and
recovers: so time is counted in a fixed piece of work, which is done again and again in between.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from statistics import median
from typing import Any

import baselines
import evolve.running.life
import evolve.search.search
import evolve.workers.executor
import primitives.canonical.probe
import primitives.canonical.values
from evolve.config.presets import load_config
from evolve.record.folder import RunFolder
from evolve.running.drive import Driver
from evolve.running.facts import Plan
from evolve.search import index
from evolve.search.candidate import Candidate, Committed, generator
from evolve.search.mutation import Space, mutate
from evolve.search.search import Search
from evolve.workers.local import Local
from primitives.canonical.graph import graph
from primitives.canonical.probe import probe

SYNTHETIC = (sys.executable, str(Path(__file__).with_name("synthetic.py")))
COMMAND = (sys.executable, "-P", "-c", "import evolve.commands.main; evolve.commands.main.main()")
LOOK = 256  # candidates from one look to the next
PIECES = 16  # candidates from one piece of work to the next; and how many different ones there are
MORE = 1000  # candidates of the life after
MIB = 2**20


@dataclass(frozen=True)
class Size:
    """How long the run is, and what is allowed."""

    candidates: int
    phase: int
    smaller: int  # are all caches by so much, to be full after a tenth of the run
    memory: float  # at the end / after a tenth
    cost: float  # dearest tenth / first
    status: float  # seconds of the command
    resume: float  # seconds to the first new candidate


SHORT = Size(4_000, 400, 16, 1.05, 2.0, 60.0, 60.0)  # beside other tests
LONG = Size(1_000_000, 4000, 1, 1.1, 1.1, 2.0, 10.0)


def keep(place: Path, long: bool) -> dict[str, object]:
    """Run so many candidates, look at the run as people do, and go on with it."""
    return kept(place, LONG if long else SHORT)


def kept(place: Path, size: Size) -> dict[str, object]:
    began = time.monotonic()
    folder = begun(place, size)
    looks = list(lived(folder, size, size.candidates))
    minutes = (time.monotonic() - began) / 60
    tenth = len(looks) // 10
    early, last = looks[tenth], looks[-1]
    costs = costs_by_tenths(looks[1:])
    asked = time.monotonic()
    said = subprocess.run(
        [*COMMAND, "status", folder.path], capture_output=True, text=True, check=True
    ).stdout
    status = time.monotonic() - asked
    asked = time.monotonic()
    resumed = list(lived(folder, size, size.candidates + MORE))
    (resume,) = (look["now"] - asked for look in resumed if look["number"] == size.candidates)
    figures = {
        "candidates": size.candidates,
        "minutes": round(minutes, 1),
        "driver MiB after a tenth": round(early["driver"]),
        "driver MiB at the end": round(last["driver"]),
        "workers MiB after a tenth": round(early["workers"]),
        "workers MiB at the end": round(last["workers"]),
        "driver µs a candidate, first tenth": round(1e6 * costs[0][1]),
        "driver µs a candidate, last tenth": round(1e6 * costs[-1][1]),
        "dearest tenth / first": round(max(cost for cost, _ in costs) / costs[0][0], 3),
        "last tenth / first": round(costs[-1][0] / costs[0][0], 3),
        "journal MiB": round(folder.journal.stat().st_size / MIB),
        "WAL MiB at most": round(max(look["wal"] for look in looks), 1),
        "file descriptors": f"{early['files']} -> {last['files']}",
        "status s": round(status, 1),
        "resume s": round(resume, 1),
        "resume MiB at its peak": round(resumed[-1]["peak"]),
    }
    shown = json.dumps(figures, ensure_ascii=False)
    assert f"\n  {last['scored']:,} trained" in said, f"{said}\n{shown}"
    assert f"{size.candidates:,} candidates in" in said, f"{said}\n{shown}"
    for who in ("driver", "workers"):
        assert last[who] <= size.memory * early[who], f"memory of {who} grows: {shown}"
    assert max(cost for cost, _ in costs) <= size.cost * costs[0][0], (
        f"candidates get dearer: {costs}, {shown}"
    )
    assert early["files"] == last["files"], f"files are left open: {shown}"
    assert figures["WAL MiB at most"] <= 16, f"the journal is not written through: {shown}"
    assert status <= size.status, f"status takes too long: {shown}"
    assert resume <= size.resume, f"going on takes too long: {shown}"
    return figures


def begun(place: Path, size: Size) -> RunFolder:
    """A run that has not begun to search."""
    changes = (
        f"search.phase={size.phase}",
        f"search.repeats={size.candidates}",
        f"budget={{candidates: {size.candidates}}}",
        "workers={kind: local, count: 2}",
    )
    plan = Plan.of(load_config("quickstart", changes))
    return RunFolder.create(place, plan.config, plan.config.model_dump(mode="json"), plan.inputs)


def lived(folder: RunFolder, size: Size, candidates: int) -> Iterator[dict[str, Any]]:
    """What is seen of a life of the run, in a process of its own, up to so many candidates."""
    command = [sys.executable, "-P", __file__, str(folder.path), str(candidates), str(size.smaller)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield from map(json.loads, process.stdout)
    assert process.returncode == 0, "the run broke off"


def costs_by_tenths(looks: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """What a candidate cost in each tenth, were its kinds as frequent as in the whole run: pieces
    of work, seconds.
    """
    drawn = sum((Counter(look["drawn"]) for look in looks), Counter())
    costs = []
    for n in range(10):
        of = looks[n * len(looks) // 10 : (n + 1) * len(looks) // 10]
        spent = sum((Counter(look["spent"]) for look in of), Counter())
        count = sum((Counter(look["drawn"]) for look in of), Counter())
        rest = sum(look["seconds"] for look in of) - spent.total()
        cost = rest / count.total() + sum(
            drawn[k] / drawn.total() * spent[k] / count[k] for k in drawn
        )
        costs.append((cost / median(look["pieces"] for look in of), cost))
    return costs


# --- a life, in a process of its own --------------------------------------------------------------


class Timed(Search):
    """Knows what breeding costs, by what comes out."""

    def __init__(self, *given: Any):
        super().__init__(*given)
        self.spent: Counter[str] = Counter()
        self.drawn: Counter[str] = Counter()

    def draw(self, number: int) -> Candidate:
        start = time.process_time()
        candidate = super().draw(number)
        kind = "rejected" if candidate.reason else "known" if candidate.job is None else "new"
        self.spent[kind] += time.process_time() - start
        self.drawn[kind] += 1
        return candidate


class Observed(Driver):
    """Says on standard output, as JSON, what it sees of itself."""

    def run(self) -> Iterator[Committed]:
        before, pieces = time.process_time(), 0.0
        for count, committed in enumerate(super().run()):
            number = committed.candidate.number
            if (
                count % PIECES == 0
            ):  # one at a time, so that it meets the memory of the processor as breeding does
                pieces += piece(count // PIECES % PIECES)
            if count % LOOK == 0 or number in (self.replaying, self.budget.candidates - 1):
                seconds = time.process_time() - before - pieces
                print(json.dumps(self.look(number, seconds, pieces)), flush=True)
                self.search.spent.clear()
                self.search.drawn.clear()
                before, pieces = time.process_time(), 0.0
            yield committed

    def look(self, number: int, seconds: float, pieces: float) -> dict[str, Any]:
        return {
            "number": number,
            "now": time.monotonic(),
            "scored": self.search.tally.evaluated,
            "seconds": seconds,
            "spent": self.search.spent,
            "drawn": self.search.drawn,
            "pieces": pieces,
            "driver": memory("self", "VmRSS"),
            "peak": memory("self", "VmHWM"),
            "workers": max(memory(worker.process.pid, "VmRSS") for worker in self.executor.workers),
            "files": len(os.listdir("/proc/self/fd")),
            "wal": Path(f"{self.journal.path}-wal").stat().st_size / MIB,
        }


START = baselines.get("adamw")
SPACE = Space()


def piece(number: int) -> float:
    """Seconds of the processor for a fixed piece of work: to breed one of a few children."""
    start = time.process_time()
    values = graph(mutate(START, SPACE, generator(0, number)).program)
    _ = values.key
    probe.__wrapped__(values)  # not what is remembered of it
    return time.process_time() - start


def memory(process: int | str, what: str) -> float:
    """MiB that a process holds; `ru_maxrss` would begin with the peak of its parent."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what))) / 2**10


def live(path: str, candidates: str, smaller: str) -> None:
    primitives.canonical.values._MANY //= int(smaller)
    primitives.canonical.probe._MANY //= int(smaller)
    fewer = probe.cache_parameters()["maxsize"] // int(smaller)
    evolve.search.search.probe = lru_cache(fewer)(probe.__wrapped__)
    index.RECENT //= int(smaller)
    evolve.running.life.Search, evolve.running.life.Driver = Timed, Observed
    evolve.workers.executor.Local = partial(Local, command=SYNTHETIC)
    folder = RunFolder.open(path)
    config = folder.config()
    budget = config.budget.model_copy(update={"candidates": int(candidates)})
    plan = Plan.from_folder(folder, config.model_copy(update={"budget": budget}))
    evolve.running.life.execute(folder, plan)


if __name__ == "__main__":
    live(*sys.argv[1:])
