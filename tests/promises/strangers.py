"""Promise 7: files of strangers.

Whatever they hold, they are read, or refused with a clear error, and nothing else.

Program files, configurations and run folders are made by `hostile.py` and by Hypothesis, and read
in processes of their own: with a bound on memory, an alarm for what waits, and an audit hook that
knows all that may happen.

    PYTHONPATH=tests python -m promises.strangers "run files" 12345     reads one input again, with
    its traceback
"""

from __future__ import annotations

import ast
import contextlib
import faulthandler
import gc
import json
import mmap
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import conftest  # noqa: F401  (what scores are made in; before jax)
from benchmarks.endurance import Instant
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kit.strategies import AXES, MATRICES, MORE, programs
from promises import hostile

import baselines
from evolve.config.errors import ConfigError
from evolve.config.presets import load_config
from evolve.config.validation import validated
from evolve.config.yaml import read_yaml, write_yaml
from evolve.files import replace_file
from evolve.record.checkpoint import restore
from evolve.record.errors import JournalError
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.lock import Lock, RunIsLive
from evolve.record.status import status
from evolve.running import drive
from evolve.running.confirmation import found_program
from evolve.running.listeners import HallOfFameFile
from evolve.scoring.references import read_reference
from evolve.scoring.suite import make_suite
from evolve.search.search import Search
from primitives import ProgramError, load, parse
from primitives.canonical.cost import cost
from primitives.canonical.graph import graph
from primitives.canonical.liveness import prune
from primitives.canonical.probe import probe
from primitives.export.optax import to_optax_source

CLEAR = (ProgramError, ConfigError, JournalError, RunIsLive)
# Run folders take a hundred times as long as programs: fewer of ten million are enough for as many
# minutes.
SHARES = {
    False: {"programs": 0.9, "configs": 0.095, "run files": 0.005},
    True: {"programs": 0.9, "configs": 0.099, "run files": 0.001},
}
INPUTS = {False: 6_000, True: 10_000_000}
DRAWN = {
    False: 50,
    True: 10_000,
}  # of programs and of configurations in each process: by Hypothesis, which is slow
PROCESSES = 2
LIMIT = 0.25  # seconds of CPU for one program or configuration
LIMIT_OF_RUN = 2.0  # for all files of a run, each read several times
PATIENCE = 30.0  # seconds of waiting, after which something hangs
MEMORY = 512 * 2**20  # bytes that all inputs of a process together may add, caches included
MEMORY_OF_ONE = 50 * 2**20  # for one of the inputs that are written out
LONGEST = 2100  # characters of a message: `evolve.config.errors.MAX_MESSAGE`, and a place


def keep(place: Path, long: bool) -> dict[str, object]:
    """Read 8,000 hostile files (or 10 million) in two processes. Returns how many were what."""
    memory = Path(
        "/dev/shm"
    )  # what is tested is reading; a disk would have to sync what a journal writes
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else place) as folder:
        return read_all(Path(folder), long)


