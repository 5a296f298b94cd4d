"""Who is blamed when workers die, hang or talk nonsense, with workers that are scripts of a few
lines.
"""

from __future__ import annotations

import os
import re
import sys
import time

import pytest

from evolve.config.schema import TaskSettings
from evolve.interrupt import Interrupted
from evolve.scoring.job import WORST, Job, Outcome
from evolve.scoring.suite import make_suite
from evolve.workers.errors import Outage, WorkerFailure
from evolve.workers.gather import gather
from evolve.workers.inline import Inline
from evolve.workers.local import LOG_BYTES, Local
from evolve.workers.setup import Setup

TASKS = [TaskSettings(kind="noisy_quadratic", fields={"dim": 32, "steps": 60})]

FAKE = """
import json, os, signal, sys, time
def ever(mark):  # how often something has happened, in all processes together
    with open(os.path.join(sys.argv[1], mark), "a+") as file:
        file.write("x")
        return file.tell()
sys.stdin.readline()
START
print(json.dumps({"fingerprint": {"machine": MACHINE}}), flush=True)
for answered, line in enumerate(sys.stdin):
    asked = json.loads(line)
    what, status = asked["job"]["program"], "ok"
    if what == "hang": time.sleep(60)
    if what == "slow": time.sleep(0.3)
    if what == "crash": sys.exit("no more")
    if what == "segfault": os.kill(os.getpid(), signal.SIGSEGV)
    if what == "once" and ever("once") == 1: os._exit(1)
    if what == "shot" and ever("shot") <= 5: os.kill(os.getpid(), signal.SIGKILL)
    if what == "doomed": os.kill(os.getpid(), signal.SIGKILL)
    if what == "stopped" and ever("stopped") == 1: os.kill(os.getpid(), signal.SIGSTOP)
    if what == "flood":
        while True: os.write(2, b"x" * 65536)
    if what == "garbage": print("[]", flush=True)
    if what == "deep": print("[" * 50000, flush=True)
    if what == "other": asked["number"] += 1
    if what == "stops": os.kill(os.getpid(), signal.SIGSTOP)
    if what == "leaky" and answered or what == "greedy": status = "oom"
    if what == "deaf": os.close(1); time.sleep(60)
    if what == "parent" and os.fork() == 0: time.sleep(60)
    if what == "parent": os._exit(1)
    scores = [[float(asked["number"]).hex()]] if status == "ok" else []
    if what == "huge": scores = [["0x1p99999"]]
    if what == "both" and ever("both") == 1:  # two answers at once, the first of a worker that is full
        after = {"number": asked["number"] + 1, "seconds": 0.0, "outcome": {"status": "ok", "scores": scores}}
        full = {"number": asked["number"], "seconds": 0.0, "outcome": {"status": "oom", "scores": []}}
        sys.stdin.readline()
        os.write(1, (json.dumps(full) + "\\n" + json.dumps(after) + "\\n").encode())
        time.sleep(60)
    print(json.dumps({"number": asked["number"], "seconds": 0.0, "detail": what,
                      "outcome": {"status": status, "scores": scores}}), flush=True)
"""


@pytest.fixture
def local(tmp_path):
    """Make local workers that are the script above."""
    made: list[Local] = []
    script = tmp_path / "fake.py"

    def make(
        start: str = "", machine: str = '"fake"', deadline: float = 1.0, count: int = 2
    ) -> Local:
        setup = Setup([], "adamw", {}, ".", count)
        script.write_text(FAKE.replace("START", start).replace("MACHINE", machine))
        command = [sys.executable, "-S", str(script), str(tmp_path)]
        made.append(Local(setup, count, deadline, log=tmp_path / "log", command=command))
        return made[-1]

    yield make
    for executor in made:
        processes = [worker.process.pid for worker in executor.workers]
        executor.close()
        for process in processes:
            with pytest.raises(ProcessLookupError):
                os.killpg(process, 0)


def collect(executor: Local, jobs: list[str]) -> dict[int, Outcome]:
    """The outcome of each job."""
    executor.ready()
    for number, what in enumerate(jobs):
        executor.submit(number, Job(what, ("s",)))
    found: dict[int, Outcome] = {}
    limit = time.monotonic() + 30
    while len(found) < len(jobs) and time.monotonic() < limit:
        for number, outcome in executor.arrivals(0.05):
            assert number not in found, "one outcome for each"
            found[number] = outcome
    return found


def test_a_job_on_which_workers_crash_or_hang_is_blamed_and_no_other(local):
    jobs = ["fine"] * 12
    jobs[3], jobs[4], jobs[7] = "crash", "hang", "once"
    found = collect(local(), jobs)
    assert [found[n].status for n in range(12)] == ["ok"] * 3 + ["crash", "timeout"] + ["ok"] * 7
    innocent = [n for n in range(12) if n not in (3, 4)]
    assert [found[n].scores for n in innocent] == [((float(n),),) for n in innocent]
    assert found[3].detail == "2 workers were lost on it: exit status 1: no more"
    assert found[4].detail == "1 worker was lost on it: over 1 s"


