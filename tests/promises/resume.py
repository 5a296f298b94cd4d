"""Promise 1, exact resume: wherever the driver is killed, the run ends as if nothing had happened.

Runs are killed again and again, at random moments and at named points, and resumed each time. What
they record, step by step, must be the beginning of what an undisturbed run records; in the end it
must be all of it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from promises import runs

from evolve.record.folder import NotARun, RunFolder
from evolve.record.status import status

AT_ONCE = 2  # runs at the same time: most of a short life is one process that starts
KILLS = {False: 5, True: 25}  # of one run, at random moments; long: of each of eight
CANDIDATES = {False: 240, True: 600}
# As in a real search, scoring takes most of the time.
AT_RANDOM = {
    long: (f"budget.candidates={count}", "scoring.seeds=20") for long, count in CANDIDATES.items()
}
AT_POINTS = ("budget.candidates=300",)

Point = tuple[str, int, str]  # its name in `driven.py`, which time the driver comes there, workers

EXPORTS = ("program.py", "optax.py", "summary.json")  # as they are written at the end of a run


def stages(names: tuple[str, ...], long: bool) -> list[str]:
    """The points at which a driver can die while it replaces files; short: one for each file, and
    not the same.
    """
    found = [[f"half of {name}", f"{name} written", f"{name} renamed"] for name in names]
    return [
        stage for n, its in enumerate(found) for stage in (its if long else its[n % 3 : n % 3 + 1])
    ]


@dataclass
class Life:
    """What a driver did before it ended, as far as it said so."""

    given: list[int] = field(default_factory=list)  # candidates that were handed out to be scored
    heard: set[int] = field(default_factory=set)
    acknowledged: int = 0  # rows of which the journal said that they are safe
    confirms: bool = False  # whether it came to the confirmation
    waits: bool = False  # whether it ended inside `arrivals`

    @classmethod
    def read(cls, log: Path) -> Life:
        life = cls()
        for line in log.read_text().splitlines() if log.exists() else []:
            word, *numbers = line.split()
            life.waits = word == "waits"
            if word == "confirms":
                life.confirms = True
            elif word == "acknowledged":
                life.acknowledged = int(numbers[0])
            elif word == "given" and not life.confirms:
                life.given += map(int, numbers)
            elif word == "heard" and not life.confirms:
                life.heard.update(map(int, numbers))
        return life

    def scored(self, workers: str) -> bool:
        """Whether a candidate was being scored in its last moment.

        Somebody has it and has not said what came out: workers at any time, the driver itself while
        it is asked.
        """
        in_flight = set(self.given) - self.heard
        return bool(in_flight) and not self.confirms and (workers != "inline" or self.waits)


class Killed:
    """A run that is killed again and again. Every life is looked at when it has ended."""

    def __init__(
        self, root: Path, nursery: runs.Nursery, settings: tuple[str, ...], figures: Counter[str]
    ):
        root.mkdir()
        self.root, self.nursery, self.settings, self.figures = root, nursery, settings, figures
        self.undisturbed = runs.run_folder(undisturbed(nursery.place, settings))
        self.straight = runs.recorded(self.undisturbed)
        self.rows: runs.Rows = []
        self.lives = 0
        self.scored: set[int] = set()

    @property
    def folder(self) -> Path | None:
        return runs.run_folder(self.root)

    def start(self, workers: str, anew: bool = False, **asked: object) -> runs.Command:
        """The next life. anew: as a process that imports everything itself, as a user's does."""
        self.lives += 1
        self.log = self.root / f"{self.lives}.log"
        start = (
            partial(runs.start, self.nursery.place, output=str(self.nursery.output))
            if anew
            else self.nursery.start
        )
        words = begin(self.root, self.settings) if self.folder is None else ["resume", self.folder]
        return start(*words, "--workers", workers, log=str(self.log), **asked)

    def wait_for(self, row: int, process: runs.Command) -> None:
        runs.wait_until(
            lambda: Life.read(self.log).acknowledged >= row, process, f"{row} rows", pause=0.005
        )

    def look(self, process: runs.Command) -> Life:
        """What holds after a kill, whenever it comes."""
        code = process.wait(runs.PATIENCE)
        assert code == -9, (
            f"life {self.lives} ended by itself, with {code}: {self.nursery.last_words()}"
        )
        life = self.take_stock(process)
        if self.folder is not None and (self.folder / "meta.json").is_file():
            said = status(RunFolder.open(self.folder))
            assert (said["state"], said["candidates"]) == ("stopped", len(self.rows)), said
        return life

    def end(self) -> None:
        """Let it come to its end, which must be that of the run that nothing disturbed."""
        process = self.start("inline")
        assert process.wait(runs.PATIENCE) == 0, self.nursery.last_words()
        self.take_stock(process)
        runs.assert_same_end(self.folder, self.undisturbed)
        assert status(RunFolder.open(self.folder))["state"] == "finished"
        needed = {row[0] for row in self.straight if row[9] is not None}
        assert self.scored == needed, "each candidate that needs a score was scored, and no other"

    def take_stock(self, process: runs.Command) -> Life:
        """Compare what a life said with what is there, and that with what was there before and
        should be.
        """
        life, rows, before = Life.read(self.log), runs.recorded(self.folder), len(self.rows)
        figures = self.figures
        figures["acknowledged"] += max(0, life.acknowledged - before)
        figures["lost"] += max(0, max(life.acknowledged, before) - len(rows))
        figures["evaluated twice"] += sum(number < before for number in life.given)
        figures["evaluated twice"] += len(life.given) - len(set(life.given))
        figures["orphans"] += len(runs.left_behind([process.pid]))
        assert rows == self.straight[: len(rows)], (
            f"{self.folder} has other rows than the run that nothing disturbed"
        )
        if self.folder is not None:
            runs.assert_whole(self.folder)
        self.rows = rows
        self.scored |= life.heard
        return life


