"""What a run has found: its programs with their scores, its table, its record."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from evolve.comparison.contest import Verdict
from evolve.config.schema import Config
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.status import (
    FINISHED,
    best_facts,
    hall_of_fame,
    rewritable,
    status,
    summary,
)
from evolve.record.stored import fitting
from evolve.reporting.scores import Scores
from evolve.reporting.tables import preformatted
from evolve.running.facts import Plan, Result
from evolve.running.sentences import tally_words
from primitives import Program, load, parse

COLUMNS = (
    "number", "phase", "parent", "mutation", "program", "key", "status", "reason", "same_as",
    "score", "seconds",
)  # fmt: skip
"""What of a row of the journal is for people."""

_TABLE = TypeAdapter(list[Verdict])


@dataclass(frozen=True)
class Found:
    """A program that a run has found.

    Unit    `score` is log(loss of the reference / loss): 0 is the reference, 0.1 is 10 % less loss.

    confirmed: whether `score` is of fresh seeds and the test part, with its 95 % interval from
    `low` to `high`; else it is of the selection seeds, and no interval is known (nan).
    """

    program: Program
    score: float
    candidate: int
    confirmed: bool = False
    low: float = float("nan")
    high: float = float("nan")

    def __repr__(self) -> str:
        span = f" ({self.low:+.4f} to {self.high:+.4f})" if self.confirmed else ""
        where = "fresh seeds, test part" if self.confirmed else "selection seeds"
        return f"{self.program.name}: {self.score:+.4f}{span} on {where}\n\n{self.program}"

    def _repr_html_(self) -> str:
        return preformatted(repr(self))


def best_of(folder: RunFolder) -> Program:
    """Read the best program of a run, under the name that it has in the table.

    Raises `ConfigError` where there is none yet, `JournalError`, `ProgramError`.
    """
    program = load(folder.best())
    return replace(program, name=_summary(folder)[1] or "found")


def _summary(folder: RunFolder) -> tuple[tuple[Verdict, ...] | None, str]:
    """Read the table of a confirmation, and the name of the best program in it."""
    said = summary(folder)
    if said is None:
        return None, ""
    try:
        lines = [asdict(Verdict.from_facts(line.model_dump())) for line in said.verdicts]
        verdicts = tuple(fitting(lines, _TABLE))
        best = said.best or ""
        if best and not best.isidentifier():
            raise ValueError("the name of the best program is none")
    except (ValueError, TypeError, KeyError, OverflowError) as fault:
        raise rewritable(folder.summary, fault) from None
    return verdicts, best


def _settled(found: Found) -> Found:
    """Return what a search found with one value of each hyperparameter, as people get it."""
    return replace(found, program=found.program.settled())


def _confirmed(best: Program | None, scores: Scores | None) -> Found | None:
    """Put the best program of a confirmation together with its line in the table."""
    if best is None or scores is None:
        return None
    number = best.name.rpartition("_")[2]
    for verdict in scores:
        if verdict.name == best.name and number.isdecimal():
            return Found(best, verdict.score, int(number), True, verdict.low, verdict.high)
    return None


@dataclass(frozen=True)
class Study:
    """A run as its folder tells of it, at the moment of asking.

    suite: what the user called it, a preset or a file; empty where the config has the tasks itself;
    state: "running", "stopped" or "finished"; best: the best program, confirmed once the run has
    finished; hall_of_fame: the best of the search, the best first; scores: the table of the
    confirmation, None before; chain: 64 hex digits, equal for runs that decided the same; facts:
    what `evolve status --json` says.
    """

    path: Path
    config: Config
    suite: str
    state: str
    best: Found | None
    hall_of_fame: tuple[Found, ...]
    scores: Scores | None
    chain: str
    facts: dict[str, Any]

    @classmethod
    def of(cls, result: Result) -> Study:
        """Make it of a run that has just come to its end; only the hall of fame is read again."""
        folder = result.folder
        facts = result.facts | {
            "run": str(folder.path),
            "state": FINISHED,
            "best": best_facts(folder),
            "hash_chain": result.chain,
        }
        return cls._made(folder, result.plan, facts, result.verdicts, result.best)

    @classmethod
    def read(cls, folder: RunFolder) -> Study:
        """Read what a folder tells now. Raises `ConfigError`, `JournalError`, `ProgramError`."""
        verdicts = _summary(folder)[0] if folder.summary.is_file() else None
        best = best_of(folder) if folder.best_program.is_file() else None
        return cls._made(folder, Plan.from_folder(folder), status(folder), verdicts, best)

    @classmethod
    def _made(
        cls,
        folder: RunFolder,
        plan: Plan,
        facts: dict[str, Any],
        verdicts: tuple[Verdict, ...] | None,
        best: Program | None,
    ) -> Study:
        found = tuple(
            Found(
                parse(entry.program, name=f"found_{entry.candidate}"),
                -math.inf if entry.score is None else entry.score,
                entry.candidate,
            )
            for entry in hall_of_fame(folder)
        )
        scores = None
        if verdicts is not None:
            scores = Scores(
                verdicts,
                plan.suite.name,
                plan.config.confirm.seeds,
                plan.suite.reference_label,
                plan.config.schedule,
                tally_words(facts),
                plan.suite_given,
            )
        return cls(
            path=folder.path,
            config=plan.config,
            suite=plan.suite_given,
            state=facts["state"],
            best=_confirmed(best, scores) or (_settled(found[0]) if found else None),
            hall_of_fame=found,
            scores=scores,
            chain=facts["hash_chain"],
            facts=facts,
        )

    def journal(self) -> Any:
        """Read the record: a row for each candidate, in the order of the run.

        Gives a pandas table where pandas is installed, else a dict of numpy arrays by column.
        `parent` and `same_as` are -1 where there is none; seconds are of workers.
        Raises `JournalError` where it is damaged.
        """
        journal = Journal(RunFolder(self.path).journal, read_only=True)
        try:
            rows = [[getattr(row, name) for name in COLUMNS] for row in journal.rows()]
        finally:
            journal.close()
        columns: dict[str, np.ndarray] = {}
        for name, values in zip(COLUMNS, zip(*rows, strict=True), strict=True):
            plain = [-1 if value is None else value for value in values]
            columns[name] = np.array(plain, object if isinstance(plain[0], str) else None)
        try:
            import pandas
        except ImportError:
            return columns
        return pandas.DataFrame(columns)

    def __repr__(self) -> str:
        count, seconds = self.facts["candidates"], self.facts["seconds"]
        lines = [f"{self.path}: {self.state}, {count:,} candidates in {seconds:.0f} s of search"]
        if self.best is not None:
            lines.append(f"best: {repr(self.best).splitlines()[0]}")
        lines.append(f"hash chain: {self.chain}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        text = repr(self) + (f"\n\n{self.best.program}" if self.best is not None else "")
        return preformatted(text) + (self.scores._repr_html_() if self.scores is not None else "")