@pytest.mark.parametrize(
    ("what", "status", "words"),
    [
        ("segfault", "crash", r"signal 11 \(SIGSEGV\)"),
        ("flood", "crash", "it printed more than 16,777,216 bytes"),
        ("garbage", "crash", "it said what cannot be understood"),
        ("other", "crash", "an answer to something else"),
        ("deep", "crash", "it said what cannot be understood"),
        ("huge", "crash", "it said what cannot be understood"),
        ("stops", "crash", "2 workers were lost on it: it was stopped"),
        ("greedy", "oom", "2 workers were lost on it: greedy"),
        ("doomed", "crash", r"10 workers were lost on it: signal 9 \(SIGKILL\), which others send"),
        ("parent", "crash", "exit status 1"),
        ("deaf", "crash", "2 workers were lost on it"),
    ],
)
def test_what_was_wrong_is_said_and_the_others_go_on(local, tmp_path, what, status, words):
    found = collect(local(deadline=20.0), ["fine", what, "fine", "fine"])
    assert [found[n].status for n in range(4)] == ["ok", status, "ok", "ok"]
    assert re.search(words, found[1].detail), found[1].detail
    assert sum(path.stat().st_size for path in tmp_path.glob("log")) < 2 * LOG_BYTES


@pytest.mark.parametrize("what", ["once", "shot", "stopped", "leaky", "both"])
def test_what_a_job_can_do_nothing_for_is_no_fault_of_its(local, what):
    """One bad worker; one that others kill, five times; one that is stopped; one that was full
    before, in two ways.
    """
    found = collect(local(count=1), ["fine", what, "fine"])
    assert [found[n].status for n in range(3)] == ["ok"] * 3


@pytest.mark.parametrize("hours", [0.01, 1.0, 1000.0])
@pytest.mark.parametrize("what", ["slow", "stopped", "once", "shot"])
def test_nobody_is_blamed_for_the_time_in_which_driver_and_workers_were_suspended(
    local, what, hours
):
    """By a laptop's lid, `docker pause`, Slurm: three times, so much has passed from one look of
    the driver to the next. What is lost then is lost once, and tried again.
    """
    executor = local(count=1, deadline=3.0)
    suspended = 0.0
    executor.clock.read = lambda: time.monotonic() + suspended
    executor.ready()
    for number, asked in enumerate(["fine", what, "fine"]):
        executor.submit(number, Job(asked, ("s",)))
    found: dict[int, Outcome] = {}
    for look in range(1000):
        suspended += 3600 * hours * (look < 3)
        found |= dict(executor.arrivals(0.02))
        if len(found) == 3:
            break
    assert [found[n].status for n in range(3)] == ["ok"] * 3


def test_nobody_is_blamed_when_the_machine_does_not_start_workers_any_more(local):
    executor = local(start='if ever("start") > 2: sys.exit("the machine is ill")')
    with pytest.raises(Outage, match=r"workers cannot be started. Its last words are in .*log"):
        collect(executor, ["hang", "hang"])
    assert executor.finished == []


def test_workers_that_cannot_start_end_the_run_instead_of_blaming_programs(local):
    executor = local(start="sys.exit(1)")
    with pytest.raises(
        WorkerFailure, match=r"workers cannot be started. Its last words are in .*log"
    ):
        executor.ready()
    executor.close()  # what the run does next, whatever happened


def test_what_a_worker_says_of_the_machine_reaches_the_user(local):
    executor = local(start='print(json.dumps({"failure": "no such task"}), flush=True)')
    with pytest.raises(WorkerFailure, match="no such task"):
        executor.ready()


def test_workers_on_different_machines_are_not_mixed(local):
    executor = local(machine="os.getpid()")
    with pytest.raises(WorkerFailure, match="a worker runs on other software or hardware"):
        collect(executor, ["fine"] * 3 + ["hang"])


def test_waiting_for_workers_can_be_interrupted(local):
    with pytest.raises(Interrupted):
        local(start="time.sleep(60)").ready(lambda: True)


def test_an_exception_while_scoring_is_an_outcome_in_every_kind_of_worker():
    executor = Inline(make_suite("run", TASKS))
    executor.submit(0, Job("this is no program", ("s",)))
    ((number, outcome),) = executor.arrivals(0.0)
    assert (number, outcome.status) == (0, "error")
    assert outcome.detail.startswith("ProgramError: ")
    assert outcome.fitness == WORST


def test_jobs_that_are_gathered_come_back_in_their_order(local):
    executor = local()
    found = gather(executor, [Job(what, ("s",)) for what in ("fine", "once", "fine", "fine")])
    assert [outcome.scores for outcome in found] == [((float(n),),) for n in range(4)]
    with pytest.raises(Interrupted):
        gather(executor, [Job("hang", ("s",))], lambda: True)
    assert gather(local(), []) == []
