"""What a candidate costs after a million of them, and how long it takes to go on.

Search, driver and journal are the real ones; the scores are a hash of the program, so that nothing
is trained. A thousand candidates are bred. Then the same thousand are continued in two journals
that differ in what lies before: nothing, or their copies with other numbers, keys and probes, up to
a million rows, with their chain and checkpoints. Random numbers belong to a candidate's number, so
both must breed the same programs from there: what differs is the cost of a long journal and of a
large memory, and nothing else. `--real` breeds all of them instead (many minutes).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import baselines
from evolve.config.presets import load_config, load_suite
from evolve.config.schema import Config
from evolve.record.checkpoint import Gathered, restore
from evolve.record.journal import Journal
from evolve.record.rows import Row
from evolve.running import drive
from evolve.running.drive import Clock, Driver
from evolve.scoring.job import Job, Outcome
from evolve.search.candidate import CACHED, Candidate
from evolve.search.search import Search

sys.path.append(str(Path(__file__).parent.parent))  # where this is a script

from promises.synthetic import scored

FEW = 1000  # rows of the short journal
PHASE = 4000  # candidates a phase, of the quickstart
BLOCK = 256  # candidates between two looks at the clock
Figures = Iterator[tuple[str, float, str]]


class Instant:
    """Scores at once: a number with heavy tails, from a hash of the program; some diverge."""

    def __init__(self) -> None:
        self.queue: deque[tuple[int, Job]] = deque()

    def submit(self, number: int, job: Job) -> None:
        self.queue.append((number, job))

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        number, job = self.queue.popleft()
        return [(number, scored(job))]


def settings(phase: int) -> Config:
    """The quickstart's search without an end."""
    config = load_config("quickstart", (f"search.phase={phase}", "budget={candidates: 1000000000}"))
    return config.model_copy(update={"suite": load_suite("quickstart")[1]})


def new_search(phase: int, start: Search | None = None) -> Search:
    """A search at its beginning; or after one phase, of which it knows what the initial program of
    `start` scored.
    """
    config = settings(phase)
    search = Search(config, [baselines.get(name) for name in config.search.initial])
    if start is not None:
        search.scores.fitness.extend([start.scores.fitness[0]] * phase)
        search.scores.first.extend([start.scores.first[0]] * phase)
    return search


def life(search: Search, journal: Journal, begin: int | None = None) -> Driver:
    return Driver(search, Instant(), journal, search.config.budget, Clock(), begin=begin)


# --- journals to continue -------------------------------------------------------------------------


@dataclass(frozen=True)
class Begun:
    """The thousand candidates that both journals have in common, and the search after them."""

    candidates: list[Candidate]
    rows: list[Row]
    search: Search
    in_flight: list[Candidate]

    @classmethod
    def bred(cls, folder: Path) -> Begun:
        every, drive.EVERY = drive.EVERY, FEW
        try:
            with contextlib.closing(Journal(folder / "begun")) as journal:
                committed = list(itertools.islice(life(new_search(PHASE), journal).run(), FEW + 1))[
                    :FEW
                ]
                search = new_search(PHASE)
                in_flight, _ = restore(search, journal, FEW)
                return cls(
                    [c.candidate for c in committed],
                    list(journal.rows())[:FEW],
                    search,
                    [*in_flight.values()],
                )
        finally:
            drive.EVERY = every


def later(candidate: Candidate, by: int, phase: int) -> Candidate:
    numbers = {name: getattr(candidate, name) for name in ("number", "parent", "same_as")}
    moved = {name: None if number is None else number + by for name, number in numbers.items()}
    return replace(candidate, phase=phase, **moved)


def another(key: bytes, copy: int) -> bytes:
    """The key that a program has in one of the copies."""
    return key and hashlib.blake2b(f"{copy}:{key.hex()}".encode(), digest_size=16).digest()


def lengthened(path: Path, rows: int, search: Search, begun: Begun) -> None:
    """Write a journal from where `search` is to `rows` candidates: copies of the thousand, and last
    the thousand.
    """
    gathered, chain = Gathered(), bytes(32)
    with contextlib.closing(Journal(path)) as journal:
        for before in range(len(search.scores), rows, FEW):
            last, made = before + FEW == rows, []
            for n, (candidate, row) in enumerate(zip(begun.candidates, begun.rows, strict=True)):
                candidate = later(candidate, before, phase=int(last))
                if not last:
                    keys = {
                        "key": another(candidate.key, before),
                        "probe": another(candidate.probe, before),
                    }
                    candidate = replace(candidate, **keys)
                names = ("number", "phase", "parent", "same_as")
                moved = {name: getattr(candidate, name) for name in names}
                row = replace(row, key=candidate.key.hex(), **moved)
                chain = row.linked(chain)
                made.append(replace(row, chain=chain))
                search.scores.fitness.append(begun.search.scores.fitness[n])
                search.scores.first.append(begun.search.scores.first[n])
                gathered.add(made[-1], candidate, search)
            search.population, search.hall_of_fame.entries = (
                [replace(one, number=one.number + before) for one in some]
                for some in (begun.search.population, begun.search.hall_of_fame)
            )
            search.phase, search.tally = int(last), begun.search.tally
            point = gathered.checkpoint(
                search, [later(c, before, phase=int(last)) for c in begun.in_flight]
            )
            journal.put(made, point)
            gathered = Gathered(point.number, point.seal)


