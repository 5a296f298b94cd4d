"""Checkpoints: all that a search knows at one moment, so that a long run can go on from there.

The rows are the truth. A checkpoint is what replaying them up to there gives, bit for bit: it saves
the time to breed everything again, and decides nothing.

Each checkpoint holds a record of 56 bytes for every candidate since the checkpoint before. Members
of the population and of the hall of fame are given as the numbers of their rows. A candidate that
is in flight has no row yet, and is written out.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable
from typing import Any

from evolve.record.errors import JournalError
from evolve.record.journal import Journal
from evolve.record.rows import NO_SEAL, Checkpoint, Row, Seal
from evolve.scoring.wire import canonical, decode_job, encode_job
from evolve.search.candidate import Candidate, Tally
from evolve.search.hall_of_fame import Entry
from evolve.search.search import Search
from primitives import parse

EVERY = 2048  # candidates from one checkpoint to the next

NOTHING = bytes(16)  # the key of a rejected program, the probe of one that is not scored
# Of a candidate: key, probe, number of the candidate whose outcome it has, fitness, first score.
_RECORD = struct.Struct("<16s16sqdd")


class Gathered:
    """What the next checkpoint will hold. Told of every candidate as it is committed."""

    def __init__(self, since: int = 0, before: bytes = NO_SEAL):
        """Begin after the checkpoint with this number (`since`) and this seal (`before`)."""
        self.since, self.seal, self.records = since, Seal(before), bytearray()

    def add(self, row: Row, candidate: Candidate, search: Search) -> None:
        """Take in a candidate that the search has just committed."""
        number = candidate.number
        key = NOTHING if candidate.reason else candidate.key
        probe = candidate.probe or NOTHING
        self.records += _RECORD.pack(
            key, probe, candidate.owner, search.scores.fitness[number], search.scores.first[number]
        )
        self.seal.add(row.sealed())

    def checkpoint(self, search: Search, waiting: Iterable[Candidate]) -> Checkpoint:
        """Make the checkpoint of this moment. `waiting`: who is bred and not yet committed."""
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

    `Journal.fits` must have said that the checkpoints fit. Without any, the search stays at its
    beginning.

    Returns who was in flight there, by number, and where to gather for the next checkpoint. Raises
    `JournalError` for a checkpoint that was sealed and yet makes no sense.
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
    # Who was known, and how they scored, is spread over all checkpoints ...
    last = None
    for last in journal.checkpoints(until):
        keys, probes, owners, fitness, first = zip(*_RECORD.iter_unpack(last.records), strict=True)
        search.seen.keys.update(_owned(keys, owners))
        search.seen.probes.update(_owned(probes, owners))
        if journal.repeatable:
            search.scores.fitness.extend(fitness)
            search.scores.first.extend(first)
        else:
            numbers = journal.numbers(last.since, last.number)
            for kept in zip(numbers, fitness, first, strict=True):
                search.scores.keep(*kept)
    if last is None:
        return {}, Gathered()

    # ... and the rest is in the last one.
    state = json.loads(last.state)
    scores = {number: float.fromhex(score) for number, score in state["hall_of_fame"]}
    rows = {number: journal.row(number) for number in {*state["population"], *scores}}
    programs = {number: parse(row.program) for number, row in rows.items()}

    search.phase = state["phase"]
    for number in state["population"]:
        # A phase begins with members that carry no outcome: the programs that the search was
        # given, or some of an earlier phase.
        copy = rows[number].phase != search.phase or number < len(search.initial)
        outcome = None if copy else rows[number].restored()
        search.population.append(search.member(number, programs[number], outcome))
    for number, score in scores.items():
        outcome = rows[number].restored()
        if outcome is None:
            raise ValueError(f"candidate {number} of the hall of fame was not scored")
        search.hall_of_fame.entries.append(
            Entry.of(number, programs[number], score, outcome.selected)
        )
    counts = [Counter(state["tally"][name]) for name in ("statuses", "reasons", "mutations")]
    search.tally = Tally(state["tally"]["candidates"], *counts)

    waiting = {said["number"]: _decoded(said) for said in state["waiting"]}
    for candidate in waiting.values():
        search.seen.add(candidate)
    return waiting, Gathered(last.number, last.seal)


def _owned(keys: tuple[bytes, ...], owners: tuple[int, ...]) -> dict[bytes, int]:
    """Return who was scored for each key, by key."""
    owner = dict(zip(keys, owners, strict=True))
    owner.pop(NOTHING, None)
    return owner


def _encoded(candidate: Candidate) -> dict[str, Any]:
    """Return a candidate as plain data, for JSON."""
    job = candidate.job
    said = {name: getattr(candidate, name) for name in Candidate.__dataclass_fields__}
    return said | {
        "program": str(candidate.program),
        "key": candidate.key.hex(),
        "probe": candidate.probe.hex(),
        "job": None if job is None else encode_job(job),
    }


def _decoded(said: dict[str, Any]) -> Candidate:
    """Return the candidate that `_encoded` made this of."""
    job = said["job"]
    made = {
        "program": parse(said["program"]),
        "key": bytes.fromhex(said["key"]),
        "probe": bytes.fromhex(said["probe"]),
        "job": None if job is None else decode_job(job),
    }
    return Candidate(**(said | made))
