"""Tuning: hyperparameters of one program on a suite, tried by Ray Tune, decided and recorded by us.

Tune is a proposer. The points are a scrambled Sobol sequence over the ranges that
the program declares, drawn before anything runs, so what is tried does not depend
on who answers first. ASHA, which does depend on it, decides how far each point is
trained. The best few are then scored by the evaluator of every other command, on
fresh seeds, beside the program as it stands; that decides.

The record is `tune.sqlite`, a row per trial, written as results arrive. Going on
after a kill starts Tune afresh and gives it what is recorded: a finished trial
reports its losses again and is not trained. Tune's own restore is not used. It
unpickles what it finds; killed before its first snapshot it runs one trial
instead of all, without saying so; and it forgets what ASHA has seen.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import sqlite3
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from evolve.workers.ray_session import LOOPBACK, connect  # imports Ray only when it is called

# Ray reads these when it is imported, or later.
os.environ |= LOOPBACK
os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # the new one prints even when it is to be silent
os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # no files of results beside our record
os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # Ctrl-C is ours
os.environ["TUNE_FORCE_TRIAL_CLEANUP_S"] = "1"  # nobody waits for a trial that is cut off

import ray
from ray import tune as ray_tune
from ray.tune.error import TuneError
from ray.tune.schedulers import ASHAScheduler

from evolve.config.errors import ConfigError
from evolve.config.schema import TaskSettings, WorkerSettings
from evolve.environment import available_cores, fingerprint
from evolve.files import replace_file
from evolve.interrupt import Interrupted
from evolve.record.errors import JournalError
from evolve.record.journal import Journal
from evolve.record.lock import Lock
from evolve.scoring.fit import check_fit
from evolve.scoring.job import OK, Job, Outcome
from evolve.scoring.scorer import FLOOR, Scorer
from evolve.scoring.suite import make_suite
from evolve.scoring.wire import canonical
from evolve.tuning.reference import FINAL_SEEDS, FINALISTS, points
from evolve.workers.errors import WorkerFailure
from evolve.workers.executor import make_executor
from primitives import Program, parse

FORMAT = 1
REDUCTION = 3  # of so many trials at a rung, one is trained further
RUNGS = (1, 3, 9)  # where the loss is looked at: ninths of the steps
LOWEST = (
    -1e3
)  # what ASHA is told of a trial that diverged, below all logarithms of ratios: it cannot rank -inf
RETRIES = 2  # of a trial whose process died

WAITING, STOPPED, DIVERGED, COMPLETE = "waiting", "stopped", "diverged", "complete"

_TRIALS = """
CREATE TABLE IF NOT EXISTS trial (
    number INTEGER PRIMARY KEY,
    hyperparameters TEXT NOT NULL,
    status TEXT NOT NULL,
    rungs TEXT NOT NULL,
    seconds REAL NOT NULL
);
"""


class TuningFailed(WorkerFailure):
    """Not every trial was finished, or none can be used."""


@dataclass(frozen=True)
class Plan:
    """All that decides what is tried.

    Plain data: it goes to other processes and into the record.
    """

    name: str
    program: str
    tasks: list[dict[str, Any]]
    trials: int
    seeds: int
    references: list[dict[str, float]]  # what scores are relative to, for each task
    machine: dict[str, Any]
    rungs: tuple[int, ...] = RUNGS
    reduction: int = REDUCTION
    format: int = FORMAT

    @classmethod
    def of(cls, program: Program, tasks: list[TaskSettings], trials: int, seeds: int) -> Plan:
        """Raises `ConfigError` or `ProgramError` where nothing can be tuned."""
        if not any(h.low is not None for h in program.hyperparameters):
            raise ConfigError(
                f"{program.name} declares no range to tune in. Write one, such as: "
                'learning_rate = tunable(0.001, low=1e-5, high=0.1, scale="log")'
            )
        suite = make_suite("tune", tasks)
        for task in suite.tasks:
            check_fit(program, task)
        values = [suite.reference_on(task).values for task in suite]
        return cls(
            program.name,
            str(program),
            [t.model_dump() for t in tasks],
            trials,
            seeds,
            values,
            fingerprint(),
        )

    @property
    def settings(self) -> list[TaskSettings]:
        return [TaskSettings(**task) for task in self.tasks]

    def points(self) -> list[dict[str, float]]:
        tunable = [h for h in parse(self.program).hyperparameters if h.low is not None]
        return points(tunable, self.trials)


@dataclass(frozen=True)
class Point:
    """A trial as it is recorded. `rungs` are the reports of `Trainer`, as many as it reached."""

    number: int
    values: dict[str, float]
    status: str = WAITING
    rungs: tuple[dict[str, Any], ...] = ()
    seconds: float = 0.0

    @property
    def score(self) -> float:
        return self.rungs[-1]["score"]


class Record(Journal):
    """The journal of a tuning: facts, and a row per trial.

    What is finished is never changed again.
    """

    tables = Journal.tables + _TRIALS

    def begin(self, plan: Plan, resume: bool) -> None:
        """Write down what is tried, or see that it is the same. Raises `ConfigError`."""
        given, recorded = json.loads(canonical(asdict(plan))), self.get("plan")
        if recorded is None:
            self.put([], plan=given)
        elif not resume:
            raise ConfigError(
                f"{self.path.parent}: holds a tuning. Go on with --resume, or choose another "
                f"folder."
            )
        elif differing := sorted(k for k in given | recorded if given.get(k) != recorded.get(k)):
            raise ConfigError(
                f"{self.path.parent}: holds a tuning with other {', '.join(differing)}. "
                "Go on with what it was begun with, or choose another folder."
            )
        self._write(
            "INSERT OR IGNORE INTO trial VALUES (?, ?, ?, '[]', 0)",
            [(number, canonical(values), WAITING) for number, values in enumerate(plan.points())],
        )

    def points(self) -> list[Point]:
        found = self._ask(
            "SELECT number, hyperparameters, status, rungs, seconds FROM trial ORDER BY number"
        )
        return [
            Point(n, json.loads(values), s, tuple(json.loads(rungs)), t)
            for n, values, s, rungs, t in found
        ]

    def update(self, point: Point) -> None:
        values = (point.status, canonical(point.rungs), point.seconds, point.number)
        self._write(
            "UPDATE trial SET status = ?, rungs = ?, seconds = ? WHERE number = ?", [values]
        )

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        try:
            self.db.execute("BEGIN IMMEDIATE")
            self.db.executemany(statement, rows)
            self.db.execute("COMMIT")
        except sqlite3.Error as fault:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise JournalError(
                f"{self.path}: cannot be written: {fault}. What was recorded is intact; see to "
                f"the disk, then go on "
                "with --resume."
            ) from None


class Trainer(ray_tune.Trainable):
    """One point after another, in a process of Ray's; the compiled tasks stay.

    A step is the way to the next rung.
    """

    def setup(  # type: ignore[override]  # `with_parameters` adds the two
        self, config: dict[str, Any], plan: Plan, points: list[Point]
    ) -> None:
        self.plan, self.points = plan, points
        self.program = parse(plan.program)
        # All seeds of all tasks are trained side by side: at a rung, the others wait.
        self.scorer = Scorer(make_suite("tune", plan.settings), available_cores() * plan.seeds)
        self.stops = [
            tuple(max(1, round(t.task.steps * share / RUNGS[-1])) for share in RUNGS)
            for t in self.scorer.trials
        ]
        self.begin()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.begin()
        return True

    def begin(self) -> None:
        self.point = self.points[self.config["number"]]
        self.rung = -1
        chosen = self.program.with_values(self.point.values)
        self.trainings = [
            (seed, number, trials.losses(chosen, seed, self.stops[number]))
            for seed in (f"tune:search:{k}" for k in range(self.plan.seeds))
            for number, trials in enumerate(self.scorer.trials)
        ]

    def step(self) -> dict[str, Any]:
        self.rung += 1
        if self.point.status != WAITING:
            again = self.point.rungs[self.rung]
            return again | {"done": self.rung + 1 == len(self.point.rungs)}
        share, losses, scores = RUNGS[self.rung], [], []
        for seed, number, training in self.trainings:
            losses.append(next(training))
            if math.isnan(losses[-1]):
                return {
                    "share": share,
                    "score": LOWEST,
                    "losses": [x.hex() for x in losses],
                    "done": True,
                }
            stops = self.stops[number]
            against = self.scorer.reference_loss(number, seed, "validation", stops)[
                stops[self.rung]
            ]
            scores.append(math.log(against / max(losses[-1], FLOOR)))
        score = math.fsum(scores) / len(scores)
        return {
            "share": share,
            "score": score,
            "losses": [x.hex() for x in losses],
            "done": share == RUNGS[-1],
        }


class Recorder(ray_tune.Callback):
    """Writes down each result as it arrives, together with what ASHA made of it."""

    def __init__(self, record: Record):
        self.record = record
        self.fault: JournalError | None = None
        self.points = {point.number: point for point in record.points()}

    def __reduce__(self) -> Any:
        return (
            ray_tune.Callback,
            (),
        )  # Tune pickles what it is given, for the restore that nobody asks for

    def on_trial_result(
        self, iteration: int, trials: list, trial: Any, result: dict, **info: Any
    ) -> None:
        before = self.points[trial.config["number"]]
        if before.status != WAITING:
            return  # told again
        rung = RUNGS.index(result["share"])  # 0 again where its process died
        report = {name: result[name] for name in ("share", "score", "losses")}
        if report["losses"][-1] == "nan":
            status = DIVERGED
        elif result["share"] == RUNGS[-1]:
            status = COMPLETE
        else:
            status = STOPPED if result["done"] else WAITING
        point = replace(
            before,
            status=status,
            rungs=(*before.rungs[:rung], report),
            seconds=before.seconds + result["time_this_iter_s"],
        )
        self.points[point.number] = point
        try:
            self.record.update(point)
        except JournalError as fault:
            self.fault = fault
            raise


class Stopper(ray_tune.Stopper):
    """Ends all trials when the user asks for it."""

    def __init__(self, stop: Callable[[], bool]):
        self.stop = stop

    def __call__(self, trial_id: str, result: dict) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.stop()


def tune(
    plan: Plan,
    folder: Path,
    resume: bool = False,
    workers: int = 1,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Try all points of a plan and choose among the best; what is in `tuned.json`.

    Raises `Interrupted` where it was stopped, `ConfigError` for a folder that holds another tuning,
    `RunIsLive` for one that is being tuned, `JournalError` for a disk that cannot be written, and
    `TuningFailed`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder / "tune.lock")
    except OSError as fault:
        raise ConfigError(
            f"{folder}: cannot be written: {fault.strerror}. Choose another folder."
        ) from None
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        record = Record(folder / "tune.sqlite")
        stack.callback(record.close)
        record.begin(plan, resume)
        if (found := record.get("tuned")) is None:
            if any(point.status == WAITING for point in record.points()):
                try_points(plan, record, workers, stop)
            found = choose(plan, record.points(), workers, stop)
            record.put([], tuned=found)
        chosen = parse(plan.program).with_values(found["values"])
        replace_file(folder / "program.py", str(chosen))
        replace_file(folder / "tuned.json", json.dumps(found, indent=1) + "\n")
        return found


def try_points(plan: Plan, record: Record, workers: int, stop: Callable[[], bool]) -> None:
    """Give all points to Tune, those first that are finished: ASHA knows then what it knew."""
    points = record.points()
    numbers = sorted(range(plan.trials), key=lambda n: (points[n].status == WAITING, n))
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # what fails is said below
    with (
        tempfile.TemporaryDirectory(prefix="pride-tune-") as place,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(start_ray(workers))
        same_machine(plan)
        trainer = ray_tune.with_parameters(Trainer, plan=plan, points=points)
        recorder = Recorder(record)
        tuner = ray_tune.Tuner(
            ray_tune.with_resources(trainer, {"cpu": 1}),
            param_space={"number": ray_tune.grid_search(numbers)},
            tune_config=ray_tune.TuneConfig(
                scheduler=ASHAScheduler(
                    "share",
                    "score",
                    "max",
                    max_t=RUNGS[-1],
                    grace_period=RUNGS[0],
                    reduction_factor=REDUCTION,
                ),
                # A new one takes seconds, to import jax and to load the compiled tasks
                reuse_actors=True,
                max_concurrent_trials=workers,
                trial_dirname_creator=lambda trial: str(trial.config["number"]),
            ),
            run_config=ray_tune.RunConfig(
                name="tune",
                storage_path=place,
                failure_config=ray_tune.FailureConfig(max_failures=RETRIES),
                checkpoint_config=ray_tune.CheckpointConfig(checkpoint_at_end=False),
                callbacks=[recorder],
                stop=Stopper(stop),
                verbose=0,
            ),
        )
        try:
            results = tuner.fit()
        except TuneError as fault:  # its words are a traceback
            raise recorder.fault or TuningFailed(str(fault).strip().splitlines()[-1]) from None
    if stop():
        raise Interrupted
    waiting = sum(point.status == WAITING for point in record.points())
    if waiting or len(results) != plan.trials or results.num_terminated != plan.trials:
        why = f" ({str(results.errors[0]).strip().splitlines()[-1]})" if results.errors else ""
        raise TuningFailed(
            f"{waiting} of {plan.trials} trials were not finished{why}. The others are recorded "
            f"in {record.path}; "
            "go on with the same command and --resume."
        )


def start_ray(workers: int) -> Callable[[], None]:
    """Start Ray on this machine, unless this process is connected to one; what ends it.

    Raises `WorkerFailure`.
    """
    with warnings.catch_warnings():
        # jax warns of every fork, and Ray starts its processes with one; they replace themselves at
        # once.
        warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
        return connect(WorkerSettings(kind="ray", count=workers))


def same_machine(plan: Plan) -> None:
    """Raise `WorkerFailure` where processes of Ray would give other bits: it was started without
    our environment.
    """
    theirs = ray.get(ray.remote(fingerprint).remote())
    if theirs != plan.machine:
        raise WorkerFailure(
            f"Ray's processes run on other software or settings than this one: {theirs}"
        )


def choose(
    plan: Plan, points: list[Point], workers: int, stop: Callable[[], bool]
) -> dict[str, Any]:
    """The best of the points and of the program as it stands, by our own evaluator on seeds that no
    trial has seen.

    Raises `Interrupted`, `TuningFailed`.
    """
    program = parse(plan.program)
    tunable = [h.name for h in program.hyperparameters if h.low is not None]
    ranked = sorted((p for p in points if p.status == COMPLETE), key=lambda p: (-p.score, p.number))
    finalists = [(None, {name: program.values[name] for name in tunable})]
    finalists += [(point.number, point.values) for point in ranked[:FINALISTS]]
    texts = [str(program.with_values(values)) for _, values in finalists]
    select, state = (
        [f"tune:{what}:{k}" for k in range(FINAL_SEEDS)] for what in ("select", "state")
    )
    executor = make_executor(WorkerSettings(count=workers), make_suite("tune", plan.settings))
    try:
        executor.ready(stop)
        selected = score(executor, [Job(text, tuple(select)) for text in texts], stop)
        best = max(range(len(texts)), key=lambda n: (selected[n].search_score, -n))
        parts = ("validation", "test")
        stated = score(
            executor, [Job(texts[best], tuple(state), part=part) for part in parts], stop
        )
    finally:
        executor.close()
    if any(outcome.status != OK for outcome in stated):
        raise TuningFailed(
            f"{plan.name} diverges with the best values found. Give it narrower ranges or more "
            f"trials, "
            "and tune into another folder."
        )
    return {
        "program": plan.name,
        "values": finalists[best][1],
        "trial": finalists[best][0],
        "finalists": [
            {
                "trial": number,
                "values": values,
                "score": outcome.search_score if outcome.status == OK else None,
            }
            for (number, values), outcome in zip(finalists, selected, strict=True)
        ],
        **{
            part: [math.fsum(row) / len(row) for row in s.scores]
            for part, s in zip(parts, stated, strict=True)
        },
        "trials": {
            status: sum(p.status == status for p in points)
            for status in (COMPLETE, STOPPED, DIVERGED)
        },
        "method": f"{plan.trials} scrambled Sobol points, {plan.seeds} seeds each, ASHA at "
        f"{RUNGS} ninths of the "
        f"steps; the best {FINALISTS} and the program as it stands again on {FINAL_SEEDS} other "
        f"seeds; the scores "
        f"stated are on {FINAL_SEEDS} more",
        "plan": asdict(plan),
    }


def score(executor: Any, jobs: list[Job], stop: Callable[[], bool]) -> list[Outcome]:
    """The outcomes of jobs, in their order. Raises `Interrupted`."""
    for number, job in enumerate(jobs):
        executor.submit(number, job)
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < len(jobs):
        if stop():
            raise Interrupted
        outcomes.update(executor.arrivals(0.05))
    return [outcomes[number] for number in range(len(jobs))]
