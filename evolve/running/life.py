"""The life of a run: search, confirm, export; and going on after a stop."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import baselines
from baselines import handwritten
from evolve.comparison.contest import Contestant, Verdict, confirm, known_label
from evolve.config.errors import ConfigError
from evolve.config.presets import load_suite
from evolve.config.schema import Config, planned_lag
from evolve.environment import available_cores, collect_rarely
from evolve.files import replace_file
from evolve.interrupt import Interrupted, ctrl_c
from evolve.record.disk import file_system
from evolve.record.folder import RunFolder
from evolve.record.journal import FINISHED, STOPPED, Journal, Lock
from evolve.record.patience import attempted
from evolve.running.drive import Clock, Driver, tally_line
from evolve.scoring.job import EARLY, MACHINE, WORST
from evolve.scoring.suite import Suite, known, make_suite, reference, tuned, tuned_values
from evolve.scoring.trial import check_fit
from evolve.search.search import Entry, Search
from evolve.workers.executor import make_executor
from primitives import Program, parse
from primitives.canonical.cost import cost
from primitives.canonical.liveness import prune
from primitives.export.optax import to_optax_source

PROGRESS = 10.0  # seconds between progress lines
REWRITE = 2.0  # seconds between rewrites of the hall of fame


@dataclass(frozen=True)
class Result:
    """What a finished run found."""

    folder: RunFolder
    verdicts: list[Verdict]
    best: Program | None
    chain: str
    tally: str


def suite_of(config: Config) -> Suite:
    """The suite that a config names or contains."""
    if isinstance(config.suite, str):
        return make_suite(*load_suite(config.suite))
    return make_suite(config.name, list(config.suite))


def initial_programs(config: Config, suite: Suite) -> list[Program]:
    """The programs that a search starts from, with the hyperparameters tuned on the first task
    where known.
    """
    programs = []
    for name in config.search.initial:
        if name in handwritten.names():
            raise ConfigError(
                f"search.initial: {name} is written by hand; a search starts from programs"
            )
        programs.append(tuned(name, suite.tasks[0]) or baselines.find(name))
    return programs


def resolve(config: Config) -> tuple[Config, dict[str, Any]]:
    """The config with its suite written out, and the run's other inputs; all that can be checked is
    checked.
    """
    suite = suite_of(config)
    for task in suite.tasks:
        reference(task)
    programs = initial_programs(config, suite)
    for optimizer in (*programs, *(known(name) for name in config.confirm.baselines)):
        for task in suite.tasks:
            check_fit(optimizer, task)
    if isinstance(config.suite, str):
        config = config.model_copy(update={"suite": load_suite(config.suite)[1]})
    return config, {
        "initial": [[p.name, str(p)] for p in programs],
        "references": _references(suite),
    }


def _references(suite: Suite) -> dict[str, Any]:
    return {fingerprint: tuned_values(fingerprint) for fingerprint in suite.fingerprints}


def execute(
    folder: RunFolder,
    config: Config,
    say: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
    allow_different_machine: bool = False,
) -> Result:
    """Run, or go on with, the search in a folder; then confirm and export.

    Raises `Interrupted` when asked to stop, by `stop` or by Ctrl-C; `RunIsLive`, `JournalError`,
    `WorkerFailure`.
    """
    with ctrl_c() as pressed:
        return _execute(folder, config, say, lambda: stop() or pressed(), allow_different_machine)


def _execute(
    folder: RunFolder,
    config: Config,
    say: Callable[[str], None],
    stop: Callable[[], bool],
    allow_different_machine: bool,
) -> Result:
    collect_rarely()
    lock = Lock(folder.lock)
    executor = journal = None
    try:
        suite = suite_of(config)
        journal = Journal(folder.journal, repeatable=config.search.order == "number")
        for line in _notes(folder, config, journal, lock):
            say(line)
        _same_inputs(journal, config, suite, folder)
        began = time.monotonic()
        executor = make_executor(config.workers, list(config.suite), folder.workers_log)
        initial = [parse(text, name=name) for name, text in folder.meta["inputs"]["initial"]]
        search = Search(config, initial)
        clock = Clock(before=journal.get("elapsed", 0.0))
        # Reads the record while workers start.
        driver = Driver(search, executor, journal, config.budget, clock, stop, say=say)
        machine = executor.ready(stop)
        _same_machine(journal, machine, folder, allow_different_machine)
        finished = journal.get("status") == FINISHED
        journal.put([], status=STOPPED)  # what it is if it is killed from here on
        say(f"workers ready after {time.monotonic() - began:.1f} s ({machine['platform']})")
        for kind in machine.get("too large for the machine", []):
            say(
                f"{kind} is too large for the machine's registers here; its candidates run call "
                f"by call"
            )
        _search(folder, driver, say)
        if not finished:
            say("confirming the best on fresh seeds and the test part")
        verdicts, best = _confirm(folder, config, driver, executor, stop)
        driver.patiently(lambda: journal.put([], status=FINISHED))
        return Result(folder, verdicts, best, driver.chain.hex(), tally_line(search, clock.elapsed))
    finally:
        if executor is not None:
            executor.close()
        if journal is not None:
            journal.close()
        lock.release()


def _notes(folder: RunFolder, config: Config, journal: Journal, lock: Lock) -> Iterator[str]:
    """What a user should know of this run before it goes on."""
    kind, workers = config.workers.kind, config.workers.count
    if workers == "auto":
        workers = available_cores() if kind in ("auto", "local") else 1  # who knows?
    if journal.repeatable and kind != "inline" and 2 * config.search.lag < planned_lag(workers):
        yield (
            f"{workers} workers will often wait for one another with "
            f"search.lag={config.search.lag}: another run with "
            f"--set search.lag={planned_lag(workers)} and a search.phase of several times that "
            f"keeps them busy"
        )
    if not journal.repeatable:
        yield (
            "outcomes are committed in the order of their arrival: this run can be stopped and "
            "resumed, "
            "but another one with its config and seed will differ"
        )
    if journal.network:
        yield (
            f"{folder.path} lies on a network file system ({file_system(folder.path)}): its "
            f"journal has the form that "
            "works there, status and the run wait for each other, and locks may not reach other "
            "machines"
        )
    if not lock.held:
        yield (
            f"{folder.path} lies on a file system without locks: nothing keeps a second driver "
            "out, so start none"
        )


def _same_inputs(journal: Journal, config: Config, suite: Suite, folder: RunFolder) -> None:
    """What a run depends on must be what it was when it began."""
    if folder.meta["inputs"]["references"] != _references(suite):
        raise ConfigError(
            f"{folder.path}: its tasks or the tuned values of its baselines are not those it "
            f"began with (other data, "
            "another version, or reference files made anew). Go on with what it began with, or "
            "start another run."
        )
    before = journal.get("decisive")
    if before is None:
        journal.put([], decisive=config.decisive())
    elif before != config.decisive():
        raise ConfigError(
            f"{folder.path}: config.resolved.yaml was changed after the run began. Undo that, or "
            f"start another run."
        )


def _same_machine(
    journal: Journal, machine: dict[str, Any], folder: RunFolder, allowed: bool
) -> None:
    before = journal.get("machine")
    if before is None:
        journal.put([], machine=machine)
    elif before != machine:
        differ = ", ".join(
            f"{k}: {before.get(k)!r} → {machine.get(k)!r}"
            for k in machine
            if before.get(k) != machine.get(k)
        )
        if not allowed:
            raise ConfigError(
                f"{folder.path}: was begun on another machine or software ({differ}), so its "
                f"scores cannot be "
                "continued exactly. Resume it there, or accept it with --allow-different-machine."
            )
        journal.put([], machines=[*journal.get("machines", [before]), machine], machine=machine)


def _search(folder: RunFolder, driver: Driver, say: Callable[[str], None]) -> None:
    """The search, with its lines for people and its current files."""
    search, clock = driver.search, driver.clock
    if driver.replaying:
        if not driver.sound:
            say("the rows are sound, but a checkpoint does not fit them")
        say(f"replaying candidates {driver.began:,} to {driver.replaying - 1:,} of those recorded")
    hall_of_fame = partial(_write_hall_of_fame, folder, search)
    clock.start()
    last_said = last_written = time.monotonic()
    dirty = False
    try:
        with contextlib.closing(driver.run()) as decided:  # whatever ends this, it is written
            for committed in decided:
                now = time.monotonic()
                replayed = search.commits <= driver.replaying
                if committed.best:
                    dirty = True
                    if not replayed:
                        say(f"{clock.elapsed:.0f} s: {_found_line(search)}")
                if now - last_said > PROGRESS and not replayed:
                    last_said = now
                    say(tally_line(search, clock.elapsed))
                if dirty and now - last_written > REWRITE:
                    last_written, dirty = (
                        now,
                        attempted(hall_of_fame) is not None,
                    )  # without room, the journal has it
    except Interrupted:
        attempted(hall_of_fame)
        raise
    driver.patiently(hall_of_fame)
    say(tally_line(search, clock.elapsed))
    if ended := of_the_machine(search):
        say(
            f"{ended:,} outcomes are of a clock or a machine ({', '.join(MACHINE)}): another run "
            f"may differ there"
        )
    if facts := early_facts(search):
        named = ", ".join(
            f"{fact['task']}: {fact['rank'] or 'too few to say'}" for fact in facts["foresight"]
        )
        say(
            f"{facts['stopped']:,} first trainings ended after {facts['at']:.0%} of their steps; "
            f"rank correlation of "
            f"scores there with those at the end, in the population: {named}"
        )


def _found_line(search: Search) -> str:
    """`found so far: +0.0931 (8.9 % less loss than tuned AdamW on 12 selection seeds), ...`"""
    entry = search.hall_of_fame[0]
    change = -math.expm1(-entry.score)
    than = f"{abs(change):.1%} {'less' if change >= 0 else 'more'} loss than tuned AdamW"
    what = "found so far" if entry.number >= len(search.initial) else "the start scores"
    statements = cost(entry.program).statements
    return (
        f"{what}: {entry.score:+.4f} ({than} on {len(search.select_seeds)} selection seeds), "
        f"{statements} statements, candidate {entry.number:,}"
    )


def _write_hall_of_fame(folder: RunFolder, search: Search) -> None:
    entries = [
        {
            "candidate": e.number,
            "score": e.score if e.score > WORST else None,
            "program": str(prune(e.program)),
        }
        for e in search.hall_of_fame
    ]
    replace_file(folder.hall_of_fame, json.dumps(entries, indent=1) + "\n")


def found_program(entry: Entry, config: Config, note: str = "") -> Program:
    """A program of the hall of fame as people get it: pruned, named, with where it comes from."""
    origin = {
        "evolution": f"evolved from {', '.join(config.search.initial)}",
        "random": "drawn at random",
    }
    how = origin.get(config.search.kind, f"{', '.join(config.search.initial)} with other constants")
    doc = (
        f"found_{entry.number}: {how} by Pride.\n\n"
        f"Candidate {entry.number} of the run {config.name!r}, seed {config.seed}. "
        f"Score on the selection seeds {entry.score:+.4f} (0 is tuned AdamW, 0.1 is 10 % less "
        f"loss).\n{note}"
    )
    return replace(prune(entry.program), doc=doc, name=f"found_{entry.number}")


def _confirm(
    folder: RunFolder, config: Config, driver: Driver, executor: Any, stop: Callable[[], bool]
) -> tuple[list[Verdict], Program | None]:
    search, chain = driver.search, driver.chain.hex()
    entries = search.found()[: config.confirm.finalists]
    contestants = [Contestant(f"found_{e.number}", e.program, finalist=True) for e in entries]
    suite = suite_of(config)
    contestants += [
        Contestant(known_label(name, suite), known(name), known=name)
        for name in config.confirm.baselines
    ]
    verdicts = confirm(executor, contestants, config.confirm.seeds, stop, config.schedule)
    if contestants and not verdicts:
        raise Interrupted
    program = None
    if entries:  # the finalist with the best confirmed mean; the table shows them all
        pick = max(range(len(entries)), key=lambda n: (verdicts[n].score, -n))
        note = (
            f"Confirmed on the test part in {config.confirm.seeds} fresh seeds: "
            f"{verdicts[pick].score:+.4f} "
            f"(95 % interval {verdicts[pick].low:+.4f} to {verdicts[pick].high:+.4f}).\n"
        )
        program = found_program(entries[pick], config, note)
        driver.patiently(partial(replace_file, folder.best_program, str(program)))
        driver.patiently(partial(replace_file, folder.best_optax, to_optax_source(program)))
    summary = {
        "chain": chain,
        "repeatable": driver.journal.repeatable and not of_the_machine(search),
        "kind": config.search.kind,
        "tally": tally_facts(search),
        "early": early_facts(search),
        "verdicts": [v.facts() for v in verdicts],
        "best": program.name if program else None,
    }
    driver.patiently(partial(replace_file, folder.summary, json.dumps(summary, indent=1) + "\n"))
    return verdicts, program


def of_the_machine(search: Search) -> int:
    """How many outcomes config and seed alone do not decide."""
    return sum(search.tally.statuses[status] for status in MACHINE)


def early_facts(search: Search) -> dict[str, Any]:
    """What the first hurdle did, and how well it could know; empty where there is none."""
    config = search.config
    if not config.scoring.early:
        return {}
    foresight = [
        {"task": task.kind, "rank": round(search.foresight(k), 2)}
        for k, task in enumerate(config.suite)
    ]
    return {
        "at": config.scoring.early,
        "stopped": search.tally.statuses[EARLY],
        "foresight": foresight,
    }


def tally_facts(search: Search) -> dict[str, Any]:
    tally = search.tally
    return {
        "candidates": tally.candidates,
        "evaluated": tally.evaluated,
        "cached": tally.statuses["cached"],
        "rejected": dict(sorted(tally.reasons.items())),
        "statuses": dict(sorted(tally.statuses.items())),
        "mutations": dict(sorted(tally.mutations.items())),
    }
