"""The life of a run: search, confirm, export; and going on after a stop."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from evolve.config.errors import ConfigError
from evolve.environment import collect_rarely, differences, not_recorded
from evolve.interrupt import Interrupted, ctrl_c
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.lock import Lock
from evolve.record.patience import attempted
from evolve.record.status import FINISHED, STOPPED
from evolve.running.confirmation import confirmed
from evolve.running.drive import Clock, Driver
from evolve.running.facts import Plan, Result, tally_facts
from evolve.running.listeners import HallOfFameFile, Listener, Listeners
from evolve.running.sentences import notes, tally_words
from evolve.search.search import Search
from evolve.workers.executor import make_executor


def execute(
    folder: RunFolder,
    plan: Plan,
    listeners: Sequence[Listener] = (),
    stop: Callable[[], bool] = lambda: False,
    allow_different_machine: bool = False,
) -> Result:
    """Run, or go on with, the search in a folder; then confirm and export.

    `listeners` hear what happens, in their order; what one of them raises is raised here, after
    everything that was committed is written.

    Raises `Interrupted` when asked to stop, by `stop` or by Ctrl-C; `ConfigError` where the run is
    not what it was when it began; `RunIsLive`, `JournalError`, `WorkerFailure`.
    """
    with ctrl_c() as pressed:
        return _execute(
            folder, plan, listeners, lambda: stop() or pressed(), allow_different_machine
        )


def _execute(
    folder: RunFolder,
    plan: Plan,
    listeners: Sequence[Listener],
    stop: Callable[[], bool],
    allow_different_machine: bool,
) -> Result:
    collect_rarely()
    config, tell = plan.config, Listeners(listeners)
    lock = Lock(folder.lock)
    executor = journal = None
    try:
        journal = Journal(folder.journal, repeatable=config.search.order == "number")
        for line in notes(folder, config, journal, lock):
            tell.note(line)
        _same_inputs(journal, plan, folder)

        began = time.monotonic()
        executor = make_executor(config.workers, plan.suite, folder.workers_log)
        search = Search(config, plan.initial)
        clock = Clock(before=journal.get("elapsed", 0.0))
        # Reads the record while workers start.
        driver = Driver(search, executor, journal, config.budget, clock, stop, say=tell.note)
        machine = executor.ready(stop)
        _same_machine(journal, machine, folder, allow_different_machine, tell)
        finished = journal.get("status") == FINISHED
        journal.put([], status=STOPPED)  # what it is if it is killed from here on
        tell.started(plan, machine, time.monotonic() - began)

        _search(folder, driver, tell)
        if not finished:
            tell.confirming()
        verdicts, best = confirmed(folder, plan, driver, stop)
        driver.patiently(lambda: journal.put([], status=FINISHED))

        facts = tally_facts(search) | {
            "seconds": clock.elapsed,
            "repeatable": journal.repeatable,
        }
        result = Result(
            folder, plan, tuple(verdicts), best, driver.chain.hex(), facts, tally_words(facts)
        )
        tell.ended(result)
        return result
    finally:
        if executor is not None:
            executor.close()
        if journal is not None:
            journal.close()
        lock.release()


def _same_inputs(journal: Journal, plan: Plan, folder: RunFolder) -> None:
    """Refuse to go on where something that a run depends on is not what it was at the beginning."""
    if folder.meta.inputs.references != plan.references:
        new = [t.kind for t in plan.suite if t.fingerprint not in folder.meta.inputs.references]
        which = f": {', '.join(new)} has other data, or another version" if new else ""
        raise ConfigError(
            f"{folder.path}: its tasks are not those it began with{which}. Put back what it began "
            "with, such as the files that its tasks read, or start another run."
        )
    before, decisive = journal.get("decisive"), plan.config.decisive()
    if before is None:
        journal.put([], decisive=decisive)
    elif before != decisive:
        raise ConfigError(
            f"{folder.path}: config.resolved.yaml was changed after the run began. Undo that, or "
            f"start another run."
        )


def _same_machine(
    journal: Journal, machine: dict[str, Any], folder: RunFolder, allowed: bool, tell: Listeners
) -> None:
    """Refuse to go on where scores may have other bits, unless that is allowed; and record it."""
    before = journal.get("machine")
    if before is None:
        journal.put([], machine=machine)
        return
    if before == machine:
        return
    if (differ := differences(before, machine)) and not allowed:
        raise ConfigError(
            f"{folder.path}: was begun on another machine or software ({', '.join(differ)}), so "
            "its scores cannot be continued exactly. Resume it there, or accept it with "
            "--allow-different-machine."
        )
    if unknown := not_recorded(before):
        tell.note(
            f"an older version began this run and did not record {', '.join(unknown)}: whether "
            "they are the same, nobody can tell"
        )
    journal.put([], machines=[*journal.get("machines", [before]), machine], machine=machine)


def _search(folder: RunFolder, driver: Driver, tell: Listeners) -> None:
    """Spend the budget of the search; listeners hear of it, and the hall of fame has its file."""
    search, clock = driver.search, driver.clock
    if driver.replaying:
        tell.replaying(driver.began, driver.replaying - 1, driver.sound)
    hall_of_fame = HallOfFameFile(folder)
    write = partial(hall_of_fame.write, search)
    clock.start()
    try:
        with contextlib.closing(driver.run()) as decided:  # whatever ends this, it is written
            for committed in decided:
                replayed = search.commits <= driver.replaying
                hall_of_fame.committed(committed, search, clock, replayed)
                tell.committed(committed, search, clock, replayed)
    except Interrupted:
        attempted(write)
        raise
    driver.patiently(write)
    tell.searched(search, clock)
