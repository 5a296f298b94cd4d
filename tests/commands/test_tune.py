"""Tuning by Ray Tune: what is recorded is right, nothing that was recorded is lost, and our
evaluator decides.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from kit.traps import leave_traps

import baselines
import evolve.tuning.asha
from evolve.commands.main import main
from evolve.config.errors import ConfigError
from evolve.config.schema import TaskSettings
from evolve.record.errors import JournalError
from evolve.scoring.job import Job
from evolve.scoring.scorer import Scorer
from evolve.scoring.suite import make_suite
from evolve.scoring.trial import Trials
from evolve.tuning.asha import LOWEST, Trainer, tune
from evolve.tuning.ranges import FINAL_SEEDS
from evolve.tuning.trials import (
    COMPLETE,
    RUNGS,
    STOPPED,
    WAITING,
    Plan,
    Point,
    Record,
    TuningFailed,
)
from primitives import parse

SUITE = [
    TaskSettings(kind="noisy_quadratic", fields={"dim": 32, "steps": 60})
]  # adamw is tuned on it
ADAMW = baselines.get("adamw")
TRIALS = 12


def own_scores(text, part="validation"):
    """Scores by our evaluator, in this process, on the seeds that results are stated on."""
    job = Job(text, tuple(f"tune:state:{k}" for k in range(FINAL_SEEDS)), part=part)
    return [row[0] for row in Scorer(make_suite("t", SUITE)).score(job).scores]


def drive(place, log):
    """`evolve tune` in a process of its own, in a session of its own; its temporary files are below
    the place.
    """
    command = [
        "tune",
        "adamw",
        "--suite",
        "suite.yaml",
        "--trials",
        TRIALS,
        "--seeds",
        2,
        "--into",
        "into",
        "--resume",
    ]
    return subprocess.Popen(
        # As the command `evolve` does, this imports nothing from the folder it is given in
        [sys.executable, "-P", "-m", "evolve.commands.main", *map(str, command)],
        cwd=place,
        env=os.environ
        | {"TMPDIR": str(place / "tmp"), "PYTHONPATH": str(Path(evolve.__file__).parent.parent)},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )


def finished_in(place):
    """What is recorded, read as another process would; the same as nothing before the record is
    there.
    """
    path = place / "into" / "tune.sqlite"
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db,
    ):
        return dict(
            db.execute(
                "SELECT number, rungs FROM trial WHERE status != ? ORDER BY number", [WAITING]
            )
        )
    return {}


def alive(sessions):
    """Names of the processes that are left of some sessions, by process id.

    Without the agents of a Ray whose driver was killed: they find out by themselves, within a
    minute.
    """
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            head, _, rest = path.read_text().rpartition(")")
            state, _, _, session, *_ = rest.split()
            agent = b"Agent" in (path.parent / "cmdline").read_bytes()
            if int(session) in sessions and state != "Z" and not agent:
                found[int(path.parent.name)] = head.partition("(")[2]
    return found


def survive(place, kills, seed=0):
    """Kill `evolve tune` at some moments, and go on each time: nothing finished is lost or changed.

    The first kill is after Tune has written its own state and before its first snapshot, the second
    before any result; the others come when random numbers of trials are finished, which is while
    trials or finalists are trained.
    """
    (place / "tmp").mkdir()
    leave_traps(place)
    (place / "suite.yaml").write_text("tasks:\n  - {kind: noisy_quadratic, dim: 32, steps: 60}\n")
    random = np.random.default_rng(seed)
    targets = [-1, -2, *sorted(random.integers(1, TRIALS + 1, max(0, kills - 2)))][:kills]
    figures = dict.fromkeys(
        ["kills", "before Tune's snapshot", "while trials ran", "while finalists were scored"], 0
    )
    sessions, before = set(), {}
    with (place / "log").open("w") as log:
        for target in targets:
            driver = drive(place, log)
            sessions.add(driver.pid)
            reached = {
                -2: lambda: (place / "into" / "tune.sqlite").exists(),
                -1: lambda: any((place / "tmp").glob("*/tune/tuner.pkl")),
            }.get(target, lambda: len(finished_in(place)) >= target)  # noqa: B023  (asked in this round alone)
            while not reached():
                assert driver.poll() is None, (place / "log").read_text()
                time.sleep(0.002)
            time.sleep(random.uniform(0, 0.02))
            os.kill(driver.pid, signal.SIGKILL)
            assert driver.wait() == -signal.SIGKILL
            now = finished_in(place)
            assert now.items() >= before.items(), "a finished trial was lost or changed"
            figures["kills"] += 1
            figures["before Tune's snapshot"] += not any(
                (place / "tmp").glob("*/tune/experiment_state-*.json")
            )
            figures["while trials ran"] += 0 < len(now) < TRIALS
            figures["while finalists were scored"] += len(now) == TRIALS
            before = now
            shutil.rmtree(place / "tmp")
            (place / "tmp").mkdir()
        driver = drive(place, log)
        sessions.add(driver.pid)
        assert driver.wait() == 0, (place / "log").read_text()
    after = finished_in(place)
    assert len(after) == TRIALS
    assert after.items() >= before.items()
    text = (place / "into" / "program.py").read_text()
    assert json.loads((place / "into" / "tuned.json").read_text())["validation"] == own_scores(text)
    end = time.monotonic() + 60
    while (left := alive(sessions)) and time.monotonic() < end:
        time.sleep(0.2)
    return figures | {"trials": TRIALS, "finished": len(after), "processes left": len(left)}


@pytest.fixture(scope="module")
def plan():
    return Plan.of(ADAMW, SUITE, TRIALS, seeds=2)


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A tuning that was killed some times and went on each time; its folder and the figures."""
    place = tmp_path_factory.mktemp("killed")
    figures = survive(place, kills=1)
    return place / "into", figures


