"""What a tuning tries, and its record: a row for each trial, written as results arrive."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from evolve.config.errors import ConfigError
from evolve.config.schema import TaskSettings
from evolve.environment import differences, fingerprint
from evolve.plugins import load_sources, to_send
from evolve.record.errors import JournalError
from evolve.record.journal import Journal
from evolve.scoring.fit import check_fit
from evolve.scoring.job import DIVERGED
from evolve.scoring.suite import Suite, make_suite
from evolve.scoring.wire import canonical
from evolve.tuning.ranges import points, tunable
from evolve.workers.errors import WorkerFailure
from primitives import Program, parse

FORMAT = 1
REDUCTION = 3  # of so many trials at a rung, one is trained further
RUNGS = (1, 3, 9)  # where the loss is looked at: ninths of the steps

# What a trial can be, beside `DIVERGED`. STOPPED: it did badly early, and is trained no further.
WAITING, STOPPED, COMPLETE = "waiting", "stopped", "complete"

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
    plugins: list[dict[str, Any]] = field(default_factory=list)  # `evolve.plugins.to_send`

    @classmethod
    def of(cls, program: Program, tasks: list[TaskSettings], trials: int, seeds: int) -> Plan:
        """Plan so many trials of a program, in so many seeds each.

        Raises  `ConfigError` or `ProgramError` where nothing can be tuned.
        """
        if not tunable(program):
            raise ConfigError(
                f"{program.name} declares no range to tune in. Write one, such as: "
                'learning_rate = tunable(0.001, low=1e-5, high=0.1, scale="log")'
            )
        suite = make_suite("tune", tasks)
        for task in suite.tasks:
            check_fit(program, task)

        return cls(
            name=program.name,
            program=str(program),
            tasks=[task.model_dump() for task in tasks],
            trials=trials,
            seeds=seeds,
            references=[suite.reference_on(task).values for task in suite.tasks],
            machine=fingerprint(),
            plugins=to_send(),
        )

    def suite(self) -> Suite:
        """Build the suite, in whichever process this is."""
        load_sources(self.plugins)
        suite = make_suite("tune", [TaskSettings(**task) for task in self.tasks])
        tuned = zip(suite.fingerprints, self.references, strict=True)
        return replace(suite, given={task: {suite.reference: values} for task, values in tuned})

    def points(self) -> list[dict[str, float]]:
        """Return the hyperparameters of each trial, as values by name."""
        return points(tunable(parse(self.program)), self.trials)

    def facts(self) -> dict[str, Any]:
        """Return it as it is recorded: plug-ins by their hashes, and only where there are any."""
        told = asdict(self)
        brought = told.pop("plugins")
        if brought:
            told["plugins"] = {plugin["name"]: plugin["sha256"] for plugin in brought}
        return told


@dataclass(frozen=True)
class Point:
    """A trial as it is recorded."""

    number: int
    values: dict[str, float]
    status: str = WAITING
    rungs: tuple[dict[str, Any], ...] = ()  # reports of `Trainer.step`, for each rung it reached
    seconds: float = 0.0

    @property
    def score(self) -> float:
        """The score at the last rung that it reached."""
        return self.rungs[-1]["score"]


_TABLE = TypeAdapter(dict[str, Any], config=ConfigDict(strict=True, allow_inf_nan=False))
_FACTS = {"plan": _TABLE, "tuned": _TABLE}  # what was asked for, and what came out


class Record(Journal):
    """The journal of a tuning: facts, and a row per trial.

    What is finished is never changed again.
    """

    tables = Journal.tables + _TRIALS
    facts = Journal.facts | _FACTS

    def begin(self, plan: Plan, resume: bool) -> None:
        """Write down what is tried, or see that it is the same. Raises `ConfigError`."""
        given, recorded = json.loads(canonical(plan.facts())), self.get("plan")
        if recorded is None:
            self.put([], plan=given)
        elif not resume:
            raise ConfigError(
                f"{self.path.parent}: holds a tuning. Go on with --resume, or choose another "
                f"folder."
            )
        elif differing := _differing(recorded, given):
            raise ConfigError(
                f"{self.path.parent}: holds a tuning with other {', '.join(differing)}. "
                "Go on with what it was begun with, or choose another folder."
            )
        self._write(
            "INSERT OR IGNORE INTO trial VALUES (?, ?, ?, '[]', 0)",
            [(number, canonical(values), WAITING) for number, values in enumerate(plan.points())],
        )

    def points(self) -> list[Point]:
        """Return all trials, in order."""
        found = self._ask(
            "SELECT number, hyperparameters, status, rungs, seconds FROM trial ORDER BY number"
        )
        return [
            Point(n, json.loads(values), s, tuple(json.loads(rungs)), t)
            for n, values, s, rungs, t in found
        ]

    def update(self, point: Point) -> None:
        """Write down how far a trial is. Raises `JournalError`."""
        values = (point.status, canonical(point.rungs), point.seconds, point.number)
        self._write(
            "UPDATE trial SET status = ?, rungs = ?, seconds = ? WHERE number = ?", [values]
        )

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Do the same with each of some rows, together."""
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


def _differing(recorded: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """List what of a plan is not as it is recorded; of the machine, each fact."""
    names = sorted(k for k in given | recorded if given.get(k) != recorded.get(k))
    if "machine" in names and "machine" in recorded:
        place = names.index("machine")
        names[place : place + 1] = differences(recorded["machine"], given["machine"])
    return names


def counted(points: list[Point]) -> dict[str, int]:
    """Count the trials by what became of them."""
    return {
        status: sum(point.status == status for point in points)
        for status in (COMPLETE, STOPPED, DIVERGED)
    }
