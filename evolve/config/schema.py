"""Configuration: strict YAML, a typed schema, presets, and errors that name the key.

YAML's own rules read 1e-3 as a string, `no` as false and keep the last of two
equal keys; the loader below reads numbers as JSON does and refuses the rest.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from primitives.errors import printable
from primitives.files import read_file

MAX_BYTES = 64 * 1024
MAX_VALUES = 4000  # of a configuration; its loader takes 20 microseconds each
MAX_DEPTH = 16
MAX_SAID = 5  # errors that are told at once
MAX_MESSAGE = 2000
RUN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
DEVICE_NAMES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{d}{n}" for d in ("com", "lpt") for n in range(1, 10)),
}


class ConfigError(ValueError):
    """A configuration that cannot be used: what, where, what to do. Ready to be shown."""

    def __str__(self) -> str:
        return printable(super().__str__(), MAX_MESSAGE)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


Positive = Annotated[int, Field(ge=1)]


class TaskSettings(_Strict):
    """One task of a suite: its kind, and those of its fields that differ from their defaults."""

    kind: str
    fields: dict[str, int | float | str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """`{kind: digits_dense, width: 16}` is how people write it."""
        if isinstance(given, dict) and "fields" not in given:
            kind = {"kind": given["kind"]} if "kind" in given else {}
            return kind | {"fields": {k: v for k, v in given.items() if k != "kind"}}
        return given


class SearchSettings(_Strict):
    """How programs are bred."""

    kind: Literal["evolution", "random", "constants"] = "evolution"
    initial: list[str] = Field(default=["adamw"], min_length=1)
    families: list[str] = Field(default=["lion"], min_length=1)
    population: Positive = 100
    tournament: Positive = 4
    lag: Positive = 32
    order: Literal["number", "arrival"] = (
        "number"  # arrival: stragglers hold up nobody; such a run is not repeatable
    )
    max_statements: Annotated[int, Field(ge=2, le=128)] = 24
    phase: Positive = 4000
    repeats: Positive = 2
    insert: Annotated[float, Field(ge=0)] = 1.0
    delete: Annotated[float, Field(ge=0)] = 1.0
    modify: Annotated[float, Field(ge=0)] = 1.0

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
        if self.insert + self.delete + self.modify <= 0:
            raise ValueError(
                "insert, delete and modify are all 0; give at least one of them a weight"
            )
        return self


def planned_lag(workers: int) -> int:
    """The lag that keeps so many workers busy, for 95 % of their time and more, whatever law their
    work follows.

    Simulated: tests/benchmarks/lag.py, and a table in DECISIONS.md.
    """
    return workers * (16 if workers <= 4 else 64 if workers <= 16 else 128)


class Budget(_Strict):
    """Where the sequence of candidates stops: at the first that is reached.

    Totals, also over a resume.
    """

    candidates: Positive | None = None
    seconds: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _some_end(self) -> Budget:
        if self.candidates is None and self.seconds is None:
            raise ValueError("give candidates, seconds, or both")
        return self


class ScoringSettings(_Strict):
    """How many seeds are spent on whom."""

    seeds: Positive = 2
    select_seeds: Positive = 10
    hall_of_fame: Positive = 10
    hurdle_percentile: Annotated[float, Field(ge=0, lt=100)] = 20.0
    # Share of the steps of the first seed, after which it may be stopped; 0: nowhere.
    early: Annotated[float, Field(ge=0, lt=1)] = 0.25
    bound: Annotated[float, Field(gt=1)] = (
        20.0  # times the reference's loss there; what is worse is stopped
    )


class ConfirmSettings(_Strict):
    """The last word: finalists against tuned baselines on fresh seeds and the test part."""

    seeds: Annotated[int, Field(ge=2)] = 10
    finalists: Positive = 3
    baselines: list[str] = Field(default=["adamw", "lion"])


class WorkerSettings(_Strict):
    """Who scores. Has no influence on the result."""

    # auto: local on a CPU, devices on accelerators
    kind: Literal["auto", "inline", "local", "devices", "ray"] = "auto"
    count: Positive | Literal["auto"] = "auto"
    deadline: Annotated[float, Field(gt=0)] = 300.0  # seconds for one candidate, with all attempts
    memory: Annotated[float, Field(gt=0)] | Literal["auto"] = (
        "auto"  # GiB for one worker; auto: its share
    )
    address: str = (
        ""  # of a Ray cluster: auto or HOST:PORT; empty for one that is started on this machine
    )
    cpus: Annotated[float, Field(gt=0)] = 1.0  # that a Ray worker asks for
    gpus: Annotated[float, Field(ge=0)] = 0.0
    tpus: Annotated[int, Field(ge=0)] = 0

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


class Config(_Strict):
    """A run."""

    name: str = "run"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    suite: str | list[TaskSettings]
    schedule: str = ""  # of the learning rate of all candidates; empty for each task's own
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
        """The part that decides the sequence of candidates and outcomes; budget and workers do
        not.
        """
        return self.model_dump(mode="json", exclude={"name", "budget", "workers", "confirm"})


def checked_schedule(text: str) -> str:
    """A schedule in its shortest form; empty for each task's own.

    Raises `ValueError`, one sentence.
    """
    from proxy_tasks.schedules import parse_schedule

    return str(parse_schedule(text)) if text else ""


# --- reading --------------------------------------------------------------------------------------


_HALF = re.compile("[\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """Plain data: no anchors, no tags, no repeated keys, numbers as JSON writes them."""

    yaml_implicit_resolvers: ClassVar[dict] = {}
    depth = values = 0

    def compose_node(self, parent, index):
        event = self.peek_event()
        self.depth += 1
        self.values += 1
        problem = ""
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            problem = "anchors, aliases and tags are not allowed"
        elif self.depth > MAX_DEPTH:
            problem = "nested too deeply"
        elif self.values > MAX_VALUES:
            problem = f"more than {MAX_VALUES} keys and values; a configuration fits into a page"
        elif _HALF.search(getattr(event, "value", "")):
            problem = "a text with one half of a surrogate pair, which no file can hold"
        if problem:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a key must be plain text", problem_mark=key.start_mark
                )
            if key.value in seen:
                word = printable(key.value, 60)
                raise yaml.MarkedYAMLError(
                    problem=f"the key '{word}' is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
            key.tag = "tag:yaml.org,2002:str"  # `1: x` has the key "1"
        return super().construct_mapping(node, deep)


_WHOLE = r"-?(0|[1-9][0-9]{0,18})"
for _kind, _pattern, _first in [
    ("null", "null|~|", ["n", "~", ""]),
    ("bool", "true|false", ["t", "f"]),
    ("int", _WHOLE, list("-0123456789")),
    ("float", _WHOLE + r"(\.[0-9]+)?([eE][-+]?[0-9]+)?", list("-0123456789")),
]:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), _first
    )


def read_yaml(text: str | bytes, where: str) -> Any:
    """Plain data from YAML. Raises `ConfigError`."""
    if len(text) > MAX_BYTES:
        raise ConfigError(
            f"{where}: larger than {MAX_BYTES} bytes; a configuration fits into a page"
        )
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark
        place = f"{where}:{mark.line + 1}" if mark else where
        raise ConfigError(f"{place}: {fault.problem}") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as fault:
        raise ConfigError(f"{where}: not valid YAML: {str(fault).splitlines()[0]}") from None


class _Dumper(yaml.SafeDumper):
    """Quotes the strings that our loader, unlike YAML's own rules, reads as numbers: 1e3."""