def points_in(folder):
    with contextlib.closing(Record(folder / "tune.sqlite")) as record:
        return record.points()


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_and_loses_nothing(killed):
    folder, figures = killed
    assert not list(folder.parent.glob("executed-*")), "files of the user's folder were executed"
    assert figures["kills"] == 1
    assert figures["before Tune's snapshot"] == 1
    assert figures["finished"] == figures["trials"] == TRIALS
    assert figures["processes left"] == 0


def test_every_trial_is_recorded_with_the_losses_that_our_own_trials_give(plan, killed):
    folder, _ = killed
    points = points_in(folder)
    assert [p.number for p in points] == list(range(TRIALS))
    assert [p.values for p in points] == plan.points()
    assert all(p.status != WAITING for p in points)
    trials = Trials(make_suite("t", SUITE).tasks[0])
    steps = [round(60 * share / RUNGS[-1]) for share in RUNGS]
    for point in points:
        assert [r["share"] for r in point.rungs] == list(RUNGS[: len(point.rungs)])
        assert (len(point.rungs) == len(RUNGS)) == (point.status == COMPLETE)
        for k in range(2):  # alone, one after the other: the same bits as side by side
            alone = list(trials.losses(ADAMW.with_values(point.values), f"tune:search:{k}", steps))
            assert [r["losses"][k] for r in point.rungs] == [
                x.hex() for x in alone[: len(point.rungs)]
            ]


def test_our_evaluator_decides_and_the_program_as_it_stands_is_among_the_finalists(plan, killed):
    folder, _ = killed
    found = json.loads((folder / "tuned.json").read_text())
    complete = [p.number for p in points_in(folder) if p.status == COMPLETE]
    assert sorted(f["trial"] for f in found["finalists"][1:]) == complete
    assert found["finalists"][0]["trial"] is None
    assert found["finalists"][0]["values"].items() <= ADAMW.values.items()
    best = max(found["finalists"], key=lambda f: f["score"])
    assert (found["trial"], found["values"]) == (best["trial"], best["values"])
    text = (folder / "program.py").read_text()
    assert parse(text).values | found["values"] == parse(text).values
    assert found["validation"] == own_scores(text)
    assert found["test"] == own_scores(text, "test")


def trainer_of(plan, points):
    """As Ray makes one, in this process and without Ray."""
    trainer = Trainer.__new__(Trainer)
    trainer.config = {"number": 0}
    trainer.setup(trainer.config, plan, points)
    return trainer


