"""What is stored of a run beside its rows: one schema for each file, and for the journal's facts.

All who read a stored fact read it through here, so that a fact of the wrong type is one sentence
and never goes further. Keys that are not named here are for people, or of another version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from evolve.config.schema import completed
from evolve.config.validation import explained
from evolve.files import parse_json, read_json

T = TypeVar("T")


class Stored(BaseModel):
    """Facts without silent conversions and numbers that are not finite."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False, strict=True)


Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Decisive = Annotated[dict[str, Any], BeforeValidator(completed)]
"""The part of the config that decides a run, as it is written today."""
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _plain(name: Any) -> str:
    if not isinstance(name, str) or name != Path(name).name or name in ("", ".."):
        raise ValueError("a name with a folder in it would lead out of the run")
    return name


class PluginFile(Stored):
    """A plug-in that the run was begun with; its text lies in the run's folder."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, BeforeValidator(_plain)]
    sha256: Hash
    entry: str


class Inputs(Stored):
    """What a run depends on beside its config."""

    # Name and text of each program that the search starts from.
    initial: list[Annotated[list[str], Field(min_length=2, max_length=2)]]
    # Tuned values by the fingerprint of a task and the name of an optimizer.
    references: dict[str, dict[str, dict[str, float]]]
    suite: str | None = None  # older runs did not write it down


class Meta(Stored):
    """`meta.json`: what was written when the run began."""

    inputs: Inputs
    plugins: list[PluginFile] = Field(default_factory=list)
    decisive: Decisive
    pride: str = ""
    commit: str = ""


class Famous(Stored):
    """An entry of `hall_of_fame.json`; the file lists them, the best first."""

    model_config = ConfigDict(extra="forbid")

    candidate: Count
    score: float | None  # None stands for the worst score, for JSON has no infinity
    program: str


class Line(Stored):
    """A line of the table of a confirmation. None stands for the worst score."""

    name: str
    score: float | None
    low: float | None
    high: float | None


class Summary(Stored):
    """`summary.json`: how the run ended."""

    chain: Hash
    verdicts: list[Line]
    best: str | None  # its name in the table


class Tally(Stored):
    """How many candidates came to which end."""

    statuses: dict[str, Count]
    reasons: dict[str, Count]


class CheckpointState(Stored):
    """What of a checkpoint is read without going on from it."""

    tally: Tally


META = TypeAdapter(Meta)
HALL_OF_FAME = TypeAdapter(list[Famous])
SUMMARY = TypeAdapter(Summary)
STATE = TypeAdapter(CheckpointState)

_STRICT = ConfigDict(strict=True, allow_inf_nan=False)
FACTS: dict[str, TypeAdapter[Any]] = {
    "repeatable": TypeAdapter(bool, config=_STRICT),
    "status": TypeAdapter(Literal["stopped", "finished"], config=_STRICT),
    "elapsed": TypeAdapter(Seconds, config=_STRICT),
    "decisive": TypeAdapter(Annotated[dict[str, Any], BeforeValidator(completed)], config=_STRICT),
    "machine": TypeAdapter(dict[str, Any], config=_STRICT),
    "machines": TypeAdapter(list[dict[str, Any]], config=_STRICT),
}
"""The facts of a journal, by name."""


def read_stored(path: Path, schema: TypeAdapter[T]) -> T:
    """Read a JSON file of a run. Raises `OSError`; `ValueError`, one sentence."""
    return fitting(read_json(path), schema)


def parse_stored(text: Any, schema: TypeAdapter[T]) -> T:
    """Read a stored text of JSON. Raises `ValueError`, one sentence."""
    return fitting(parse_json(text), schema)


def fitting(said: Any, schema: TypeAdapter[T]) -> T:
    """Return plain data as the schema types them. Raises `ValueError`, one sentence."""
    try:
        return schema.validate_python(said)
    except ValidationError as fault:
        raise ValueError(explained(fault)) from None
    except (TypeError, KeyError, AttributeError, OverflowError) as fault:
        raise ValueError(str(fault)) from None
