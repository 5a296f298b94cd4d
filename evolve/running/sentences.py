"""What is said of a run to people: one function a sentence, made of facts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from evolve.config.schema import Config, planned_lag
from evolve.environment import available_cores
from evolve.record.disk import file_system
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.lock import Lock
from evolve.running.facts import (
    CANDIDATES,
    early_facts,
    ended_by,
    outcomes_of_the_machine,
    tally_facts,
)
from evolve.scoring.job import (
    CRASH,
    DIVERGED,
    EARLY,
    ERROR,
    HURDLE,
    MACHINE,
    OK,
    OOM,
    TIMEOUT,
)
from evolve.search.candidate import ASCENT, CACHED, NO_GRADIENT, REJECTED
from evolve.search.search import Search
from primitives.canonical.cost import cost

# A rough estimate is enough to tell hours from months.
STEPS_A_SECOND = 100_000  # of training, by one worker, on a small task
STEPS = 300  # of a task that does not say
ROW_BYTES = 1000
LARGE = 2**32  # bytes
LONG = 86_400  # seconds

# --- before it goes on ----------------------------------------------------------------------------


def notes(folder: RunFolder, config: Config, journal: Journal, lock: Lock) -> Iterator[str]:
    """Say what a user should know of a run before it goes on."""
    settings, search = config.workers, config.search
    workers = settings.count
    if workers == "auto":  # of a cluster, nobody knows before it has started
        workers = available_cores() if settings.kind in ("auto", "local") else 1
    planned = planned_lag(workers)
    if journal.repeatable and settings.kind != "inline" and 4 * search.lag < planned:
        yield (
            f"{workers} workers will often wait for one another with "
            f"search.lag={search.lag}: another run with "
            f"--set search.lag={planned} and a search.phase of several times that "
            f"keeps them busy"
        )
    yield from size_lines(config, workers)
    if not journal.repeatable:
        yield (
            "outcomes are committed in the order of their arrival: this run can be stopped and "
            "resumed, but another one with its config and seed will differ"
        )
    if journal.network:
        yield (
            f"{folder.path} lies on a network file system ({file_system(folder.path)}): its "
            f"journal has the form that works there, status and the run wait for each other, and "
            f"locks may not reach other machines"
        )
    if not lock.held:
        yield (
            f"{folder.path} lies on a file system without locks: nothing keeps a second driver "
            "out, so start none"
        )


def size_lines(config: Config, workers: int) -> Iterator[str]:
    """Say that a run may be long, or its record large."""
    candidates, seconds = config.budget.candidates, config.budget.seconds
    if candidates is not None:
        tasks = () if isinstance(config.suite, str) else config.suite
        given = (task.fields.get("steps", STEPS) for task in tasks)
        steps = sum(count for count in given if isinstance(count, int))
        trained = candidates * config.scoring.seeds * steps / (STEPS_A_SECOND * workers)
        seconds = min(trained, seconds or math.inf)
        if candidates * ROW_BYTES > LARGE:
            size = candidates * ROW_BYTES / 2**30
            yield f"a record of {candidates:,} candidates takes about {size:,.0f} GiB of disk"
    if seconds is not None and seconds > LONG:
        yield (
            f"this run may take {seconds / 86_400:,.1f} days or more; it can be stopped and "
            "resumed at any time"
        )


def ready_lines(machine: dict[str, Any], seconds: float) -> Iterator[str]:
    """Say that the workers are ready, and for which candidates they are slow."""
    yield f"workers ready after {seconds:.1f} s ({machine['platform']})"
    for kind in machine.get("too large for the machine", []):
        yield (
            f"{kind} is too large for the machine's registers here; its candidates run call by call"
        )


def replay_lines(first: int, last: int, sound: bool) -> Iterator[str]:
    """Say which candidates are bred again. sound: whether the checkpoints fit the rows."""
    if not sound:
        yield "the rows are sound, but a checkpoint does not fit them"
    yield f"replaying candidates {first:,} to {last:,} of those recorded"


# --- while it goes on -----------------------------------------------------------------------------


def best_line(search: Search, reference: str) -> str:
    """`found so far: +0.0931 (8.9 % less loss than tuned AdamW on 12 selection seeds), ...`"""
    entry = search.hall_of_fame.best
    change = -math.expm1(-entry.score)
    than = f"{abs(change):.1%} {'less' if change >= 0 else 'more'} loss than {reference}"
    what = "found so far" if entry.number >= len(search.initial) else "the start scores"
    statements = cost(entry.program).statements
    return (
        f"{what}: {entry.score:+.4f} ({than} on {len(search.select_seeds)} selection seeds), "
        f"{statements} statements, candidate {entry.number:,}"
    )


def tally_line(search: Search, elapsed: float) -> str:
    """`60 s: 12,345 candidates = 2,010 trained + 10,300 known already + 35 rejected; of ...`"""
    return tally_words(tally_facts(search) | {"seconds": elapsed})


def tally_words(facts: dict[str, Any]) -> str:
    """`60 s: 12,345 candidates = 2,010 trained + ...`, from what `status` of a run says."""
    parts = tally_parts(facts)
    words = " + ".join(f"{count:,} {what}" for count, what, _ in parts)
    words = f"{facts['seconds']:.0f} s: {facts['candidates']:,} candidates = {words}"
    for _, what, ends in parts:
        if ends:
            words += f"; of those {what}: " + ", ".join(f"{n:,} {how}" for n, how in ends)
    return words


Part = tuple[int, str, list[tuple[int, str]]]
"""How many candidates, what became of them, and into which parts these fall again."""


def tally_parts(facts: dict[str, Any]) -> list[Part]:
    """Cut the candidates into parts. Their numbers add up to that of the whole, on both levels."""
    trained = {s: n for s, n in facts["statuses"].items() if s not in (CACHED, REJECTED)}
    return [
        _part(trained, "trained", _ENDS),
        (facts["cached"], "known already", []),
        _part(facts["rejected"], "rejected", _REASONS),
    ]


def _part(counts: dict[str, int], what: str, words: dict[str, str]) -> Part:
    """Make a part of counts by name, in the order of their words; some may have none."""
    names = [*(name for name in words if counts.get(name)), *sorted(counts.keys() - words.keys())]
    return sum(counts.values()), what, [(counts[name], words.get(name, name)) for name in names]


_ENDS = {
    OK: "to the end",
    EARLY: "stopped early in the first seed",
    HURDLE: "stopped after the first seed",
    DIVERGED: "diverged",
    ERROR: "failed",
    CRASH: "crashed",
    TIMEOUT: "timed out",
    OOM: "out of memory",
}
_REASONS = {ASCENT: "whose first step goes up", NO_GRADIENT: "without a gradient"}


# --- after the search -----------------------------------------------------------------------------


def ended_line(search: Search) -> str:
    """`the budget of 24,000 candidates is spent`, or that a clock has ended it."""
    budget = search.config.budget
    if ended_by(budget, search.commits) == CANDIDATES:
        return f"the budget of {search.commits:,} candidates is spent"
    of = f" of {budget.candidates:,}" if budget.candidates else ""
    return (
        f"the budget of {budget.seconds:g} s is spent, after {search.commits:,}{of} candidates: "
        "another run of this config and seed may end earlier or later in the same sequence; a "
        "budget in candidates alone ends at the same one"
    )


def search_lines(search: Search, elapsed: float) -> Iterator[str]:
    """Say how the search ended: the tally, its budget, and what to know of its outcomes."""
    yield tally_line(search, elapsed)
    yield ended_line(search)
    if ended := outcomes_of_the_machine(search):
        yield (
            f"{ended:,} outcomes are of a clock or a machine ({', '.join(MACHINE)}): another run "
            f"may differ there"
        )
    if facts := early_facts(search):
        named = ", ".join(
            f"{fact['task']}: {fact['rank'] or 'too few to say'}" for fact in facts["foresight"]
        )
        yield (
            f"{facts['stopped']:,} first trainings ended after {facts['at']:.0%} of their steps; "
            f"rank correlation of scores there with those at the end, in the population: {named}"
        )
