"""A run: its folder, its life from the first candidate to the exported optimizer, and its end.

runs/<name>-<UTC time>-<id>/
    config.yaml            as it was given          journal.sqlite   every candidate, hash-chained
    config.resolved.yaml   with every default       hall_of_fame.json
    meta.json              versions, machine        summary.json     the confirmation
    best/program.py        the best program         best/optax.py    the same for Optax
    logs/workers.log       what workers print       run.lock         keeps a second driver out
"""

from __future__ import annotations

import contextlib
import json
import math
import platform
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import baselines
import evolve
from evolve.config import Config, ConfigError, load_suite, read_yaml, validated, write_yaml
from evolve.confirm import Contestant, Verdict, confirm
from evolve.drive import Clock, Driver, Interrupted, tally_line
from evolve.journal import FORMAT, Journal, JournalError, Lock, is_held, replace_file
from evolve.scoring import WORST
from evolve.search import Entry, Search
from evolve.suite import Suite, make_suite, reference, tuned
from evolve.workers import make_executor
from primitives import Program
from primitives.export_optax import to_optax_source
from primitives.liveness import prune

PROGRESS = 10.0  # seconds between progress lines
REWRITE = 2.0  # seconds between rewrites of the hall of fame

RUNNING, STOPPED, FINISHED = "running", "stopped", "finished"


class NotARun(ConfigError):
    """A folder that is no run."""