def keep(place: Path, long: bool) -> dict[str, object]:
    """Kill drivers at some (long: 200) random moments and at all named points.

    Returns what was counted.
    """
    runs.prepare(place)
    for settings in (AT_POINTS, AT_RANDOM[long]):
        root = undisturbed(place, settings)
        code, _, err = runs.ended(runs.start(place, *begin(root, settings)))
        assert code == 0, err
    jobs: list[Callable[[Path, runs.Nursery], Counter[str]]] = [
        *(partial(random_moments, long, seed) for seed in range(8 if long else 1)),
        *(partial(named_points, points) for points in plans(long)),
        partial(while_the_folder_is_made, long),
    ]

    def do(number: int) -> Counter[str]:
        root = place / f"job{number}"
        root.mkdir()
        with runs.Nursery(place, root / "output.txt") as nursery:
            return jobs[number](root, nursery)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        total = sum(pool.map(do, range(len(jobs))), Counter())
    assert total["kills"] == KILLS[long] * (8 if long else 1)
    assert 2 * total["while candidates were scored"] >= total["kills"], total
    assert (3 if long else 5) * total["with local workers"] >= total["kills"], total
    for name in ("lost", "evaluated twice", "orphans"):
        assert total[name] == 0, f"{name}: {total[name]}"
    names = (
        "kills",
        "while candidates were scored",
        "with local workers",
        "crash points",
        "acknowledged",
    )
    return {name: total[name] for name in (*names, "lost", "evaluated twice", "orphans")}


def begin(root: Path, settings: tuple[str, ...]) -> list[object]:
    return [
        "run",
        f"{runs.NAME}.yaml",
        "--output",
        root,
        *(word for s in settings for word in ("--set", s)),
    ]


def undisturbed(place: Path, settings: tuple[str, ...]) -> Path:
    """Where the run with these settings is that nothing disturbs."""
    return place / f"undisturbed-{'-'.join(settings)}"