_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(rf"(?:{_WHOLE}(\.[0-9]+)?([eE][-+]?[0-9]+)?)\Z"),
    list("-0123456789"),
)


def write_yaml(content: Any) -> str:
    """The text from which `read_yaml` reads the same."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False)


def presets_folder() -> Path:
    """`configs/` beside the packages in a checkout; inside the package where it was installed."""
    inside = Path(__file__).parents[1] / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "configs"


def preset_names(kind: str = "") -> list[str]:
    """Names of the presets (or of those in a sub-folder such as "suites")."""
    return sorted(path.stem for path in (presets_folder() / kind).glob("*.yaml"))


def _text_of(name_or_file: str, kind: str, noun: str) -> tuple[str, bytes]:
    """(where it came from, its text) of a preset or a file."""
    path = presets_folder() / kind / f"{name_or_file}.yaml"
    if "/" in name_or_file or name_or_file.endswith((".yaml", ".yml")):
        path = Path(name_or_file)
    elif name_or_file not in preset_names(kind):
        known = preset_names(kind)
        near = difflib.get_close_matches(name_or_file, known, n=1)
        hint = (
            f"Did you mean {near[0]!r}?"
            if near
            else f"There are: {', '.join(known)}; a file ends in .yaml."
        )
        raise ConfigError(f"no {noun} is called {name_or_file!r}. {hint}")
    try:
        return str(path), read_file(path, MAX_BYTES)
    except OSError as fault:
        raise ConfigError(f"{path}: cannot be read: {fault.strerror}. Check the path.") from None


def load_suite(name_or_file: str) -> tuple[str, list[TaskSettings]]:
    """Name and tasks of a suite."""
    where, text = _text_of(name_or_file, "suites", "suite")
    given = read_yaml(text, where)
    if not isinstance(given, dict) or set(given) != {"tasks"}:
        raise ConfigError(f"{where}: a suite has one key, `tasks`, with a list of tasks")
    return Path(where).stem, _validated(_Suite, given, where).tasks


class _Suite(_Strict):
    tasks: list[TaskSettings]


def load_config(name_or_file: str, overrides: tuple[str, ...] = ()) -> Config:
    """A preset or a file, changed by `a.b=c` overrides. Raises `ConfigError`."""
    where, text = _text_of(name_or_file, "", "preset")
    return validated(overridden(_mapping(read_yaml(text, where), where), overrides), where)


def overridden(given: dict, overrides: tuple[str, ...]) -> dict:
    """Plain data changed in place by `a.b=c` overrides. Raises `ConfigError`."""
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {override}: write --set budget.candidates=100000")
        _put(given, key.strip().split("."), read_yaml(value, f"--set {key}"), override)
    return given


def validated(given: Any, where: str) -> Config:
    """The typed configuration.

    Raises `ConfigError` naming the key, what is allowed and the nearest name.
    """
    return _validated(Config, _mapping(given, where), where)


def _mapping(given: Any, where: str) -> dict:
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: a configuration is a mapping of keys to values")
    return given


def _put(given: dict, path: list[str], value: Any, override: str) -> None:
    at = given
    for part in path[:-1]:
        at = at.setdefault(part, {})
        if not isinstance(at, dict):
            raise ConfigError(f"--set {override}: {part!r} has no keys of its own")
    at[path[-1]] = value


def _validated(model: type[_Strict], given: Any, where: str) -> Any:
    try:
        return model.model_validate(given)
    except ValidationError as fault:
        errors = [e for e in fault.errors() if not _other_branch(e)] or fault.errors()
        said = [
            printable(words, 300) for words in dict.fromkeys(_explain(model, e) for e in errors)
        ]
        more = [f"and {len(said) - MAX_SAID} more"] if len(said) > MAX_SAID else []
        raise ConfigError(f"{where}: " + "; ".join(said[:MAX_SAID] + more)) from None


def _other_branch(error: Any) -> bool:
    """Of `str | list`, the branch that was not meant."""
    return error["loc"][-1:] == ("str",) and isinstance(error["input"], list)


_BRANCHES = (
    "str",
    "int",
    "float",
    "constrained-int",
    "fields",
)  # pydantic's words in a path, not the user's


def _explain(model: type[BaseModel], error: Any) -> str:
    *path, last = [p for p in error["loc"] if not str(p).startswith(("list[", "literal["))] or [""]
    path = [p for p in path if p not in _BRANCHES]
    if last not in _BRANCHES or error["type"] == "extra_forbidden":
        path.append(last)
    key = ".".join(str(p + 1) if isinstance(p, int) else str(p) for p in path)
    if error["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = (
            f"; did you mean {near[0]!r}?"
            if near
            else f"; there are: {', '.join(known)}"
            if known
            else ""
        )
        return f"no key is called {key!r}{hint}"
    if error["type"] == "missing":
        return f"the key {key!r} is missing"
    message = error["msg"].removeprefix("Value error, ")
    shown = repr(error["input"])
    if len(shown) > 40 or error["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}: {message}, not {shown}"


def _keys_at(model: type[BaseModel], path: list[Any]) -> list[str]:
    for part in path:
        field = model.model_fields.get(part)
        if field is None or not (
            isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        ):
            return []
        model = field.annotation
    return list(model.model_fields)