@dataclass(frozen=True)
class RunFolder:
    """Where everything about a run lies."""

    path: Path

    @classmethod
    def create(cls, root: Path, config: Config, given: dict[str, Any], command: list[str]) -> RunFolder:
        """A new folder; nothing is ever overwritten."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = root / f"{config.name}-{stamp}-{secrets.token_hex(2)}"
        try:
            path.mkdir(parents=True, exist_ok=False, mode=0o755)
            folder = cls(path)
            for part in ("best", "logs"):
                (path / part).mkdir()
            folder.write("config.yaml", write_yaml(given))
            folder.write("config.resolved.yaml", write_yaml(config.model_dump(mode="json")))
            folder.write("meta.json", json.dumps(_meta(config, command), indent=1) + "\n")
        except OSError as fault:
            raise ConfigError(
                f"{path}: cannot be written: {fault.strerror}. Choose another folder with --output."
            ) from None
        return folder

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        folder = cls(Path(path))
        if not folder.path.is_dir():
            raise NotARun(f"{path}: there is no such folder. `ls runs` shows the runs of this folder.")
        if not (folder.path / "config.resolved.yaml").is_file():
            raise NotARun(
                f"{path}: is no run: it has no config.resolved.yaml. Give the folder that `evolve run` printed."
            )
        return folder

    @property
    def journal(self) -> Path:
        return self.path / "journal.sqlite"

    @property
    def meta(self) -> dict[str, Any]:
        return json.loads((self.path / "meta.json").read_text())

    def config(self) -> Config:
        path = self.path / "config.resolved.yaml"
        return validated(read_yaml(path.read_bytes(), str(path)), str(path))

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        replace_file(path, text)
        return path

    def best(self) -> Path:
        """The best program. Raises `NotARun` where there is none yet."""
        path = self.path / "best" / "program.py"
        if not path.is_file():
            raise NotARun(f"{self.path}: has no best program yet. `evolve status {self.path}` says how far it is.")
        return path


def _meta(config: Config, command: list[str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "pride": evolve.__version__,
        "commit": _commit(),
        "command": command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: _version(name) for name in ("jax", "jaxlib", "optax", "numpy", "scikit-learn", "scipy")},
        "decisive": config.decisive(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def _commit() -> str:
    """The commit of the checkout that this code runs from; empty elsewhere."""
    here = Path(__file__).parent.parent
    if not (here / ".git").exists():
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, timeout=10, check=True
        )
        return asked.stdout.strip()
    return ""


# --- signals ---------------------------------------------------------------------------------------


class StopSignal:
    """The first Ctrl-C or SIGTERM asks the run to stop; the second leaves at once."""

    def __init__(self):
        self.number = 0

    def __call__(self) -> bool:
        return self.number != 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[StopSignal]:
        before = {s: signal.signal(s, self.receive) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)

    def receive(self, number: int, frame: Any) -> None:
        if self.number:
            import os

            os._exit(128 + number)  # what is committed stays; the kernel ends the workers
        self.number = number


# --- the life of a run -------------------------------------------------------------------------------


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
    """The programs that a search starts from, with the hyperparameters tuned on the first task where known."""
    return [tuned(name, suite.tasks[0]) or baselines.find(name) for name in config.search.initial]


def resolve(config: Config) -> tuple[Config, Suite]:
    """The config with its suite written out, and everything checked that can be before anything runs."""
    suite = suite_of(config)
    for task in suite.tasks:
        reference(task)
    initial_programs(config, suite)
    for name in config.confirm.baselines:
        baselines.get(name)
    if isinstance(config.suite, str):
        config = config.model_copy(update={"suite": load_suite(config.suite)[1]})
    return config, suite


def execute(
    folder: RunFolder,
    config: Config,
    say: Callable[[str], None],
    stop: Callable[[], bool] = lambda: False,
    allow_different_machine: bool = False,
) -> Result:
    """Run, or go on with, the search in a folder; then confirm and export.

    Raises `Interrupted` when asked to stop, `RunIsLive`, `JournalError`, `WorkerFailure`.
    """
    lock = Lock(folder.path / "run.lock")
    executor = journal = None
    try:
        suite = suite_of(config)
        journal = Journal(folder.journal)
        _same_config(journal, config, folder)
        log = folder.path / "logs" / "workers.log"
        began = time.monotonic()
        executor = make_executor(config.workers, list(config.suite), log)
        machine = executor.ready()
        _same_machine(journal, machine, folder, allow_different_machine)
        finished = journal.get("status") == FINISHED
        journal.put([], status=STOPPED)  # what it is if it is killed from here on
        say(f"workers ready after {time.monotonic() - began:.1f} s ({machine['platform']})")
        search = Search(config, initial_programs(config, suite))
        clock = Clock(before=journal.get("elapsed", 0.0))
        driver = Driver(search, executor, journal, config.budget, clock, stop)
        _search(folder, driver, say)
        if not finished:
            say("confirming the best on fresh seeds and the test part")
        verdicts, best = _confirm(folder, config, search, executor, stop)
        journal.put([], status=FINISHED)
        return Result(folder, verdicts, best, driver.chain.hex(), tally_line(search, clock.elapsed))
    finally:
        if executor is not None:
            executor.close()
        if journal is not None:
            journal.close()
        lock.release()


def _same_config(journal: Journal, config: Config, folder: RunFolder) -> None:
    before = journal.get("decisive")
    if before is None:
        journal.put([], decisive=config.decisive())
    elif before != config.decisive():
        raise ConfigError(
            f"{folder.path}: config.resolved.yaml was changed after the run began. Undo that, or start another run."
        )


def _same_machine(journal: Journal, machine: dict[str, Any], folder: RunFolder, allowed: bool) -> None:
    before = journal.get("machine")
    if before is None:
        journal.put([], machine=machine)
    elif before != machine:
        differ = ", ".join(
            f"{k}: {before.get(k)!r} → {machine.get(k)!r}" for k in machine if before.get(k) != machine.get(k)
        )
        if not allowed:
            raise ConfigError(
                f"{folder.path}: was begun on another machine or software ({differ}), so its scores cannot be "
                "continued exactly. Resume it there, or accept it with --allow-different-machine."
            )
        journal.put([], machines=[*journal.get("machines", [before]), machine], machine=machine)


def _search(folder: RunFolder, driver: Driver, say: Callable[[str], None]) -> None:
    """The search, with its lines for people and its current files."""
    search, clock = driver.search, driver.clock
    if driver.replaying:
        say(f"replaying {driver.replaying:,} recorded candidates")
    clock.start()
    last_said = last_written = time.monotonic()
    dirty = False
    try:
        for committed in driver.run():
            now = time.monotonic()
            if committed.best:
                dirty = True
                if committed.candidate.number >= driver.replaying:
                    say(f"{clock.elapsed:.0f} s: {_found_line(search)}")
            if now - last_said > PROGRESS and committed.candidate.number >= driver.replaying:
                last_said = now
                say(tally_line(search, clock.elapsed))
            if dirty and now - last_written > REWRITE:
                _write_hall_of_fame(folder, search)
                last_written, dirty = now, False
    except Interrupted:
        _write_hall_of_fame(folder, search)
        raise
    _write_hall_of_fame(folder, search)
    say(tally_line(search, clock.elapsed))


def _found_line(search: Search) -> str:
    """`found so far: +0.0931 (8.9 % less loss than tuned AdamW on 12 selection seeds), ...`"""
    entry = search.hall_of_fame[0]
    change = -math.expm1(-entry.score)
    than = f"{abs(change):.1%} {'less' if change >= 0 else 'more'} loss than tuned AdamW"
    what = "found so far" if entry.number >= len(search.initial) else "the start scores"
    statements = len(prune(entry.program).body)
    return (
        f"{what}: {entry.score:+.4f} ({than} on {len(search.select_seeds)} selection seeds), "
        f"{statements} statements, candidate {entry.number:,}"
    )


def _write_hall_of_fame(folder: RunFolder, search: Search) -> None:
    entries = [
        {"candidate": e.number, "score": e.score if e.score > WORST else None, "program": str(prune(e.program))}
        for e in search.hall_of_fame
    ]
    folder.write("hall_of_fame.json", json.dumps(entries, indent=1) + "\n")


def found_program(entry: Entry, config: Config, note: str = "") -> Program:
    """A program of the hall of fame as people get it: pruned, named, with where it comes from."""
    origin = {"evolution": f"evolved from {', '.join(config.search.initial)}", "random": "drawn at random"}
    how = origin.get(config.search.kind, f"{', '.join(config.search.initial)} with other constants")
    doc = (
        f"found_{entry.number}: {how} by Pride.\n\n"
        f"Candidate {entry.number} of the run {config.name!r}, seed {config.seed}. "
        f"Score on the selection seeds {entry.score:+.4f} (0 is tuned AdamW, 0.1 is 10 % less loss).\n{note}"
    )
    return replace(prune(entry.program), doc=doc, name=f"found_{entry.number}")


def _confirm(
    folder: RunFolder, config: Config, search: Search, executor: Any, stop: Callable[[], bool]
) -> tuple[list[Verdict], Program | None]:
    entries = search.found()[: config.confirm.finalists]
    contestants = [Contestant(f"found_{e.number}", e.program, finalist=True) for e in entries]
    contestants += [Contestant(f"{name} (tuned)", baselines.get(name), known=name) for name in config.confirm.baselines]
    verdicts = confirm(executor, contestants, config.confirm.seeds, stop)
    if contestants and not verdicts:
        raise Interrupted
    program = None
    if entries:  # the finalist with the best confirmed mean; the table shows them all
        pick = max(range(len(entries)), key=lambda n: (verdicts[n].score, -n))
        note = (
            f"Confirmed on the test part in {config.confirm.seeds} fresh seeds: {verdicts[pick].score:+.4f} "
            f"(95 % interval {verdicts[pick].low:+.4f} to {verdicts[pick].high:+.4f}).\n"
        )
        program = found_program(entries[pick], config, note)
        folder.write("best/program.py", str(program))
        folder.write("best/optax.py", to_optax_source(program))
    folder.write(
        "summary.json",
        json.dumps(
            {
                "chain": driver_chain(folder),
                "kind": config.search.kind,
                "tally": tally_facts(search),
                "verdicts": [v.facts() for v in verdicts],
                "best": program.name if program else None,
            },
            indent=1,
        )
        + "\n",
    )
    return verdicts, program


def driver_chain(folder: RunFolder) -> str:
    """The last link of the recorded chain."""
    journal = Journal(folder.journal, read_only=True)
    try:
        return journal.link_before(journal.count()).hex()
    finally:
        journal.close()


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


def status(folder: RunFolder) -> dict[str, Any]:
    """The facts of a run, running or not."""
    if not folder.journal.is_file():
        nothing: dict[str, Any] = dict.fromkeys(("candidates", "evaluated", "cached", "seconds"), 0)
        nothing |= {"rejected": {}, "statuses": {}, "best": None, "hash_chain": bytes(32).hex()}
        return {"run": str(folder.path), "state": RUNNING if _is_live(folder) else STOPPED} | nothing
    journal = Journal(folder.journal, read_only=True)
    try:
        db = journal.db
        statuses = dict(db.execute("SELECT status, COUNT(*) FROM candidate GROUP BY status").fetchall())
        reasons = dict(
            db.execute("SELECT reason, COUNT(*) FROM candidate WHERE reason != '' GROUP BY reason").fetchall()
        )
        count = journal.count()
        state = journal.get("status", STOPPED)
        chain = journal.link_before(count).hex()
        elapsed = journal.get("elapsed", 0.0)
    except (JournalError, Exception) as fault:  # a damaged file shows as one clear sentence
        raise JournalError(f"{folder.journal}: cannot be read: {fault}") from None
    finally:
        journal.close()
    if _is_live(folder):
        state = RUNNING
    return {
        "run": str(folder.path),
        "state": state,
        "candidates": count,
        "evaluated": count - statuses.get("cached", 0) - statuses.get("rejected", 0),
        "cached": statuses.get("cached", 0),
        "rejected": reasons,
        "statuses": statuses,
        "best": _best_facts(folder),
        "seconds": elapsed,
        "hash_chain": chain,
    }


def _best_facts(folder: RunFolder) -> dict[str, Any] | None:
    path = folder.path / "hall_of_fame.json"
    if not path.is_file():
        return None
    entries = json.loads(path.read_text())
    return entries[0] if entries else None


def _is_live(folder: RunFolder) -> bool:
    path = folder.path / "run.lock"
    if not path.is_file():
        return False
    try:
        return is_held(path)
    except OSError:
        return False


def command_line() -> list[str]:
    return ["evolve", *sys.argv[1:]]
