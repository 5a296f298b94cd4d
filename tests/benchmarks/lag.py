"""What the lag costs: the share of their time that workers work, by simulation.

Candidate i is drawn once candidates up to i - lag are committed, in order, so one slow candidate
holds up all that are more than the lag behind it. Six of ten candidates need no worker (they are
known already, or rejected) and fill the lag all the same. Drawing and committing take no time here:
what is missing to 100 % is waiting alone.

`python tests/benchmarks/lag.py` prints the tables of DECISIONS.md; `--journal
runs/x/journal.sqlite` takes the last law from a run of your own instead of from a small search.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import heapq
import math
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

SEEDS = (1, 2, 3)  # the worst of them is what is said
KNOWN = 0.6  # share of the candidates that take no worker's time
JOBS = 200  # scored candidates a worker ...
FEWEST = 10_000  # ... and at least
WORKERS = (2, 16, 256)
LAGS = (1, 4, 16, 32, 64, 128)  # candidates a worker
TRIED = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
BAR = 0.9  # of the time of 256 workers

Law = Callable[[np.random.Generator, int], np.ndarray]
"""(rng, number) -> seconds of so many candidates, 0 where no worker is asked."""


def scored(draw: Callable[[np.random.Generator, int], np.ndarray]) -> Law:
    """A law for all candidates from one for those that are scored."""
    return lambda rng, number: np.where(rng.random(number) < KNOWN, 0.0, draw(rng, number))


LAWS: dict[str, Law] = {
    "uniform 0.5 to 1.5": scored(lambda rng, n: rng.uniform(0.5, 1.5, n)),
    "exponential": scored(lambda rng, n: rng.exponential(size=n)),
    "lognormal, sigma 1": scored(lambda rng, n: rng.lognormal(sigma=1.0, size=n)),
    "Pareto, alpha 2.5": scored(lambda rng, n: 1.0 + rng.pareto(2.5, n)),
    "1 in 100 takes 20 times": scored(lambda rng, n: np.where(rng.random(n) < 0.01, 20.0, 1.0)),
}


def measured(seconds: np.ndarray) -> Law:
    """The candidates of a run in their order, again and again, from anywhere on."""
    return lambda rng, number: np.resize(np.roll(seconds, -rng.integers(seconds.size)), number)


def busy(law: Law, workers: int, lag: int, **how) -> float:
    """Share of the time of the workers that is in use, until the last of many jobs begins; in the
    worst of some runs.

    lag: in candidates. how: as for `simulated`.
    """
    return min(simulated(law, workers, lag, seed, **how) for seed in SEEDS)


def simulated(
    law: Law,
    workers: int,
    lag: int,
    seed: int,
    by_arrival: bool = False,
    longest_first: bool = False,
    islands: int = 1,
    cut: float = math.inf,
) -> float:
    """The same of one run.

    by_arrival: commit whatever has arrived. longest_first: hand out what takes longest, as if that
    were known.
    islands: searches that share workers and lag, each with an order of its own. cut: no job is
    longer than so many times their mean; what is, is handed out in pieces, as the seeds of a
    candidate could be.
    """
    rng = np.random.Generator(np.random.Philox(key=seed))
    jobs = max(JOBS * workers, FEWEST)
    seconds = law(
        rng, int(1.5 * jobs / (1 - KNOWN)) + TRIED[-1] * workers
    )  # the same for every lag
    longest = cut * seconds[seconds > 0].mean()
    candidates = iter(seconds.tolist())
    window = max(1, lag // islands)
    drawn, committed = [0] * islands, [0] * islands
    done: list[set[int]] = [set() for _ in range(islands)]
    pieces: Counter[tuple[int, int]] = Counter()  # of (island, number), not yet done
    waiting: list[tuple] = []  # a heap of (order, island, number, seconds)
    running: list[tuple[float, int, int]] = []  # a heap of (end, island, number)
    now, used, begun = 0.0, 0.0, 0
    open_to: Iterable[int] = range(islands)
    while True:
        for island in open_to:
            while drawn[island] < committed[island] + window:
                number, took = drawn[island], next(candidates)
                drawn[island] += 1
                if not took:
                    commit(done[island], committed, island, number, by_arrival)
                    continue
                count = pieces[island, number] = math.ceil(took / longest) or 1
                for _ in range(count):
                    order = -took if longest_first else begun + len(waiting)
                    heapq.heappush(waiting, (order, island, number, took / count))
        while waiting and len(running) < workers:
            _, island, number, took = heapq.heappop(waiting)
            heapq.heappush(running, (now + took, island, number))
            used += took
            begun += 1
            if begun == jobs:
                return (used - sum(end - now for end, *_ in running)) / (workers * now)
        now, island, number = heapq.heappop(running)
        pieces[island, number] -= 1
        if not pieces[island, number]:
            del pieces[island, number]
            commit(done[island], committed, island, number, by_arrival)
        open_to = (island,)


def commit(
    done: set[int], committed: list[int], island: int, number: int, by_arrival: bool
) -> None:
    """Count one more; in order, with those that waited for it."""
    if by_arrival:
        committed[island] += 1
        return
    done.add(number)
    while committed[island] in done:
        done.remove(committed[island])
        committed[island] += 1


def smallest(law: Law, workers: int, **how) -> str:
    """The smallest of some lags a worker with which they are busy enough."""

    def enough(lag: int) -> bool:
        return all(simulated(law, workers, lag * workers, seed, **how) >= BAR for seed in SEEDS)

    at = bisect.bisect_left(TRIED, True, key=enough)
    return str(TRIED[at]) if at < len(TRIED) else f"above {TRIED[-1]}"


def journal_seconds(path: Path) -> np.ndarray:
    """Seconds of the candidates of a run, in their order."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return np.array([s for (s,) in db.execute("SELECT seconds FROM candidate ORDER BY number")])