def read_all(place: Path, long: bool) -> dict[str, object]:
    """Read all inputs in processes that work in folders of this one."""
    make_run(place)
    running = []
    for number in range(PROCESSES):
        folder = place / f"process{number}"
        folder.mkdir()
        command = [
            sys.executable,
            "-m",
            "promises.strangers",
            str(folder),
            str(number),
            str(int(long)),
        ]
        path = os.pathsep.join(
            filter(None, (str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")))
        )
        running.append(
            (
                folder,
                subprocess.Popen(
                    command, env=os.environ | {"PYTHONPATH": path}, start_new_session=True
                ),
            )
        )
    try:
        for folder, process in running:
            code = process.wait()
            assert code == 0, f"exit code {code} at: {Position.seen(folder)}"
    finally:
        for _, process in running:
            process.kill()
            process.wait()
    found = [json.loads((folder / "figures.json").read_text()) for folder, _ in running]
    faults = [fault for one in found for fault in one["faults"]]
    assert not faults, f"{len(faults)} inputs were not refused clearly, such as " + "\n".join(
        faults[:5]
    )
    counts: Counter[str] = sum((Counter(one["counts"]) for one in found), Counter())
    assert counts["valid"] > counts["inputs"] / 20, (
        "too few inputs are valid: the fuzzer only tests the first line"
    )
    assert counts["valid"] + counts["clear errors"] == counts["inputs"] == INPUTS[long]
    figures: dict[str, object] = {
        name: counts[name]
        for name in ("inputs", *SHARES[long], "of Hypothesis", "valid", "clear errors")
    }
    figures["other exceptions"] = 0
    figures["slowest ms"] = round(max(one["slowest"] for one in found) * 1e3)
    figures["peak MiB"] = round(max(one["peak"] for one in found) / 2**20)
    figures["things opened or executed that should not be"] = sum(
        one["trespasses"] for one in found
    )
    return figures


# --- what may happen ------------------------------------------------------------------------------


class Trespass(BaseException):
    """Something that reading a file must not do. No `except Exception` hides it."""


class Watch:
    """An audit hook, and what it allows while an input is read.

    A hook stays until its process ends.
    """

    def __init__(self) -> None:
        self.on = False
        self.files: tuple[str, ...] = ()  # that may be read, exactly
        self.folders: tuple[str, ...] = ()  # whose files may be read
        self.writable: tuple[str, ...] = ()  # and may be written
        self.trespasses = 0
        sys.addaudithook(self.hook)

    @contextlib.contextmanager
    def over(
        self, *files: str, folders: tuple[str, ...] = (), writable: tuple[str, ...] = ()
    ) -> Iterator[None]:
        self.files, self.folders, self.writable, self.on = files, folders, writable, True
        try:
            yield
        finally:
            self.on = False

    def hook(self, event: str, args: tuple) -> None:
        if self.on and not self.allowed(event, args):
            self.on = False
            self.trespasses += 1
            raise Trespass(f"{event} {str(args)[:200]}")

    def allowed(self, event: str, args: tuple) -> bool:
        match event:
            case "compile":  # `ast.parse` makes a tree of a text, and no code
                return sys._getframe(2).f_code is ast.parse.__code__
            case "open":
                path, _, flags = args
                if path in ("", MOUNTS) or isinstance(
                    path, int
                ):  # of no name, of this machine, open already
                    return True
                path = os.path.abspath(path)
                write = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
                return path in self.writable if write else self.readable(path)
            case "os.listdir" | "os.scandir" | "glob.glob" | "pathlib.Path.glob":
                return f"{args[0]}/".startswith((PRESETS, *self.folders))
            case "os.remove":
                return os.path.abspath(args[0]) in self.writable
            case "os.truncate":
                return isinstance(args[0], int)  # open already
            case "os.chmod":  # a lock is closed to others
                return isinstance(args[0], int) and args[1] == 0o600
            case "sqlite3.connect":
                return (
                    str(args[0])
                    .removeprefix("file:")
                    .partition("?")[0]
                    .startswith(self.folders or ("\0",))
                )
            case "sqlite3.connect/handle" | "fcntl.flock":
                return bool(self.folders)
        return event in HARMLESS

    def readable(self, path: str) -> bool:
        return path in self.files or (bool(self.folders) and path.startswith(self.folders))


PRESETS = str(Path(load_config.__code__.co_filename).parent.parent / "configs")
MOUNTS = "/proc/self/mountinfo"  # which kind of file system holds a journal
# They look at what exists already.
HARMLESS = frozenset(("array.__new__", "builtins.id", "object.__getattr__", "sys._getframe"))


# --- reading --------------------------------------------------------------------------------------


@dataclass
class Reader:
    """Reads inputs, counts what comes of them, and keeps those that are not refused clearly."""

    place: Path
    watch: Watch
    counts: Counter[str]
    faults: list[str]
    slowest: float = 0.0

    def read(
        self, kind: str, said: str, check: Callable[[], None], limit: float, **allowed: Any
    ) -> None:
        """Read one input. Slow ones are read again: another process may have been in the way."""
        for _ in range(3):
            began, why = time.process_time(), ""
            signal.setitimer(signal.ITIMER_REAL, PATIENCE)
            try:
                with self.watch.over(
                    *allowed.get("files", ()), **{k: v for k, v in allowed.items() if k != "files"}
                ):
                    check()
                how = "valid"
            except CLEAR as fault:
                how, why = "clear errors", _unclear(str(fault))
            except BaseException as fault:
                how, why = "", f"{type(fault).__name__}: {str(fault)[:300]}"
                if isinstance(fault, KeyboardInterrupt):
                    raise
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            took = time.process_time() - began
            if took < limit or why:
                break
        else:
            why = f"took {took:.2f} s"
        self.slowest = max(self.slowest, took) if kind != "run files" else self.slowest
        self.counts["inputs"] += 1
        self.counts[kind] += 1
        if how:
            self.counts[how] += 1
        if why:
            self.faults.append(f"{said}: {why}")
            print(self.faults[-1], file=sys.stderr)


def _unclear(message: str) -> str:
    """What is wrong with a message; nothing, where it can be shown."""
    if len(message) > LONGEST:
        return f"a message of {len(message)} characters: {message[:100]}"
    if not message.replace("\n", "").isprintable() or not message:
        return f"a message that no terminal should see: {message[:100]!r}"
    return f"a secret: {message[:300]}" if SECRET in message else ""


def check_program(raw: str | bytes, file: Path | None, thorough: bool) -> None:
    """Read a program; thorough: and do all that becomes of a legal one before it is scored.

    Raises `ProgramError`.
    """
    program = parse(raw, file="a.py", name="a") if file is None else load(file)
    if not thorough:
        return
    text = str(program)
    again = parse(text, name=program.name)
    assert again == program, "what is printed is another program"
    assert str(again) == text, "what is printed is printed otherwise"
    key = graph(program).key
    pruned = prune(program)
    less = replace(
        graph(pruned), kernels=graph(program).kernels
    )  # dead matrices still ask for matrices
    assert less.key == key, "pruned, it is another program"
    assert parse(str(pruned)) == pruned, "pruned, what is printed is another program"
    assert graph(again).key == key, "printed, it has another key"
    cost(program)
    probe(graph(program))


def check_export(raw: str | bytes) -> None:
    """An exported program is that program alone: no text of a stranger becomes code in it.

    Raises `ProgramError`.
    """
    program = parse(raw, file="a.py", name="a")
    with_words, without = (
        code_of(to_optax_source(replace(program, doc=doc))) for doc in (program.doc, "")
    )
    assert with_words == without, "a docstring became code"


def code_of(source: str) -> str:
    """What a Python file says, without its docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant("")
    return ast.dump(tree)


def check_config(raw: str | bytes, file: Path | None) -> None:
    """Read a configuration, and write what is legal. Raises `ConfigError`."""
    config = load_config(str(file)) if file else validated(read_yaml(raw, "a.yaml"), "a.yaml")
    said = config.model_dump(mode="json")
    assert validated(read_yaml(write_yaml(said), "b.yaml"), "b.yaml") == config, (
        "what is written is another one"
    )


def check_run(path: Path, references: str) -> None:
    """Everything that is read of a run folder.

    Raises the first of the clear errors, when all has been tried.
    """
    errors = []
    for look in (
        _status,
        _config,
        _best,
        _journal,
        _resumed,
        _lock,
        lambda path: _reference(Path("references", f"{references}.json")),
    ):
        try:
            look(path)
        except CLEAR as fault:
            if why := _unclear(str(fault)):
                raise AssertionError(why) from fault
            fault.__context__ = None  # frames would keep a database open, and locked
            errors.append(fault.with_traceback(None))
    if errors:
        raise errors[0]


def _reference(path: Path) -> None:
    if path.is_file():
        read_reference(path)


def _status(path: Path) -> None:
    assert SECRET not in json.dumps(status(RunFolder.open(path)))


def _config(path: Path) -> None:
    folder = RunFolder.open(path)
    folder.config()
    for name, text in folder.meta.inputs.initial:
        parse(text, name=name)


def _best(path: Path) -> None:
    load(RunFolder.open(path).best())


def _journal(path: Path) -> None:
    folder = RunFolder.open(path)
    with contextlib.closing(Journal(folder.journal, read_only=True)) as journal:
        for row in journal.rows():
            row.restored()


def _resumed(path: Path) -> None:
    """What `resume` does before it asks a worker."""
    folder = RunFolder.open(path)
    folder.suite_given()
    search = Search(
        folder.config(), [parse(text, name=name) for name, text in folder.meta.inputs.initial]
    )
    with contextlib.closing(Journal(folder.journal)) as journal:
        for name in ("decisive", "machine", "status", "elapsed"):
            journal.get(name)
        until = journal.count()
        if journal.fits(until):
            restore(search, journal, until)


def _lock(path: Path) -> None:
    Lock(RunFolder.open(path).lock).release()


# --- inputs ---------------------------------------------------------------------------------------

SECRET = "a-secret-of-somebody-else"
FILES = (
    "meta.json", "config.yaml", "config.resolved.yaml", "journal.sqlite", "hall_of_fame.json",
    "summary.json", "best/program.py", "best/optax.py", "run.lock",
)  # fmt: skip


def make_run(place: Path) -> None:
    """A stopped run of sixty candidates, with a checkpoint and all its files; and files that are
    not its business.
    """
    given = hostile.INLINE | {
        "suite": hostile.INLINE["suite"][:1],
        "search": hostile.INLINE["search"] | {"lag": 8},
        "budget": {"candidates": 60},
        "name": "run",
    }
    config = validated(given, "run")
    initial = [baselines.get(name) for name in config.search.initial]
    assert not isinstance(config.suite, str)
    suite = make_suite(config.name, config.suite)
    inputs = {"initial": [[p.name, str(p)] for p in initial], "references": suite.references}
    folder = RunFolder.create(place, config, given, inputs)
    search = Search(config, initial)
    every, drive.EVERY = drive.EVERY, 32
    try:
        with contextlib.closing(Journal(folder.journal)) as journal:
            driver = drive.Driver(search, Instant(), journal, config.budget, drive.Clock())
            for _ in driver.run():
                pass
            journal.put([], decisive=config.decisive(), status="stopped", elapsed=3.5, machine={})
            journal.db.execute("PRAGMA journal_mode=DELETE")  # one file
    finally:
        drive.EVERY = every
    HallOfFameFile(folder).write(search)
    replace_file(folder.best_program, str(found_program(search.hall_of_fame.best, config, suite)))
    replace_file(folder.best_optax, "")
    end = {"chain": driver.chain.hex(), "verdicts": [], "best": None}
    replace_file(folder.summary, json.dumps(end))
    Lock(folder.lock).release()
    (folder.path / "logs").rmdir()
    folder.path.rename(place / "run")
    outside = place / "outside"
    for name in FILES:
        kept = outside / Path(name).name
        kept.parent.mkdir(exist_ok=True)
        shutil.copy(place / "run" / name, kept)
    for name in (
        "meta.json",
        "hall_of_fame.json",
        "program.py",
        "run.lock",
        "config.resolved.yaml",
    ):
        (outside / name).write_text(SECRET)
    (outside / "precious").write_text(SECRET)
    (place / "references").mkdir()
    values = {"learning_rate": 0.01, "beta1": 0.9}
    stored = {"fingerprint": "abc", "optimizers": {"adamw": {"values": values}}}
    (place / "references" / "abc.json").write_text(json.dumps(stored))


def read_program(reader: Reader, number: int) -> None:
    raw, file = hostile.program(Random(number)), None
    if number % 64 == 0:
        file = written(reader.place / "a.py", raw)
    reader.read(
        "programs",
        f"programs {number}",
        lambda: check_program(raw, file, number % 6 == 0),
        LIMIT,
        files=(str(file),),
    )


def read_config(reader: Reader, number: int) -> None:
    raw, file = hostile.config(Random(number)), None
    if number % 16 == 0:
        file = written(reader.place / "a.yaml", raw)
    reader.read(
        "configs", f"configs {number}", lambda: check_config(raw, file), LIMIT, files=(str(file),)
    )


def written(file: Path, raw: str | bytes) -> Path:
    file.write_bytes(raw if isinstance(raw, bytes) else raw.encode("utf-8", "surrogatepass"))
    return file


class Runs:
    """A run folder that is made whole again after every input."""

    def __init__(self, place: Path):
        self.place, self.path, self.outside = place, place / "run", place / "outside"
        self.references = place / "references" / "abc.json"
        self.whole = {self.path / name: (self.path / name).read_bytes() for name in FILES}
        self.whole[self.references] = self.references.read_bytes()

    def spoiled(self, number: int) -> None:
        rng = Random(number)
        journal, chosen = self.path / "journal.sqlite", rng.random()
        if chosen < 0.05:
            hostile.leave_half_a_commit(journal, self.outside)
        elif chosen < 0.3:
            hostile.spoil_rows(journal, rng)
        else:
            for path in rng.sample(sorted(self.whole), rng.choice((1, 1, 1, 2))):
                hostile.spoil(path, rng, self.outside)

    def restore(self) -> None:
        for path in (*self.path.iterdir(), *(self.path / "best").iterdir()):
            if path not in self.whole and path != self.path / "best":
                path.unlink()
        for path, content in self.whole.items():
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            elif (
                path.is_symlink()
                or not path.is_file()
                or path.stat().st_nlink > 1
                or path.stat().st_size > 2**30
            ):
                path.unlink(missing_ok=True)
            path.write_bytes(content)

    def read(self, reader: Reader, number: int) -> None:
        """Read the run with a few of its files damaged."""
        self.spoiled(number)
        faulthandler.dump_traceback_later(
            2 * PATIENCE, exit=True
        )  # an endless query hears no alarm
        ours = (str(self.path) + "/", str(self.references.parent) + "/")
        writable = (
            str(self.path / "run.lock"),
            str(self.path / "journal.sqlite.room"),
        )  # a try whether there is room
        check = lambda: check_run(self.path, "abc")  # noqa: E731
        reader.read(
            "run files", f"run files {number}", check, LIMIT_OF_RUN, folders=ours, writable=writable
        )
        faulthandler.cancel_dump_traceback_later()
        gc.collect()  # what failed may keep a database open, and locked
        self.restore()


def state_of(folder: Path) -> str:
    """The files of a folder, for comparison: names, contents, and when they were changed."""
    return repr(
        [(p.name, p.stat().st_mtime_ns, p.read_bytes()[:10_000]) for p in sorted(folder.iterdir())]
    )


def drawn(reader: Reader, kind: str, count: int) -> None:
    """Inputs that Hypothesis draws: legal programs, with or without damage; texts; bytes; mappings
    as YAML.
    """
    texts = st.text(max_size=200) | st.binary(max_size=200)
    plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    keys = st.sampled_from(
        ["name", "seed", "suite", "search", "budget", "scoring", "kind", "candidates", "fields"]
    )
    values = st.recursive(
        plain,
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(keys | st.text(max_size=9), inner, max_size=4)
        ),
    )
    legal = st.one_of(
        [
            programs(features=features, docs=st.text(max_size=40))
            for features in (MORE, AXES, MATRICES)
        ]
    )
    words = st.lists(st.sampled_from(hostile.PROGRAM_WORDS), max_size=20).map("".join)
    cut = st.tuples(legal.map(str), st.integers(0, 2000), words).map(
        lambda x: x[0][: x[1]] + x[2] + x[0][x[1] :]
    )
    inputs = {
        "programs": legal.map(str) | cut | texts,
        "configs": values.map(lambda x: write_yaml(hostile.INLINE | {"search": x}))
        | values.map(write_yaml)
        | texts,
    }
    left = iter(range(count))

    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(inputs[kind])
    def read(raw: str | bytes) -> None:
        if next(left, None) is None:
            return
        check = (
            (lambda: check_program(raw, None, True))
            if kind == "programs"
            else (lambda: check_config(raw, None))
        )
        reader.read(kind, f"drawn {raw[:2000]!r}", check, LIMIT)
        reader.counts["of Hypothesis"] += 1

    read()


class Position:
    """Where a process is, for whoever finds it dead."""

    def __init__(self, folder: Path):
        with (folder / "position").open("w+b") as file:
            file.truncate(64)
            self.memory = mmap.mmap(file.fileno(), 64)

    def write(self, said: str) -> None:
        self.memory[:64] = said.encode().ljust(64)

    @staticmethod
    def seen(folder: Path) -> str:
        return (folder / "position").read_text().strip()


# --- a process ------------------------------------------------------------------------------------


def main(place: Path, process: int, long: bool) -> None:
    """Read this process's share of the inputs, and write what came of them."""
    os.chdir(place)
    warnings.simplefilter("ignore")
    shutil.copytree(place.parent / "run", place / "run")
    shutil.copytree(place.parent / "references", place / "references")
    shutil.copytree(place.parent / "outside", place / "outside")
    watch, position, runs = Watch(), Position(place), Runs(place)
    warm_up(runs)
    Path("/proc/self/clear_refs").write_text(
        "5"
    )  # the peak so far is forgotten: now it is the memory in use
    before, began = state_of(place / "outside"), memory_of_this_process("VmHWM")
    resource.setrlimit(resource.RLIMIT_DATA, (memory_of_this_process("VmData") + MEMORY,) * 2)
    signal.signal(signal.SIGALRM, alarmed)
    reader = Reader(place, watch, Counter(), [])

    read_written_out(reader, position)
    for kind in ("programs", "configs"):
        position.write(f"{kind} by Hypothesis")
        drawn(reader, kind, DRAWN[long])
    reads = {"programs": read_program, "configs": read_config, "run files": runs.read}
    for kind, read in reads.items():
        quota = round(INPUTS[long] * SHARES[long][kind]) // PROCESSES - reader.counts[kind]
        for number in range(process, quota * PROCESSES, PROCESSES):
            position.write(f"{kind} {number}")
            read(reader, number)

    peak = memory_of_this_process("VmHWM") - began
    assert state_of(place / "outside") == before, "a file outside the run was touched"
    figures = {
        "counts": reader.counts, "faults": reader.faults, "slowest": reader.slowest, "peak": peak,
        "trespasses": watch.trespasses,
    }  # fmt: skip
    (place / "figures.json").write_text(json.dumps(figures))


def read_written_out(reader: Reader, position: Position) -> None:
    """The inputs that are written out, each with its memory measured; of a program, what is
    exported too.
    """
    for name, raw in hostile.PROGRAMS.items():
        position.write(f"programs, {name[:50]}")
        measured(reader, "programs", name, partial(check_program, raw, None, True))
        with contextlib.suppress(ProgramError):
            check_export(raw)
    for name, raw in hostile.CONFIGS.items():
        position.write(f"configs, {name[:50]}")
        measured(reader, "configs", name, partial(check_config, raw, None))


def measured(reader: Reader, kind: str, name: str, check: Callable[[], None]) -> None:
    """Read an input twice: for what comes of it, and for the memory that it takes."""
    reader.read(kind, f"{kind}, {name}", check, LIMIT)
    tracemalloc.start()
    with contextlib.suppress(*CLEAR):
        check()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MEMORY_OF_ONE, f"{kind}, {name}: {most / 2**20:.0f} MiB"


def warm_up(runs: Runs) -> None:
    """Whatever is imported, compiled or opened once, is: nothing is watched yet."""
    for number in range(300):
        with contextlib.suppress(*CLEAR):
            check_program(hostile.program(Random(number)), None, True)
    for number in range(100):
        with contextlib.suppress(*CLEAR):
            check_config(hostile.config(Random(number)), None)
    for raw in hostile.CONFIGS.values():
        with contextlib.suppress(*CLEAR):
            check_config(raw, None)
    check_export(hostile.STEP)
    check_run(runs.path, "abc")
    runs.restore()
    gc.collect()
    gc.freeze()  # what is imported need not be looked through again


class Stuck(BaseException):
    """An input for which something waits."""


def alarmed(number: int, frame: Any) -> None:
    raise Stuck(f"waits for {PATIENCE:.0f} s")


def memory_of_this_process(what: str) -> int:
    """Bytes: VmData counts against RLIMIT_DATA, VmHWM is the most that was in use."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(what))


def again(kind: str, number: int) -> None:
    """Read one input, unwatched: whatever it raises is shown."""
    if kind == "programs":
        check_program(hostile.program(Random(number)), None, True)
    elif kind == "configs":
        check_config(hostile.config(Random(number)), None)
    else:
        with tempfile.TemporaryDirectory() as place:
            os.chdir(place)
            make_run(Path(place))
            runs = Runs(Path(place))
            runs.spoiled(number)
            check_run(runs.path, "abc")


if __name__ == "__main__":
    if sys.argv[1] in SHARES[True]:
        again(sys.argv[1], int(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), int(sys.argv[2]), bool(int(sys.argv[3])))
