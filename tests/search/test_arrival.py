"""Runs in the order of arrival: stragglers hold up nobody, and going on is as exact as in the order
of the numbers.

Scores come from a hash of the program, so these tests train nothing.
"""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
from pathlib import Path

import pytest
from kit.doubles import Pool, config, luck, remembered

import baselines
from evolve.config.presets import load_config
from evolve.config.schema import Config, TaskSettings
from evolve.record.errors import JournalError
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.status import status
from evolve.running import life as run
from evolve.running.drive import Clock, Driver
from evolve.running.facts import Plan
from evolve.running.listeners import Printer
from evolve.scoring.job import Outcome
from evolve.search.candidate import CACHED, Committed
from evolve.search.search import Search

BUDGET = 420
SLOW = 60  # one in so many jobs takes as long as ...
LONG = 150  # ... so many others


class Stragglers(Pool):
    """Answers one job at a time: which one depends on the numbers of those in flight, not on what
    was before.
    """

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        number, job = min(self.queue, key=lambda asked: takes_until(asked[0]))
        self.queue.remove((number, job))
        return [(number, self.score(job))]


def takes_until(number: int) -> float:
    return number + 10 * luck("when", str(number)) + (LONG if number % SLOW == 7 else 0)


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Checkpoints every few candidates, so that short runs have many."""
    monkeypatch.setattr("evolve.running.drive.EVERY", 32)
    monkeypatch.setattr("evolve.running.drive.BRED_AGAIN", 8)


def settings(*changes: str) -> Config:
    return config(
        "search.order=arrival", "search.phase=150", f"budget.candidates={BUDGET}", *changes
    )


class Life:
    """A run in a file that ends after some candidates, and then goes on."""

    def __init__(
        self, path: Path, settings: Config, pool: Pool | None = None, begin: int | None = None
    ):
        self.search = Search(settings, [baselines.get("adamw"), baselines.get("lion")])
        self.journal = Journal(path, repeatable=settings.search.order == "number")
        self.driver = Driver(
            self.search, pool or Stragglers(), self.journal, settings.budget, Clock(), begin=begin
        )
        self.committed: list[Committed] = []

    def until(self, commits: int | None, killed: bool = False) -> Life:
        """Live until so many are committed, None for the end.

        One that is killed loses what it had not written.
        """
        life = self.driver.run()
        for committed in life:
            self.committed.append(committed)
            if commits is not None and self.search.commits >= commits:
                break
        if killed:
            self.driver.unwritten.clear()
        life.close()
        self.order = list(self.journal.numbers(0, self.journal.count()))
        self.checkpoints = list(self.journal.checkpoints(10**9))
        self.journal.close()
        return self


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> Life:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("evolve.running.drive.EVERY", 32)
        return Life(tmp_path_factory.mktemp("arrival") / "undisturbed", settings()).until(None)


def test_a_straggler_holds_up_nobody_and_everybody_is_committed_once(undisturbed):
    lag = undisturbed.search.settings.lag
    assert sorted(undisturbed.order) == list(range(BUDGET))
    assert undisturbed.order == [c.candidate.number for c in undisturbed.committed]
    came = {number: position for position, number in enumerate(undisturbed.order)}
    slow = [
        c.candidate.number
        for c in undisturbed.committed
        if c.candidate.job and c.candidate.number % SLOW == 7
    ]
    assert [n for n in slow if came[n] > n + LONG / 2], (
        "stragglers were overtaken by more than were in flight"
    )
    assert max(came[n] - n for n in slow) > 2 * lag
    for position, number in enumerate(undisturbed.order):
        assert number <= position + lag + 1, "no more are in flight than the lag says"


def test_who_shares_an_outcome_is_committed_after_it(undisturbed):
    came = {number: position for position, number in enumerate(undisturbed.order)}
    shared = [c for c in undisturbed.committed if c.status == CACHED]
    late = [
        c
        for c in shared
        if came[c.candidate.same_as] > came[c.candidate.number] - 3 and c.candidate.number > 40
    ]
    assert len(shared) > 20
    assert late, "some waited for the one whose outcome they share"
    for c in shared:
        assert came[c.candidate.same_as] < came[c.candidate.number]
        assert c.fitness == undisturbed.search.scores.fitness[c.candidate.same_as]


def test_a_killed_run_goes_on_to_the_end_of_the_undisturbed_one(tmp_path, undisturbed, monkeypatch):
    """Given the same arrivals: who follows, what the search knows, order, chain and checkpoints are
    the same.
    """
    rng = random.Random(3)
    path, restored = tmp_path / "killed", 0
    for stop in sorted(rng.sample(range(1, BUDGET), 14)):
        monkeypatch.setattr("evolve.running.drive.ROWS", rng.choice([1, 7, 256]))
        life = Life(path, settings())
        restored += life.driver.began > 0
        life.until(stop, killed=rng.random() < 0.5)
        assert life.order == undisturbed.order[: len(life.order)]
        again = undisturbed.committed[life.driver.began :][: len(life.committed)]
        assert [c.candidate for c in life.committed] == [c.candidate for c in again]
    for begin in (None, 0):
        life = Life(path, settings(), begin=begin).until(None)
        assert life.order == undisturbed.order
        assert life.driver.chain == undisturbed.driver.chain
        assert remembered(life.search) == remembered(undisturbed.search)
        assert life.checkpoints == undisturbed.checkpoints
    assert restored > 5


@pytest.mark.parametrize("seed", range(3))
def test_a_run_whose_workers_answer_as_they_like_is_bred_again_as_it_was(tmp_path, seed):
    """Those in flight at a stop too, although they come back in another order."""
    path = tmp_path / "run"
    before = Life(path, settings(), Pool(seed, 0.3)).until(251)
    in_flight = dict(before.driver.waiting)
    life = Life(path, settings(), Pool(seed + 100, 0.3))
    assert life.driver.began > 100
    life.until(None)
    assert life.order[: len(before.order)] == before.order
    assert sorted(life.order) == list(range(BUDGET))
    bred = {c.candidate.number: c.candidate for c in life.committed}
    assert len(in_flight) >= 10
    assert {number: bred[number] for number in in_flight} == in_flight
    replay = Life(path, settings(), Pool(), begin=0).until(None)
    assert replay.driver.chain == life.driver.chain
    assert remembered(replay.search) == remembered(life.search)


def test_a_run_that_came_to_its_end_goes_on_with_a_longer_budget(tmp_path, undisturbed):
    """What was in flight at the end is committed there, so another order than in one go; but
    nothing is lost.
    """
    Life(tmp_path / "run", settings("budget.candidates=200")).until(None)
    life = Life(tmp_path / "run", settings()).until(None)
    assert sorted(life.order) == list(range(BUDGET))
    assert sorted(life.order[:200]) == list(range(200))
    replay = Life(tmp_path / "run", settings(), begin=0).until(None)
    assert replay.driver.chain == life.driver.chain


TAMPERED = {
    "swapped": "UPDATE arrival SET number = (SELECT SUM(number) FROM arrival WHERE position "
    "BETWEEN {at} AND {at} + 1)"
    " - number WHERE position BETWEEN {at} AND {at} + 1",
    "twice": "UPDATE arrival SET number = (SELECT number FROM arrival WHERE position = {at} + 3) "
    "WHERE position = {at}",
    "nobody": "UPDATE arrival SET number = 100000 WHERE position = {at}",
    "missing": "DELETE FROM arrival WHERE position = {at}",
    "row": "UPDATE candidate SET outcome = 'x' WHERE number = (SELECT number FROM arrival WHERE "
    "position = {at})",
}


@pytest.mark.parametrize("at", [3, 150, 295])
@pytest.mark.parametrize("how", TAMPERED)
def test_tampering_with_the_order_is_found_and_its_place_is_named(tmp_path, how, at):
    """Before a checkpoint, and after the last one."""
    Life(tmp_path / "run", settings()).until(300)
    with contextlib.closing(sqlite3.connect(tmp_path / "run")) as db:
        db.execute(TAMPERED[how].format(at=at))
        db.commit()
    with pytest.raises(
        JournalError,
        match=rf"row {at} in the order of arrival is damaged: its hash does not follow",
    ):
        Life(tmp_path / "run", settings()).until(None)


def test_an_order_that_cannot_have_been_is_refused_though_its_chain_is_sound(tmp_path):
    """Of two that were in flight together, the one that shares the other's outcome is put before
    it.
    """
    life = Life(tmp_path / "run", settings()).until(120)
    shared, owner = next(
        (c.candidate.number, c.candidate.same_as)
        for c in life.committed
        if c.candidate.same_as and life.order.index(c.candidate.same_as) > c.candidate.number - 16
    )
    order = [{shared: owner, owner: shared}.get(number, number) for number in life.order]
    with contextlib.closing(Journal(tmp_path / "run")) as journal:
        chain = bytes(32)
        for position, number in enumerate(order):
            chain = journal.row(number).linked(chain)
            journal.db.execute("UPDATE candidate SET chain = ? WHERE number = ?", (chain, number))
            journal.db.execute(
                "UPDATE arrival SET number = ? WHERE position = ?", (number, position)
            )
    with pytest.raises(
        JournalError, match=f"candidate {shared} comes out as another program than the one recorded"
    ):
        Life(tmp_path / "run", settings(), begin=0).until(None)


# --- what the record says of it -------------------------------------------------------------------


class Scorer(Stragglers):
    """The same as the executor of a run."""

    def ready(self, *stop: object) -> dict[str, str]:
        return {"platform": "a hash"}

    def arrivals(self, timeout: float) -> list[tuple[int, Outcome]]:
        return super().arrivals(timeout) if self.queue else []

    def close(self) -> None:
        self.queue.clear()


@pytest.mark.parametrize("order", ["number", "arrival"])
def test_the_record_says_whether_a_run_is_repeatable(tmp_path, monkeypatch, order):
    def make(settings: object, tasks: list[TaskSettings], log: Path) -> Scorer:
        return Scorer()

    monkeypatch.setattr(run, "make_executor", make)
    monkeypatch.setattr(run, "collect_rarely", lambda: None)
    plan = Plan.of(load_config("smoke", (f"search.order={order}", "budget={candidates: 60}")))
    folder = RunFolder.create(tmp_path, plan.config, {}, plan.inputs)
    repeatable = order == "number"
    assert status(folder)["repeatable"] == repeatable
    said: list[str] = []
    run.execute(folder, plan, [Printer(said.append)])
    assert status(folder)["repeatable"] == repeatable
    assert json.loads((folder.path / "summary.json").read_text())["repeatable"] == repeatable
    assert any("in the order of their arrival" in line for line in said) != repeatable
    with contextlib.closing(Journal(folder.journal, read_only=True)) as journal:
        assert journal.get("repeatable") == repeatable
        assert [row.number for row in journal.rows()] == list(journal.numbers(0, 60))