# --- what is measured -----------------------------------------------------------------------------


def flat(short: Driver, long: Driver, blocks: int) -> Figures:
    """CPU time of the same candidates after few and after many rows, block by block in turns."""
    lives = [short.run(), long.run()]
    times: list[list[float]] = [[], []]
    statuses: Counter[str] = Counter()
    for block in range(blocks + 1):
        said: list[list[tuple]] = [[], []]
        for side in (0, 1) if block % 2 else (1, 0):
            start = time.process_time()
            taken = list(itertools.islice(lives[side], BLOCK))
            times[side].append((time.process_time() - start) / BLOCK)
            said[side] = [(c.candidate.key, c.status, c.fitness) for c in taken]
        if said[0] != said[1]:
            raise AssertionError("not the same candidates")
        statuses.update(status for _, status, _ in said[0])
    few, many = (side[1:] for side in times)  # the first block finds cold memory
    yield f"candidate after {FEW:,} rows", 1e6 * statistics.median(few), "µs"
    yield f"candidate after {long.replaying:,} rows", 1e6 * statistics.median(many), "µs"
    yield (
        "candidate, many rows / few",
        statistics.median(b / a for a, b in zip(few, many, strict=True)),
        "x",
    )
    yield "candidates known already", 100 * statuses[CACHED] / statuses.total(), "%"


def endurance(rows: int, blocks: int = 16) -> Figures:
    """The figures at a number of rows, a multiple of a thousand: (name, value, unit).

    Needs 1.4 KB of disk a row.
    """
    phase = rows - FEW
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as opened:
        begun = Begun.bred(Path(folder))
        drivers = []
        for name, start in (("short", begun.search), ("long", None)):
            path = Path(folder) / name
            lengthened(path, rows, new_search(phase, start), begun)
            journal = opened.enter_context(contextlib.closing(Journal(path)))
            drivers.append(life(new_search(phase, start), journal, begin=rows))
        yield from flat(*drivers, blocks)
        opened.close()
        yield from resumed(path, phase)


def resumed(path: Path, phase: int) -> Figures:
    """The figures of going on with a journal, in a process of its own: memory is that of a resume
    and no more.
    """
    yield "journal", path.stat().st_size / 2**20, "MiB"
    command = [sys.executable, __file__, "--resume", str(path), "--phase", str(phase)]
    yield from json.loads(
        subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    )


def resume(path: Path, phase: int) -> Figures:
    start, used = time.perf_counter(), time.process_time()
    with contextlib.closing(Journal(path)) as journal:
        driver = life(new_search(phase), journal)
        with contextlib.closing(driver.run()) as all_of_them:
            new = itertools.dropwhile(lambda c: c.candidate.number < driver.replaying, all_of_them)
            next(new)
            yield "resume of many rows", time.perf_counter() - start, "s"
            yield "resume of many rows, time of the processor", time.process_time() - used, "s"
            yield "rows that were resumed", driver.replaying, ""
            yield "of these, bred again", driver.replaying - driver.began, ""
            for _ in itertools.islice(new, 2 * BLOCK):
                pass
        yield "memory at its peak, many rows", peak(), "MiB"


def really(candidates: int) -> Figures:
    """Breed them all; the CPU time of a candidate in each tenth of the run, and the share that was
    known already.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        with contextlib.closing(Journal(path)) as journal:
            all_of_them = life(new_search(PHASE), journal).run()
            for since in range(0, candidates, candidates // 10):
                start = time.process_time()
                statuses = Counter(
                    c.status for c in itertools.islice(all_of_them, candidates // 10)
                )
                spent = (time.process_time() - start) / statuses.total()
                yield f"candidate after {since:,} rows", 1e6 * spent, "µs"
                yield (
                    f"known already after {since:,} rows",
                    100 * statuses[CACHED] / statuses.total(),
                    "%",
                )
            yield "memory of the whole run", peak(), "MiB"
            all_of_them.close()
        yield from resumed(path, PHASE)


def peak() -> float:
    """The most memory that this process has held, in MiB; `ru_maxrss` would begin with that of its
    parent.
    """
    (line,) = (
        line
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 2**10


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="a multiple of 1,000")
    parser.add_argument("--real", action="store_true", help="breed all of them")
    parser.add_argument("--resume", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--phase", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.resume:
        print(json.dumps(list(resume(options.resume, options.phase))))
        return
    for name, value, unit in really(options.rows) if options.real else endurance(options.rows):
        print(f"{name}: {value:,.3f} {unit}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
