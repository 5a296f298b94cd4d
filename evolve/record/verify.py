"""Whether a run is what it was when it was written: every row, every link, every file.

Nothing is executed, trained or changed, and what is read is read in a stream. Who changes a record
and makes all its hashes anew makes another run, and no reading can tell; that the chain is the one
that a run of this config and seed ends in, only running it again can tell.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import evolve
from evolve.config.errors import ConfigError
from evolve.config.validation import mapping
from evolve.config.yaml import MAX_BYTES, read_yaml
from evolve.plugins import PluginError
from evolve.record.errors import JournalError
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.origin import commit
from evolve.record.rows import Row
from evolve.record.status import FINISHED, counted, hall_of_fame, summary
from evolve.scoring.job import STATUSES, WORST
from evolve.scoring.references import tuned_values
from evolve.scoring.suite import make_suite
from evolve.search.candidate import CACHED, REJECTED
from primitives import Program, ProgramError, load, parse
from primitives.canonical.liveness import prune
from primitives.export.optax import to_optax_source
from primitives.files import read_file

MOST = 20  # faults that are told
MAX_PROGRAM = 2**24  # bytes of an export
CLEAR = (ConfigError, JournalError, PluginError, ProgramError, OSError)


@dataclass
class Verified:
    """What was found. faults: a sentence each; notes: what could not be looked at, and why."""

    run: str
    rows: int = 0
    checkpoints: int = 0
    chain: str = bytes(32).hex()
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Tell whether all is as it was written."""
        return not self.faults

    def facts(self) -> dict[str, Any]:
        """Return plain data, which JSON can hold."""
        return {"sound": self.sound} | vars(self)

    def __str__(self) -> str:
        looked = f"{self.rows:,} rows, {self.checkpoints:,} checkpoints, chain {self.chain}"
        end = f"sound: {looked}" if self.sound else f"damaged: {len(self.faults)} faults"
        return "\n".join([*self.faults, *self.notes, f"{self.run}: {end}"])


def verify(folder: RunFolder) -> Verified:
    """Look at everything that is recorded of a run."""
    looking = _Looking(folder, Verified(str(folder.path)))
    for look in (
        looking.at_what_it_began_with,
        looking.at_the_references,
        looking.at_the_journal,
        looking.at_the_hall_of_fame,
        looking.at_the_end,
        looking.at_the_best,
    ):
        try:
            looking.found.faults.extend(look())
        except CLEAR as fault:
            looking.found.faults.append(str(fault))
    return looking.found