def searched_seconds(preset: str) -> np.ndarray:
    """The same of a search of ours, in this process."""
    from evolve.config.presets import load_config
    from evolve.record.journal import Journal
    from evolve.running.drive import Clock, Driver
    from evolve.running.facts import Plan
    from evolve.search.search import Search
    from evolve.workers.inline import Inline

    plan = Plan.of(load_config(preset))
    config, executor = plan.config, Inline(plan.suite)
    search = Search(config, plan.initial)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.closing(Journal(Path(folder) / "journal")) as journal,
    ):
        committed = Driver(search, executor, journal, config.budget, Clock()).run()
        seconds = np.array([c.outcome.seconds if c.outcome else 0.0 for c in committed])
    return seconds[2 * config.search.lag :]  # compiled by then


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--journal", type=Path, help="of a run, for the last law; a small search is made otherwise"
    )
    given = parser.parse_args()
    seconds = journal_seconds(given.journal) if given.journal else searched_seconds("smoke")
    laws = LAWS | {f"measured, {np.mean(seconds == 0):.0%} known": measured(seconds)}
    print("Share of their time that workers are busy, by the lag a worker\n")
    rows = []
    for name, law in laws.items():
        for workers in WORKERS:
            shares = [f"{busy(law, workers, lag * workers):.0%}" for lag in LAGS]
            rows.append(
                [
                    name,
                    str(workers),
                    *shares,
                    f"{busy(law, workers, 4 * workers, by_arrival=True):.0%}",
                ]
            )
    print(table(["law", "workers", *map(str, LAGS), "4, in order of arrival"], rows))
    many = WORKERS[-1]
    print(f"\nThe smallest lag a worker with which {many} are busy for {BAR:.0%} of their time\n")
    ways: dict[str, dict[str, Any]] = {
        "as it is": {},
        "longest first, if that were known": {"longest_first": True},
        "no job longer than twice the mean": {"cut": 2.0},
        "16 islands": {"islands": 16},
        "in order of arrival": {"by_arrival": True},
    }
    rows = [
        [name, *(smallest(law, many, **how) for how in ways.values())] for name, law in laws.items()
    ]
    print(table(["law", *ways], rows))


if __name__ == "__main__":
    main()