def random_moments(long: bool, seed: int, root: Path, nursery: runs.Nursery) -> Counter[str]:
    """Early kills come while the driver starts and replays, late ones after it has recorded
    something new.
    """
    rng = random.Random(seed)
    figures: Counter[str] = Counter()
    run = Killed(root / "run", nursery, AT_RANDOM[long], figures)
    kills = KILLS[long]
    local = 6 if long else 1  # of its lives; each has to start its worker
    plan = [(late, workers) for late, workers, times in
            ((True, "inline", kills - 4 - local), (True, "1", local), (True, "2", 2),
             (False, "inline", 1), (False, "2", 1))
            for _ in range(times)]  # fmt: skip
    assert len(plan) == kills
    rng.shuffle(plan)
    for number, (late, workers) in enumerate(plan):
        process = run.start(workers, anew=number % 12 == kills // 2)
        if late:
            room = CANDIDATES[long] - 100 - len(run.rows)
            aim = len(run.rows) + rng.randint(1, max(1, 2 * room // (kills - number)))
            run.wait_for(aim, process)
            time.sleep(rng.uniform(0.0, 0.05))
        else:
            time.sleep(rng.uniform(0.0, 0.8 if workers == "inline" else 1.6))
        assert process.poll() is None, f"{run.log}: ended with {process.poll()} before its kill"
        process.kill()
        figures["while candidates were scored"] += run.look(process).scored(workers)
        figures["with local workers"] += workers != "inline"
        figures["kills"] += 1
    run.end()
    return figures


def plans(long: bool) -> Iterator[list[Point]]:
    """Points at which one run dies, one after the other: each is reached, whatever the lives before
    it did.
    """
    for times in ((1, 2, 3, 4), (5, 6), (8,)) if long else ((2,),):
        words = ("before BEGIN", "before COMMIT", "after COMMIT")
        yield [("tables", 1, "inline"), *((word, n, "inline") for n in times for word in words)]
    kinds = ("inline", "1", "2") if long else ("2",)
    points = [("workers start", 1, kind) for kind in kinds] + [
        ("workers are ready", 1, kind) for kind in kinds
    ]
    points += [(stage, 1, "inline") for stage in stages(("hall_of_fame.json",), long)]
    points += [("confirming", n, "inline") for n in ((1, 2) if long else (1,))]
    points += [("replaying", n, "inline") for n in ((1, 2, 10, 20, 40) if long else (20,))]
    yield points + [(stage, 1, "inline") for stage in stages(EXPORTS, long)]
    if long:
        for n in (2, 3):
            yield from ([(stage, n, "inline")] for stage in stages(("hall_of_fame.json",), True))


def named_points(points: list[Point], root: Path, nursery: runs.Nursery) -> Counter[str]:
    figures: Counter[str] = Counter()
    run = Killed(root / "run", nursery, AT_POINTS, figures)
    for point, n, workers in points:
        try:
            run.look(
                run.start(workers, dies=f"{point}:{n}", changed={"evolve.running.drive.ROWS": 4})
            )
        except Exception as fault:
            raise AssertionError(
                f"killed at {point!r}, time {n}, with workers {workers}: {fault}"
            ) from fault
        figures["crash points"] += 1
    run.end()
    return figures


def while_the_folder_is_made(long: bool, root: Path, nursery: runs.Nursery) -> Counter[str]:
    """A run is there from the moment that its folder is whole; before, one sentence says that there
    is none.
    """
    figures: Counter[str] = Counter()
    for point in stages(("config.yaml", "config.resolved.yaml", "meta.json"), long):
        run = Killed(root / point.replace(" ", "-"), nursery, AT_POINTS, figures)
        run.look(run.start("inline", dies=f"{point}:1"))
        figures["crash points"] += 1
        if point == "meta.json renamed":  # the last one
            run.end()
            continue
        with pytest.raises(NotARun, match=r"is no run") as why:
            RunFolder.open(run.folder)
        assert "\n" not in str(why.value)
        before = nursery.output.stat().st_size
        assert run.start("inline").wait() == 2
        assert nursery.output.read_bytes()[before:].decode() == f"{why.value}\n"
    return figures
