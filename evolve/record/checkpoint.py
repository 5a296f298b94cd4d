"""Checkpoints: all that a search knows at one moment, so that a long run goes on without breeding
everything again.

The rows are the truth, and a checkpoint is what replaying them up to there gives, bit for bit: it
saves time and decides nothing. Candidates are named in records of 56 bytes, which every checkpoint
holds since the one before; population and hall of fame are numbers of rows; who is in flight is
written out, for it has no row yet.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable
from typing import Any

from evolve.record.journal import NO_SEAL, Checkpoint, Journal, JournalError, Row, Seal
from evolve.scoring.wire import canonical, decode_job, encode_job
from evolve.search.search import Candidate, Entry, Search, Tally, operations
from primitives import parse

EVERY = 2048  # candidates from one checkpoint to the next

NOTHING = bytes(16)  # the key of a rejected program, the probe of one that is not scored
_RECORD = struct.Struct(
    "<16s16sqdd"
)  # key, probe, the candidate that was scored for it, fitness, first


class Gathered:
    """What the next checkpoint will hold. Told of every candidate as it is committed."""

    def __init__(self, since: int = 0, before: bytes = NO_SEAL):
        """since, before: number and seal of the checkpoint before."""
        self.since, self.seal, self.records = since, Seal(before), bytearray()

    def add(self, row: Row, candidate: Candidate, search: Search) -> None:
        number = candidate.number
        key = NOTHING if candidate.reason else bytes.fromhex(candidate.key)
        probe = bytes.fromhex(candidate.probe) or NOTHING
        self.records += _RECORD.pack(
            key, probe, candidate.owner, search.committed[number], search.first[number]
        )
        self.seal.add(row.sealed())

    def checkpoint(self, search: Search, waiting: Iterable[Candidate]) -> Checkpoint:
        state = canonical(
            {
                "phase": search.phase,
                "population": [member.number for member in search.population],
                "hall_of_fame": [
                    (entry.number, entry.score.hex()) for entry in search.hall_of_fame
                ],
                "tally": vars(search.tally),
                "waiting": [_encoded(candidate) for candidate in waiting],
            }
        )
        records = bytes(self.records)
        return Checkpoint(
            search.commits, self.since, records, state, self.seal.close(records, state)
        )


def restore(search: Search, journal: Journal, until: int) -> tuple[dict[int, Candidate], Gathered]:
    """Bring a new search to the last checkpoint after at most `until` candidates.

    They must fit (`Journal.fits`).

    Returns who was in flight there, by number, and where to gather for the next one. Without a
    checkpoint, the search stays at its beginning. Raises `JournalError` for one that was sealed and
    yet makes no sense.
    """
    try:
        return _restore(search, journal, until)
    except (
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        RecursionError,
        struct.error,
    ) as fault:
        raise JournalError(
            f"{journal.path}: a checkpoint was changed: {fault}. Do not trust this run."
        ) from None


def _restore(search: Search, journal: Journal, until: int) -> tuple[dict[int, Candidate], Gathered]:
    point = None
    for point in journal.checkpoints(until):
        keys, probes, owners, fitness, first = zip(*_RECORD.iter_unpack(point.records), strict=True)
        search.keys.update(_owned(keys, owners))
        search.probes.update(_owned(probes, owners))
        if journal.repeatable:
            search.committed.extend(fitness)
            search.first.extend(first)
        else:
            for kept in zip(
                journal.numbers(point.since, point.number), fitness, first, strict=True
            ):
                search.keep(*kept)
    if point is None:
        return {}, Gathered()
    state = json.loads(point.state)
    scores = {number: float.fromhex(score) for number, score in state["hall_of_fame"]}
    rows = {number: journal.row(number) for number in {*state["population"], *scores}}
    programs = {number: parse(row.program) for number, row in rows.items()}
    search.phase = state["phase"]
    for number in state["population"]:
        copy = rows[number].phase != search.phase or number < len(
            search.initial
        )  # that the phase began with
        search.population.append(
            search.member(number, programs[number], None if copy else rows[number].restored())
        )
    search.hall_of_fame.extend(
        Entry(n, programs[n], score, operations(programs[n])) for n, score in scores.items()
    )
    said = state["tally"]
    search.tally = Tally(
        said["candidates"], *(Counter(said[name]) for name in ("statuses", "reasons", "mutations"))
    )
    waiting = [_decoded(said) for said in state["waiting"]]
    for candidate in waiting:
        search.remember(candidate)
    return {candidate.number: candidate for candidate in waiting}, Gathered(
        point.number, point.seal
    )


def _owned(keys: tuple[bytes, ...], owners: tuple[int, ...]) -> dict[bytes, int]:
    owner = dict(zip(keys, owners, strict=True))
    owner.pop(NOTHING, None)
    return owner


def _encoded(candidate: Candidate) -> dict[str, Any]:
    job = candidate.job
    said = {name: getattr(candidate, name) for name in Candidate.__dataclass_fields__}
    return said | {
        "program": str(candidate.program),
        "job": None if job is None else encode_job(job),
    }


def _decoded(said: dict[str, Any]) -> Candidate:
    job = said["job"]
    return Candidate(
        **(
            said
            | {"program": parse(said["program"]), "job": None if job is None else decode_job(job)}
        )
    )
