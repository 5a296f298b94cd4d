"""Tuning: hyperparameters of one program on a suite, tried by Ray Tune, decided and recorded by us.

The points are a scrambled Sobol sequence over the ranges that the program declares, drawn before
anything runs, so what is tried does not depend on who answers first. ASHA, which does depend on it,
decides how far each point is trained. The best few are then scored by the evaluator of every other
command, on fresh seeds, beside the program as it stands; that decides (`choice.py`).

The record is `tune.sqlite` (`trials.py`). Going on after a kill starts Tune afresh and gives it
what is recorded: a finished trial reports its losses again and is not trained. Tune's own restore
is not used. It unpickles what it finds; killed before its first snapshot it runs one trial instead
of all, without saying so; and it forgets what ASHA has seen.

Importing this file imports Ray.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
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
from evolve.config.schema import WorkerSettings
from evolve.environment import available_cores, differences, fingerprint
from evolve.files import make_folder, replace_file
from evolve.interrupt import Interrupted
from evolve.record.errors import JournalError
from evolve.record.lock import Lock
from evolve.record.untrusted import strange
from evolve.scoring.job import DIVERGED
from evolve.scoring.scorer import Scorer, log_ratio
from evolve.tuning.choice import choose
from evolve.tuning.trials import (
    COMPLETE,
    REDUCTION,
    RUNGS,
    STOPPED,
    WAITING,
    Plan,
    Point,
    Record,
    TuningFailed,
)
from evolve.tuning.watching import Watching, unwatched
from evolve.workers.errors import WorkerFailure
from primitives import parse

# What ASHA is told of a trial that diverged: it cannot rank -inf, and no logarithm of two losses is
# as low.
LOWEST = -1e3
RETRIES = 2  # of a trial whose process died


class Trainer(ray_tune.Trainable):
    """One point after another, in a process of Ray's; the compiled tasks stay.

    A step is the way to the next rung.
    """

    def setup(  # type: ignore[override]  # `with_parameters` adds the two
        self, config: dict[str, Any], plan: Plan, points: list[Point]
    ) -> None:
        self.plan, self.points = plan, points
        suite = plan.suite()
        self.program = parse(plan.program)
        # All seeds of all tasks are trained side by side: at a rung, the others wait.
        self.scorer = Scorer(suite, available_cores() * plan.seeds)
        self.stops = [
            tuple(max(1, round(t.task.steps * share / RUNGS[-1])) for share in RUNGS)
            for t in self.scorer.trials
        ]
        self.begin()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.begin()
        return True

    def begin(self) -> None:
        """Begin with the point that Tune asks for."""
        self.point = self.points[self.config["number"]]
        self.rung = -1
        chosen = self.program.with_values(self.point.values)
        self.trainings = [
            (seed, number, trials.losses(chosen, seed, self.stops[number]))
            for seed in (f"tune:search:{k}" for k in range(self.plan.seeds))
            for number, trials in enumerate(self.scorer.trials)
        ]

    def step(self) -> dict[str, Any]:
        """Train to the next rung, or say again what is recorded of it. Returns the report."""
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
            scores.append(log_ratio(against, losses[-1], self.scorer.trials[number].task.kind))

        score = math.fsum(scores) / len(scores)
        return {
            "share": share,
            "score": score,
            "losses": [x.hex() for x in losses],
            "done": share == RUNGS[-1],
        }


class Recorder(ray_tune.Callback):
    """Writes down each result as it arrives, together with what ASHA made of it."""

    def __init__(self, record: Record, done: Callable[[int], object]):
        """done: is told how many points are finished."""
        self.record, self.done = record, done
        self.fault: JournalError | None = None
        self.points = {point.number: point for point in record.points()}

    def __reduce__(self) -> Any:
        """Be pickled as a callback that does nothing: Tune prepares a restore nobody asks for."""
        return (ray_tune.Callback, ())

    def on_trial_result(
        self, iteration: int, trials: list, trial: Any, result: dict, **info: Any
    ) -> None:
        before = self.points[trial.config["number"]]
        if before.status != WAITING:
            return  # it was told again what it knows

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
        self.done(sum(p.status != WAITING for p in self.points.values()))


class Stopper(ray_tune.Stopper):
    """Ends all trials when the user asks for it."""

    def __init__(self, stop: Callable[[], bool]):
        self.stop = stop

    def __call__(self, trial_id: str, result: dict) -> bool:
        """Tell whether one trial is to end: none by itself."""
        return False

    def stop_all(self) -> bool:
        """Tell whether all trials are to end."""
        return self.stop()


def tune(
    plan: Plan,
    folder: Path,
    resume: bool = False,
    workers: int = 1,
    stop: Callable[[], bool] = lambda: False,
    watching: Watching = unwatched,
) -> dict[str, Any]:
    """Try all points of a plan and choose among the best. Returns what `tuned.json` says.

    `watching` sees the points go by, and then the finalists.
    Raises  `Interrupted` where it was stopped, `ConfigError` for a folder that holds another
            tuning, `RunIsLive` for one that is being tuned, `JournalError` for a disk that cannot
            be written, and `TuningFailed`.
    """
    try:
        make_folder(folder, 0o755)
        if why := strange(folder, ()):
            raise ConfigError(f"{why}. A tuning is made of plain files; choose another folder.")
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
                try_points(plan, record, workers, stop, watching)
            found = choose(plan, record.points(), workers, stop, watching)
            record.put([], tuned=found)
        chosen = parse(plan.program).with_values(found["values"])
        replace_file(folder / "program.py", str(chosen))
        replace_file(folder / "tuned.json", json.dumps(found, indent=1) + "\n")
        return found


def try_points(
    plan: Plan,
    record: Record,
    workers: int,
    stop: Callable[[], bool],
    watching: Watching = unwatched,
) -> None:
    """Give all points to Tune, those first that are finished, so that ASHA knows what it knew.

    Raises  `Interrupted`; `TuningFailed` where trials are left that were not finished.
    """
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
        done = stack.enter_context(watching(f"tuning {plan.name}", plan.trials))
        recorder = Recorder(record, done)
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
    """Start Ray on this machine, unless this process is connected to one.

    Returns a function that ends it. Raises `WorkerFailure`.
    """
    return connect(WorkerSettings(kind="ray", count=workers))


def same_machine(plan: Plan) -> None:
    """Raise `WorkerFailure` where processes of Ray would give other bits than this one.

    They do where Ray was started without our environment.
    """
    theirs = ray.get(ray.remote(fingerprint).remote())
    if differ := differences(plan.machine, theirs):
        raise WorkerFailure(
            f"Ray's processes run on other software or settings than this one: {', '.join(differ)}"
        )
