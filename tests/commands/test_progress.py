"""What takes time says so at once, and then how far it is."""

from __future__ import annotations

import re

import pytest
from kit.doubles import Pool

import baselines
from evolve import api
from evolve.reporting import progress
from evolve.reporting.progress import PAUSE, watching
from evolve.scoring.job import Job
from evolve.tuning import asha, pieces
from evolve.tuning.racing import race
from evolve.tuning.ranges import tunable
from evolve.workers.gather import gather


class Begun(Exception):
    """What takes time has begun."""


@pytest.mark.parametrize(
    ("call", "slow"),
    [
        (lambda said: api.score("lion", "smoke", say=said), (api, "make_executor")),
        (lambda said: api.run("smoke", say=said), (api, "execute")),
        (lambda said: api.reference("smoke", ["lion"], say=said), (pieces, "tune")),
        (lambda said: api.tune("lion", "smoke", say=said), (asha, "tune")),
    ],
    ids=["score", "run", "reference", "tune"],
)
def test_a_line_is_said_before_what_takes_time_begins(call, slow, tmp_path, monkeypatch):
    def begins(*args: object, **more: object) -> None:
        raise Begun

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(*slow, begins)
    said: list[str] = []
    with pytest.raises(Begun):
        call(said.append)
    assert re.search(
        r"compiling its tasks, which takes|tuning digits_dense: lion: 0 of 1024", said[-1]
    )


@pytest.mark.parametrize("total", [1, 3, 40])
def test_lines_come_now_and_then_with_the_time_that_is_left(total, monkeypatch):
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    said: list[str] = []
    with watching("trying", total, said.append) as done:
        done(0)
        for count in range(total + 1):
            now += PAUSE / 4
            done(count)
    assert said[0] == f"trying: 0 of {total}"
    assert len(said) == 1 + (total + 1) // 4
    for n, line in enumerate(said[1:], 1):
        count, taken = 4 * n - 1, n * PAUSE
        left = taken / count * (total - count)
        assert line == f"trying: {count} of {total} after {taken:.0f} s, about {left:.0f} s to go"


def test_who_scores_a_list_of_jobs_hears_of_each():
    counts: list[int] = []
    jobs = [Job(f"program {n}", ("a",)) for n in range(20)]
    gather(Pool(seed=0, slow=0.5), jobs, done=counts.append)  # pyright: ignore[reportArgumentType]
    assert counts == sorted(counts)
    assert counts[-1] == len(jobs)
    assert len(set(counts)) > 3


def test_each_training_of_a_race_is_heard_of():
    ranges, counts = tunable(baselines.get("lion")), []
    race(ranges, lambda values, what, seed: values["beta1"] + seed, 64, done=counts.append)
    assert counts == list(range(1, len(counts) + 1))
    assert 32 < len(counts) <= 64
