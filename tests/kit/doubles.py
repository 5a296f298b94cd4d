"""Stand-ins for what is slow: a pool whose scores come out of a hash, lives of a run in a file."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections import deque

import baselines
from evolve.config.presets import load_config, load_suite
from evolve.config.schema import Config
from evolve.record.journal import Journal
from evolve.running.drive import Clock, Driver
from evolve.scoring.job import DIVERGED, EARLY, HURDLE, OK, Job, Outcome, mean
from evolve.search.candidate import Committed
from evolve.search.search import Search


def luck(*words: str) -> float:
    """A number in [-1, 1) that depends on the words alone."""
    digest = hashlib.sha256("|".join(words).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**47 - 1.0


def hashed(job: Job) -> Outcome:
    """What a worker would say, if the loss were a hash of program and seed."""
    if luck(job.program) > 0.9:
        return Outcome(DIVERGED)

    def row(seed: str) -> tuple[float, ...]:
        return (luck(job.program) + 0.2 * luck(job.program, seed), luck(job.program))

    scores = tuple(row(seed) for seed in job.seeds)
    early = tuple(score + 0.1 * luck(job.program, "early") for score in scores[0]) if job.at else ()
    for task, (score, bound) in enumerate(zip(early, job.early, strict=True)):
        if score < bound:
            return Outcome(EARLY, early=early[: task + 1])
    if mean(scores[:1]) < job.hurdle:
        return Outcome(HURDLE, scores[:1], early=early)
    selected = tuple(row(seed) for seed in job.select) if mean(scores) > job.bar else ()
    return Outcome(OK, scores, selected, early=early)


class Pool:
    """An executor that delivers out of order: `rng` draws which of its jobs arrive, `slow` how
    seldom.
    """

    def __init__(self, seed: int | None = None, slow: float = 0.0, score=hashed):
        self.rng = random.Random(seed) if seed is not None else None
        self.slow, self.score = slow, score
        self.queue: deque[tuple[int, Job]] = deque()
        self.asked = 0
        self.deepest = 0

    def submit(self, number: int, job: Job) -> None:
        self.queue.append((number, job))
        self.asked += 1
        self.deepest = max(self.deepest, len(self.queue))

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        if self.rng is None:
            number, job = self.queue.popleft()
            return [(number, self.score(job))]
        if self.rng.random() < self.slow:
            return []
        self.rng.shuffle(self.queue)
        taken = [self.queue.popleft() for _ in range(self.rng.randint(1, len(self.queue)))]
        return [(number, self.score(job)) for number, job in taken]


def config(*changes: str) -> Config:
    base = ("search.phase=150", "search.repeats=2", "search.lag=16", "budget={candidates: 500}")
    return load_config("smoke", (*base, *changes)).model_copy(
        update={"suite": load_suite("smoke")[1]}
    )


def history(
    tmp_path, settings: Config, pool: Pool | None = None, initial=("adamw",)
) -> tuple[list[Committed], str, Search]:
    """All candidates with their outcomes, the last link of the chain, and the search itself."""
    search = Search(
        settings, [baselines.get(name) if isinstance(name, str) else name for name in initial]
    )
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite"
    with contextlib.closing(Journal(path)) as journal:
        driver = Driver(search, pool or Pool(), journal, settings.budget, Clock())
        return list(driver.run()), driver.chain.hex(), search


def remembered(search: Search) -> dict:
    """All that a search knows."""
    return {
        name: value
        for name, value in vars(search).items()
        if name not in ("config", "settings", "initial")
    }


class Life:
    """A run in a file that ends after some candidates, and then goes on."""

    def __init__(self, path, settings: Config, initial: tuple, **options):
        self.search = Search(
            settings, [baselines.get(x) if isinstance(x, str) else x for x in initial]
        )
        self.journal = Journal(path)
        self.driver = Driver(self.search, Pool(), self.journal, settings.budget, Clock(), **options)
        self.committed: list[Committed] = []

    def until(self, number: int | None, killed: bool = False) -> Life:
        """Live until so many candidates are committed, None for the end.

        One that is killed loses what it had not written.
        """
        life = self.driver.run()
        for committed in life:
            self.committed.append(committed)
            if number is not None and self.search.commits >= number:
                break
        if killed:
            self.driver.unwritten.clear()
        life.close()
        self.checkpoints = list(self.journal.checkpoints(10**9))
        self.journal.close()
        return self
