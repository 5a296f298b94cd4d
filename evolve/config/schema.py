"""The schema: what a configuration holds, what is allowed, and what is meant where it is silent."""

from __future__ import annotations

import copy
import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DEVICE_NAMES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10)),
}
"""What Windows takes for a device and not for a file."""


class Strict(BaseModel):
    """A frozen model without unknown keys, silent conversions and numbers that are not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


# The most that a number may be: beyond anything that a machine could hold or a life could wait for,
# so that a digit too many is said and not tried.
MOST_CANDIDATES = 10**12
MOST_MEMBERS = 100_000  # of a population; some kilobytes each
MOST_SEEDS = 10_000
MOST_WORKERS = 4096
MOST_SECONDS = 1e10

Weight = Annotated[float, Field(ge=0, le=1e6)]
Seeds = Annotated[int, Field(ge=1, le=MOST_SEEDS)]
Seconds = Annotated[float, Field(gt=0, le=MOST_SECONDS)]
Candidates = Annotated[int, Field(ge=1, le=MOST_CANDIDATES)]
Members = Annotated[int, Field(ge=1, le=MOST_MEMBERS)]


def planned_lag(workers: int) -> int:
    """Return the lag that keeps so many workers busy.

    They are busy 95 % of their time and more, whatever law their work follows. Simulated:
    tests/benchmarks/lag.py, and a table in DECISIONS.md.
    """
    return workers * (16 if workers <= 4 else 64 if workers <= 16 else 128)


class TaskSettings(Strict):
    """One task of a suite: its kind, and those of its fields that differ from their defaults."""

    kind: str
    fields: dict[str, int | float | str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """Take `{kind: digits_dense, width: 16}`, which is how people write it."""
        if isinstance(given, dict) and "fields" not in given:
            kind = {"kind": given["kind"]} if "kind" in given else {}
            return kind | {"fields": {k: v for k, v in given.items() if k != "kind"}}
        return given


class PluginSettings(Strict):
    """A plug-in: its file, or the name under which an installed package announces it.

    sha256: of its text, 64 hex digits; written once the run is resolved, for it decides what runs.
    """

    file: str
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """Take `my_task.py`, which is how people write it."""
        return {"file": given} if isinstance(given, str) else given


class SuiteFile(Strict):
    """What stands in the file of a suite."""

    tasks: list[TaskSettings]


class SearchSettings(Strict):
    """How programs are bred."""

    kind: Literal["evolution", "random", "constants"] = "evolution"
    initial: list[str] = Field(default=["adamw"], min_length=1)
    families: list[str] = Field(default=["lion"], min_length=1)
    population: Members = 100
    tournament: Members = 4
    lag: Annotated[int, Field(ge=1, le=planned_lag(MOST_WORKERS))] = 32
    # arrival: stragglers hold up nobody; such a run is not repeatable
    order: Literal["number", "arrival"] = "number"
    max_statements: Annotated[int, Field(ge=2, le=128)] = 24
    phase: Candidates = 4000
    repeats: Candidates = 2
    insert: Weight = 1.0
    delete: Weight = 1.0
    modify: Weight = 1.0
    # Of mutations that plug-ins bring, by name; not written down where there is none.
    mutations: dict[str, Weight] = Field(default_factory=dict)

    @model_serializer(mode="wrap")
    def _without_what_nobody_brought(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written = write(self)
        if not self.mutations:
            del written["mutations"]
        return written

    @field_validator("families")
    @classmethod
    def _known_families(cls, families: list[str]) -> list[str]:
        from primitives import PRIMITIVES

        known = sorted({p.family for p in PRIMITIVES.values()})
        for family in families:
            if family not in known:
                raise ValueError(
                    f"no family of primitives is called {family!r}; there are: {', '.join(known)}"
                )
        return families

    @model_validator(mode="after")
    def _some_mutation(self) -> SearchSettings:
        if not any((self.insert, self.delete, self.modify, *self.mutations.values())):
            raise ValueError(
                "insert, delete and modify are all 0; give at least one of them a weight"
            )
        return self


class Budget(Strict):
    """Where the sequence of candidates stops: at the first that is reached.

    Totals, also over a resume.
    """

    candidates: Candidates | None = None
    seconds: Seconds | None = None

    @model_validator(mode="after")
    def _some_end(self) -> Budget:
        if self.candidates is None and self.seconds is None:
            raise ValueError("give candidates, seconds, or both")
        return self


class ScoringSettings(Strict):
    """How many seeds are spent on whom."""

    seeds: Seeds = 2
    select_seeds: Seeds = 10
    hall_of_fame: Members = 10
    hurdle_percentile: Annotated[float, Field(ge=0, lt=100)] = 20.0
    # Share of the steps of the first seed, after which it may be stopped; 0: nowhere.
    early: Annotated[float, Field(ge=0, lt=1)] = 0.25
    # How many times the reference's loss there is too much: what is worse is stopped.
    bound: Annotated[float, Field(gt=1, le=1e12)] = 20.0


class ConfirmSettings(Strict):
    """The last word: finalists against tuned baselines on fresh seeds and the test part."""

    seeds: Annotated[int, Field(ge=2, le=MOST_SEEDS)] = 10
    finalists: Members = 3
    baselines: list[str] = Field(default=["adamw", "lion"])


class WorkerSettings(Strict):
    """Who scores. Has no influence on the result."""

    # auto: local on a CPU, devices on accelerators.
    kind: Literal["auto", "inline", "local", "devices", "ray"] = "auto"
    count: Annotated[int, Field(ge=1, le=MOST_WORKERS)] | Literal["auto"] = "auto"
    deadline: Seconds = 300.0  # seconds for one candidate, with all attempts
    # GiB for one worker; auto: its share of what the machine has.
    memory: Annotated[float, Field(gt=0, le=1e6)] | Literal["auto"] = "auto"

    # The Ray cluster, auto or HOST:PORT; empty for one that is started on this machine.
    address: str = ""
    # What a Ray worker asks for.
    cpus: Annotated[float, Field(gt=0, le=1e4)] = 1.0
    gpus: Annotated[float, Field(ge=0, le=1e4)] = 0.0
    tpus: Annotated[int, Field(ge=0, le=10_000)] = 0

    @model_validator(mode="after")
    def _one_place(self) -> WorkerSettings:
        if self.kind != "ray" and (self.address or self.gpus or self.tpus or self.cpus != 1.0):
            raise ValueError("address, cpus, gpus and tpus are for workers of kind ray")
        if "://" in self.address:
            raise ValueError(
                f"{self.address!r} is Ray's client; run on a node of the cluster: auto, or "
                f"HOST:PORT"
            )
        if self.address not in ("", "auto") and not re.fullmatch(r"[^\s:]+:\d{1,5}", self.address):
            raise ValueError(
                f"{self.address!r} is no address of a Ray cluster: write auto, or HOST:PORT"
            )
        if self.gpus and self.tpus:
            raise ValueError("a worker computes on GPUs or on TPUs; give one of them")
        return self


class WorkersAlone(Strict):
    """Who scores, where that is all that there is to say."""

    workers: WorkerSettings


class Config(Strict):
    """A run."""

    name: str = "run"
    plugins: list[PluginSettings] = Field(default_factory=list)
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    suite: str | list[TaskSettings]
    schedule: str = ""  # of the learning rate of all candidates; empty for each task's own
    reference: str = "adamw"  # the known optimizer whose tuned losses are a score of 0
    search: SearchSettings = Field(default_factory=SearchSettings)
    budget: Budget
    scoring: ScoringSettings = Field(default_factory=ScoringSettings)
    confirm: ConfirmSettings = Field(default_factory=ConfirmSettings)
    workers: WorkerSettings = Field(default_factory=WorkerSettings)

    @field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not RUN_NAME.fullmatch(name) or name.split(".")[0].lower() in DEVICE_NAMES:
            raise ValueError(
                f"{name!r} is no name for a run; use letters, digits, '.', '_' and '-', 64 at most"
            )
        return name

    @field_validator("schedule")
    @classmethod
    def _known_schedule(cls, schedule: str) -> str:
        return checked_schedule(schedule)

    def decisive(self) -> dict[str, Any]:
        """Return the part that decides the sequence of candidates and outcomes.

        Budget and workers are no part of it, nor is what happens after the search.
        """
        return self.model_dump(mode="json", exclude={"name", "budget", "workers", "confirm"})


CAME_LATER: dict[tuple[str, ...], Any] = {
    ("search", "order"): "number",
    ("reference",): "adamw",
    ("plugins",): [],
}
"""Decisive keys that older runs did not write down, and what was done in those runs.

Whoever adds a key to the decisive part adds a line here.
"""


def completed(stored: dict[str, Any]) -> dict[str, Any]:
    """Return the decisive part of a stored run as `Config.decisive` writes it today.

    Raises `TypeError` or `KeyError` for what is no decisive part.
    """
    filled = copy.deepcopy(stored)
    for (*path, key), done in CAME_LATER.items():
        at = filled
        for part in path:
            at = at[part]
        if not isinstance(at, dict):
            raise TypeError(f"{at!r} is no mapping")
        at.setdefault(key, copy.deepcopy(done))
    return filled


def checked_schedule(text: str) -> str:
    """Return a schedule in its shortest form; empty for each task's own.

    Raises `ValueError`, one sentence.
    """
    from proxy_tasks.schedules import parse_schedule

    return str(parse_schedule(text)) if text else ""