class _Looking:
    """One look at a run: what it has found, and what later steps need of earlier ones."""

    def __init__(self, folder: RunFolder, found: Verified):
        self.folder, self.found = folder, found
        self.state = ""
        self.decisive: dict[str, Any] | None = None

    def at_what_it_began_with(self) -> Iterator[str]:
        """Check the configs, `meta.json` and the plug-ins."""
        folder = self.folder
        given = folder.given_config
        mapping(read_yaml(read_file(given, MAX_BYTES), str(given)), str(given))
        self.decisive = folder.config().decisive()
        meta = folder.meta
        if folder.plugins():
            self.found.notes.append(
                f"{folder.plugin_folder}: is as it was; what is made with it was not looked at, "
                "for it is not executed"
            )
        for name, text in meta.inputs.initial:
            with self.of_plugins():
                parse(text, name=name, file=str(folder.meta_file))
        if meta.decisive != self.decisive:
            yield f"{folder.meta_file}: its `decisive` is not what {folder.resolved_config} says"

    def at_the_references(self) -> Iterator[str]:
        """Check that the tasks are those of the config, and their tuned values those known here."""
        folder, meta, config = self.folder, self.folder.meta, self.folder.config()
        if meta.plugins or isinstance(config.suite, str):
            return
        tasks = make_suite(config.name, config.suite, config.reference).tasks
        if {task.fingerprint for task in tasks} != set(meta.inputs.references):
            yield f"{folder.meta_file}: its references are of other tasks, or of other data"
            return
        for task in tasks:
            here = tuned_values(task)
            if not here:
                self.found.notes.append(
                    f"{task.kind}: nobody has tuned anything on it here, so the references of the "
                    "run were not compared"
                )
            elif here != meta.inputs.references[task.fingerprint]:
                yield (
                    f"{folder.meta_file}: the tuned values on {task.kind} are not those that are "
                    "known here"
                )

    def at_the_journal(self) -> Iterator[str]:
        """Check every row, the chain, the seals of checkpoints, and the facts."""
        folder, found = self.folder, self.found
        if not folder.journal.is_file():
            return
        with contextlib.closing(Journal(folder.journal, read_only=True)) as journal:
            journal.db.execute("BEGIN")  # all is of one moment
            try:
                (sound,) = journal.db.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.Error as fault:
                sound = fault
            if sound != "ok":
                yield f"{folder.journal}: damaged: {sound}"
            statuses: Counter[str] = Counter()
            scores: dict[int, float] = {}
            for found.rows, row in enumerate(journal.rows(), 1):
                statuses[row.status] += 1
                if why := _odd(row, scores):
                    yield f"{folder.journal}: {why}"
                if len(found.faults) >= MOST:
                    yield f"{folder.journal}: and so on; nothing after it was looked at"
                    return
                found.chain = row.chain.hex()

            yield from self.initial_rows(journal)
            if not journal.fits(found.rows):
                yield (
                    f"{folder.journal}: a checkpoint does not fit the rows: it was changed, or "
                    "older software wrote it. `evolve resume` breeds everything again."
                )
            for found.checkpoints, point in enumerate(journal.checkpoints(2**63 - 1), 1):
                if point.number > found.rows:
                    yield (
                        f"{folder.journal}: {found.rows:,} rows, and a checkpoint after "
                        f"{point.number:,}"
                    )
            yield from self.facts_of(journal, statuses)

    def facts_of(self, journal: Journal, statuses: Counter[str]) -> Iterator[str]:
        """Check the facts of a journal. statuses: as its rows have them."""
        for name in ("elapsed", "machine", "machines", "repeatable"):
            journal.get(name)
        self.state = journal.get("status", "")
        if self.decisive is not None and journal.get("decisive") not in (None, self.decisive):
            yield f"{self.folder.resolved_config}: was changed after the run began"
        try:
            tally, _ = counted(journal)
        except ValueError as fault:
            yield f"{journal.path}: a checkpoint is damaged: {fault}"
        else:
            if tally != statuses:
                yield f"{journal.path}: a checkpoint counts other statuses than its rows have"

    def initial_rows(self, journal: Journal) -> Iterator[str]:
        """Check that the first rows are the programs that the run was given."""
        for number, (name, text) in enumerate(self.folder.meta.inputs.initial):
            if number >= self.found.rows:
                return
            with self.of_plugins():
                recorded = parse(journal.row(number).program, file=f"row {number}")
                if _said(recorded) != _said(parse(text)):
                    yield f"{self.folder.meta_file}: {name} is not what row {number} has"

    def at_the_hall_of_fame(self) -> Iterator[str]:
        """Check that its programs and scores are those of the rows."""
        path, late = self.folder.hall_of_fame, self.found.rows
        if self.state == FINISHED and not path.is_file():
            yield f"{path}: is missing. `evolve resume` writes it again."
        for entry in hall_of_fame(self.folder):
            if entry.candidate >= late and self.state != FINISHED:
                continue  # decided, and killed before it was recorded
            row = self.row(entry.candidate)
            if row is None:
                yield f"{path}: candidate {entry.candidate} is not recorded"
                continue
            outcome = row.restored()
            score = outcome.select_score if outcome is not None else None
            if score != (WORST if entry.score is None else entry.score):
                yield f"{path}: candidate {entry.candidate} has another score in its row"
            with self.of_plugins():
                if str(prune(parse(row.program, file=f"row {row.number}"))) != entry.program:
                    yield f"{path}: candidate {entry.candidate} is another program in its row"

    def at_the_end(self) -> Iterator[str]:
        """Check that the summary is of this chain."""
        said = summary(self.folder)
        if said is None and self.state == FINISHED:
            yield f"{self.folder.summary}: is missing. `evolve resume` writes it again."
        if said is not None and self.state == FINISHED and said.chain != self.found.chain:
            yield f"{self.folder.summary}: is of another chain, {said.chain}"

    def at_the_best(self) -> Iterator[str]:
        """Check that the best program is that of its row, and its export the one of the program."""
        folder, said = self.folder, summary(self.folder)
        if said is None or said.best is None:
            return
        _, _, number = said.best.rpartition("_")
        row = self.row(int(number)) if number.isdecimal() else None
        if row is None:
            yield f"{folder.summary}: {said.best!r} is no candidate that is recorded"
            return
        with self.of_plugins():
            best = replace(load(folder.best()), name=said.best)
            recorded = prune(parse(row.program, file=f"row {row.number}")).settled()
            if _said(best) != _said(recorded):
                yield f"{folder.best_program}: is another program than row {number} has"
            if (folder.meta.pride, folder.meta.commit) != (evolve.__version__, commit()):
                self.found.notes.append(
                    f"{folder.best_optax}: was not compared, for other software wrote it"
                )
            elif read_file(folder.best_optax, MAX_PROGRAM) != to_optax_source(best).encode():
                yield (
                    f"{folder.best_optax}: is not what {folder.best_program} is exported as. "
                    f"`evolve export {folder.path}` writes that."
                )

    def row(self, number: int) -> Row | None:
        """Return the row of a candidate; None where there is none."""
        with contextlib.closing(Journal(self.folder.journal, read_only=True)) as journal:
            try:
                return journal.row(number)
            except TypeError:  # nothing is not a row
                return None

    @contextlib.contextmanager
    def of_plugins(self) -> Iterator[None]:
        """Let pass what only the run's plug-ins, which are not executed, could explain."""
        try:
            yield
        except ProgramError:
            if not self.folder.meta.plugins:
                raise


def _said(program: Program) -> Program:
    """Return a program without its words for people, for comparison."""
    return replace(program, doc="")


def _odd(row: Row, scores: dict[int, float]) -> str:
    """Say what is wrong with a row that is linked; empty where nothing is.

    scores: of the rows before it, by number; takes in that of this one.
    """
    try:
        outcome = row.restored()
    except JournalError as fault:
        return str(fault)
    if outcome is not None:
        known, status, score = STATUSES, outcome.status, outcome.fitness
    elif row.reason:
        known, status, score = (REJECTED,), REJECTED, WORST
    else:
        known, status, score = (CACHED,), CACHED, scores.get(row.same_as or 0)

    scores[row.number] = row.score
    if row.status != status or status not in known:
        return f"row {row.number} is damaged: {row.status!r} is not the status of its outcome"
    if row.score != score:
        return f"row {row.number} is damaged: {row.score!r} is not the score of its outcome"
    if not (isinstance(row.seconds, int | float) and math.isfinite(row.seconds)):
        return f"row {row.number} is damaged: {row.seconds!r} are no seconds"
    if not isinstance(row.detail, str):
        return f"row {row.number} is damaged: its detail is no text"
    return ""