def test_a_finished_trial_reports_what_is_recorded_and_is_not_trained_again(plan, monkeypatch):
    def trained(*arguments):
        pytest.fail("it is trained again")
        yield

    monkeypatch.setattr(Trials, "losses", trained)
    rungs = tuple(
        {"share": share, "score": -1.0 / share, "losses": [(2.0).hex()]} for share in RUNGS
    )
    points = [Point(0, ADAMW.values, COMPLETE, rungs), Point(1, ADAMW.values, STOPPED, rungs[:1])]
    trainer = trainer_of(plan, points)
    for point in points:
        trainer.config = {"number": point.number}
        assert trainer.reset_config(trainer.config)
        reports = [trainer.step() for _ in point.rungs]
        assert [r.pop("done") for r in reports] == [False] * (len(reports) - 1) + [True]
        assert tuple(reports) == point.rungs


def test_a_trial_that_diverges_ends_at_once_and_is_told_to_asha_as_a_number(plan, monkeypatch):
    wild = Point(0, {"learning_rate": 1e10, "weight_decay": 1e10})
    trainer = trainer_of(plan, [wild])
    report = trainer.step()
    assert report["done"]
    assert report["losses"][-1] == "nan"
    assert report["score"] == LOWEST


def test_a_finished_tuning_is_not_done_again_and_a_folder_holds_one(plan, killed, monkeypatch):
    folder, _ = killed
    found = json.loads((folder / "tuned.json").read_text())
    monkeypatch.setattr(
        evolve.tuning.asha, "try_points", lambda *a: pytest.fail("it is done again")
    )
    assert tune(plan, folder, resume=True) == found
    with pytest.raises(ConfigError, match=r"holds a tuning\. Go on with --resume"):
        tune(plan, folder)
    with pytest.raises(ConfigError, match="holds a tuning with other seeds, trials"):
        tune(replace(plan, trials=9, seeds=3), folder, resume=True)


@pytest.fixture(scope="module")
def ray_here():
    """One local Ray for all tests that run it in this process."""
    with contextlib.ExitStack() as stack:
        stack.callback(evolve.tuning.asha.start_ray(1))
        yield


def test_trials_that_cannot_be_trained_are_an_error_that_says_why_and_how_to_go_on(
    plan, ray_here, tmp_path, monkeypatch
):
    monkeypatch.setattr(evolve.tuning.asha, "RETRIES", 0)
    broken = replace(plan, trials=1, tasks=[{"kind": "no_such_task", "fields": {}}])
    with pytest.raises(
        TuningFailed, match=r"1 of 1 trials were not finished \(.*no_such_task.*--resume"
    ):
        tune(broken, tmp_path)


def test_a_record_that_cannot_be_written_ends_the_tuning(plan, ray_here, tmp_path, monkeypatch):
    def full(self, point):
        raise JournalError("the disk is full")

    monkeypatch.setattr(Record, "update", full)
    with pytest.raises(JournalError, match="the disk is full"):
        tune(replace(plan, trials=1), tmp_path)


@pytest.mark.parametrize("name", ["tune.lock", "tune.sqlite", "tuned.json", "program.py"])
def test_a_folder_with_a_link_is_refused_and_what_it_leads_to_stays(plan, tmp_path, name):
    victim, folder = tmp_path / "victim.txt", tmp_path / "into"
    victim.write_text("precious")
    folder.mkdir()
    (folder / name).symlink_to(victim)
    with pytest.raises(ConfigError, match=f"{name}: is a link, which may lead out"):
        tune(plan, folder)
    assert victim.read_text() == "precious"
    assert [path.name for path in folder.iterdir()] == [name]


def test_what_cannot_be_tuned_is_said_before_anything_starts(tmp_path):
    bare = tmp_path / "bare.py"
    bare.write_text(
        "learning_rate = 0.01\n\ndef step(w, g, lr):\n    update = g * lr\n    return update\n"
    )
    folder = tmp_path / "into"
    for arguments, words in [
        (
            (str(bare),),
            "declares no range to tune in. Write one, such as: learning_rate = tunable(",
        ),
        (("adamw", "--suite", "smok"), "no suite is called 'smok'. Did you mean 'smoke'?"),
        (("adamv",), "no optimizer is called 'adamv'"),
    ]:
        result = CliRunner().invoke(main, ["tune", *arguments, "--into", str(folder)])
        assert result.exit_code == 2, result.output
        assert words in result.output
        assert not folder.exists()
