"""Jobs and outcomes as JSON, between processes and in the journal.

Floats travel as hex: every bit, and inf.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from evolve.scoring.job import Job, Outcome

Rows = tuple[tuple[float, ...], ...]


def encode_job(job: Job) -> dict[str, Any]:
    """Return a job as JSON can hold it."""
    return asdict(job) | {
        "hurdle": job.hurdle.hex(),
        "bar": job.bar.hex(),
        "early": [x.hex() for x in job.early],
    }


def decode_job(said: dict[str, Any]) -> Job:
    """Return the job that `encode_job` wrote."""
    typed: dict[str, Any] = {name: float.fromhex(said[name]) for name in ("hurdle", "bar")}
    typed |= {name: tuple(said[name]) for name in ("seeds", "select")}
    typed["early"] = tuple(map(float.fromhex, said["early"]))
    return Job(**(said | typed))


def encode_outcome(outcome: Outcome) -> dict[str, Any]:
    """Return all that is decided about a candidate, as JSON can hold it.

    The seconds are left out, for they differ from run to run, and so is the detail.
    """
    said: dict[str, Any] = {"status": outcome.status, "scores": _hex(outcome.scores)}
    if outcome.selected:
        said["selected"] = _hex(outcome.selected)
    if outcome.early:
        (said["early"],) = _hex((outcome.early,))
    return said


def decode_outcome(said: dict[str, Any], seconds: float = 0.0, detail: str = "") -> Outcome:
    """Return the outcome that `encode_outcome` wrote."""
    (early,) = _floats([said.get("early", [])])
    return Outcome(
        said["status"],
        _floats(said["scores"]),
        _floats(said.get("selected", [])),
        seconds,
        detail,
        early,
    )


def canonical(said: Any) -> str:
    """Write a value in the one way that is hashed: equal values give equal texts."""
    return json.dumps(
        said, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )


def _hex(rows: Rows) -> list[list[str]]:
    return [[value.hex() for value in row] for row in rows]


def _floats(rows: list[list[str]]) -> Rows:
    return tuple(tuple(float.fromhex(value) for value in row) for row in rows)
