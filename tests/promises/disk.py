"""Promise 6: a disk that is full, taken by somebody else, read-only, moved, shared, old or damaged
is handled and said.

One small search is taken from place to place: begun on a file system without room, given up there,
resumed, waiting until there is room, refused to a second driver, made read-only, moved to another
machine with a network file system, and brought to its end there, which must be that of the same
search that nothing disturbed.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from promises import runs

from evolve.commands.main import main
from evolve.record.checkpoint import NOTHING
from evolve.record.errors import JournalError
from evolve.record.folder import RunFolder
from evolve.record.journal import FORMAT, Journal
from evolve.record.status import status
from evolve.reporting.progress import COMPILING

OLD = Path(__file__).parents[1] / "data" / "run-format-1"
HALF, WHOLE = 240, 400  # candidates
SMALL = 320 << 10  # bytes of a disk on which they do not fit
MORE = 128 << 10  # bytes with which a run can be resumed, but not go far
# The command, with commits and checkpoints so close to each other that short runs have many.
EVOLVE = (
    "import pathlib, evolve.commands.main, evolve.record.disk; "
    "import evolve.record.patience, evolve.running.drive; "
    "evolve.running.drive.EVERY = 64; evolve.running.drive.BRED_AGAIN = 16; "
    "evolve.running.drive.ROWS = 8; "
    "evolve.record.patience.FIRST = 0.2; "
    "{more}; evolve.commands.main.main()"
)
IMPATIENT = "evolve.record.patience.PATIENCE = 0.5"
ON_NFS = "evolve.record.disk.MOUNTS = pathlib.Path('mounts')"


def keep(place: Path, long: bool) -> dict[str, object]:
    """A run meets all of it and ends in the chain of the undisturbed one; flipped bytes are
    found.
    """
    runs.prepare(place)
    stage = Stage(place)
    undisturbed = stage.ends(
        stage.start("run", "tiny.yaml", "--output", "undisturbed", *upto(WHOLE))
    )
    rows = runs.recorded(undisturbed)
    assert len(rows) == WHOLE
    older, begun = begun_by_an_older_version(place / "older")
    process = stage.start("resume", older, "--allow-different-machine")  # beside what follows
    found: dict[str, object] = {}
    with small_disk(place / "small") as disk:
        folder = full(stage, disk, rows, found)
        kept_out(disk, folder, len(rows[:HALF]))
        moved = Path(shutil.copytree(folder, place / "elsewhere" / folder.name))
    another_machine(stage, moved, rows)
    stage.ends(process)
    ended_as_the_older_version(older, begun)
    found |= {
        "resumes to the undisturbed chain": 3
    }  # after a full disk, on another machine, of format 1
    found |= flipped(undisturbed / "journal.sqlite", place / "flipped", rows, 1200 if long else 60)
    return found


# --- a disk without room --------------------------------------------------------------------------


def full(stage: Stage, disk: SmallDisk, rows: runs.Rows, found: dict[str, object]) -> Path:
    """A run that has no room gives up after its patience; resumed, it waits for room and goes on by
    itself.
    """
    process = stage.start("run", "tiny.yaml", "--output", disk.root, *upto(HALF), more=IMPATIENT)
    disk.limit(process, SMALL)
    out, err = process.communicate(timeout=runs.PATIENCE)
    assert process.returncode == 1, (process.returncode, out, err)
    waits, *_, last = [line for line in err.splitlines() if "cannot be written" in line]
    assert "What was recorded before is intact; free some space: the run waits up to " in waits, err
    assert last.endswith("What was recorded before is intact; free some space, then resume."), err
    assert "Traceback" not in err, err
    folder = runs.run_folder(disk.root)
    acknowledged = runs.recorded(folder)
    assert 0 < len(acknowledged) < HALF, (
        f"it was to be full in the middle, not after {len(acknowledged)} rows"
    )
    assert acknowledged == rows[: len(acknowledged)], (
        "what was acknowledged is neither lost nor changed"
    )

    disk.more(MORE)
    process = stage.start("resume", folder)
    disk.limit(process, max(path.stat().st_size for path in folder.glob("journal.sqlite*")) + MORE)
    said = heard(process, "free some space: the run waits up to 10 minutes, and goes on by itself")
    at_wait = runs.recorded(folder)
    assert len(acknowledged) <= len(at_wait) < HALF
    assert at_wait == rows[: len(at_wait)]
    code, err = invoke("resume", folder)
    assert (code, f"is being run by another driver (pid {process.pid} on" in err) == (2, True), (
        code,
        err,
    )
    state = status(RunFolder(folder))
    assert (state["state"], state["candidates"]) == ("running", len(at_wait)), state
    assert process.poll() is None, "it waits"

    disk.free(process)
    said += heard(process, "there was room again")
    stage.ends(process)
    assert sum("free some space" in line for line in said) == 1, "it is said once"
    end = runs.recorded(folder)
    assert end == rows[:HALF], "a full disk changes where a run ends"
    lost = len(set(acknowledged + at_wait) - set(end))
    found |= {
        "full disk": disk.kind,
        "exits after its patience": 1,
        "waits for room": 1,
        "rows lost": lost,
    }
    assert lost == 0
    return folder


class SmallDisk:
    """A file system of its own that is small, and can grow."""

    kind = "a file system of its own"

    def __init__(self, root: Path):
        self.root = root

    def limit(self, process: subprocess.Popen, size: int) -> None:
        """What may be written at all; here the file system says so."""

    def more(self, room: int) -> None:
        used = os.statvfs(self.root)
        self.remount(f"size={(used.f_blocks - used.f_bfree) * used.f_frsize + room}")

    def free(self, process: subprocess.Popen) -> None:
        self.remount("size=64m")

    def remount(self, how: str) -> None:
        subprocess.run(
            ["mount", "-o", f"remount,{how}", self.root], check=True, capture_output=True
        )


class SmallFiles(SmallDisk):
    """Where mounting is not allowed: a limit on the size of files, which SQLite takes for a fault
    of the disk.
    """

    kind = "a limit on the size of files, as mounting is not allowed"

    def limit(self, process: subprocess.Popen, size: int) -> None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def more(self, room: int) -> None:
        pass

    def free(self, process: subprocess.Popen) -> None:
        self.limit(process, resource.RLIM_INFINITY)


@contextlib.contextmanager
def small_disk(root: Path) -> Iterator[SmallDisk]:
    root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "none", root]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        yield SmallFiles(root)
        return
    try:
        yield SmallDisk(root)
    finally:
        subprocess.run(["umount", "-l", root], check=True)


def kept_out(disk: SmallDisk, folder: Path, candidates: int) -> None:
    """A folder that cannot be written is said, and can be read."""
    if isinstance(disk, SmallFiles):
        return
    disk.remount("ro")
    code, err = invoke("resume", folder)
    begins, *said = err.strip().splitlines()
    assert begins == f"tiny: starting workers and {COMPILING}", err
    assert (code, said) == (1, [f"{folder / 'run.lock'}: Read-only file system"]), (code, err)
    assert status(RunFolder(folder))["candidates"] == candidates, "reading needs no right to write"
    code, err = invoke("run", "quickstart", "--output", disk.root)
    assert (
        code,
        "cannot be written: Read-only file system. Choose another folder with --output." in err,
    ) == (2, True)


# --- other places, other machines, other times ----------------------------------------------------


def another_machine(stage: Stage, folder: Path, rows: runs.Rows) -> None:
    """It is refused there unless asked for; then it goes on, on a network file system, to the
    undisturbed end.
    """
    (stage.place / "mounts").write_text(
        "22 1 0:50 / / rw,relatime shared:1 - nfs4 server:/home rw\n"
    )
    with contextlib.closing(Journal(folder / "journal.sqlite")) as journal:
        machine = journal.get("machine")
        journal.put([], machine=machine | {"device": "another"})
    process = stage.start("resume", folder, *upto(WHOLE), more=ON_NFS)
    _, err = process.communicate(timeout=runs.PATIENCE)
    assert (process.returncode, "--allow-different-machine" in err) == (2, True), (
        process.returncode,
        err,
    )
    assert f"device: 'another' → {machine['device']!r}" in err, err
    process = stage.start("resume", folder, *upto(WHOLE), "--allow-different-machine", more=ON_NFS)
    said = heard(
        process, "lies on a network file system (nfs4): its journal has the form that works there"
    )
    stage.ends(process)
    assert not any("free some space" in line for line in said)
    assert runs.recorded(folder) == rows
    with contextlib.closing(Journal(folder / "journal.sqlite", read_only=True)) as journal:
        assert journal.db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert [m["device"] for m in journal.get("machines")] == ["another", machine["device"]]


def begun_by_an_older_version(folder: Path) -> tuple[Path, runs.Rows]:
    shutil.copytree(OLD, folder)
    for part in ("best", "logs"):  # git keeps no empty folders
        (folder / part).mkdir()
    return folder, runs.recorded(folder)


def ended_as_the_older_version(folder: Path, begun: runs.Rows) -> None:
    """Its format is ours now, what was recorded is the same, and the end is that of the older
    version.
    """
    with contextlib.closing(Journal(folder / "journal.sqlite", read_only=True)) as journal:
        assert journal.format == FORMAT
        now, before = journal.get("machine"), journal.get("machines", [journal.get("machine")])
    machine, after = before[0], runs.recorded(folder)
    assert 0 < len(begun) < len(after) == 360
    assert after[: len(begun)] == begun
    # Other versions of jax or numpy may score otherwise; ours does not matter, nor what it says
    # beside that.
    if all(now.get(name) == said for name, said in machine.items() if name != "pride"):
        assert after[-1][-1].hex() == (OLD / "chain").read_text().strip(), (
            "not the end of the older version"
        )


# --- flipped bytes --------------------------------------------------------------------------------


def flipped(journal: Path, place: Path, rows: runs.Rows, number: int) -> dict[str, object]:
    """What is decided is found by the chain and named by row; a checkpoint is not used; elsewhere
    nothing changes.
    """
    place.mkdir()
    with contextlib.closing(Journal(journal)) as opened:
        opened.db.execute(
            "VACUUM INTO ?", (str(place / "sound"),)
        )  # without what is left over from earlier pages
        texts = list(opened.rows())
        points = list(opened.checkpoints(WHOLE))
    sound = (place / "sound").read_bytes()
    # A key is 16 bytes in a checkpoint, and text in a row; what lies across two pages is not found
    # in one piece.
    pieces = [piece for p in points for piece in (p.records[:16], p.state[:16].encode(), p.seal)]
    pieces = [piece for piece in pieces if piece != NOTHING and piece in sound]
    rng = random.Random(6)
    counts: Counter[str] = Counter()
    for n in range(number):
        kind = ("program", "outcome", "key", "chain", "checkpoint", "anywhere")[n % 6]
        row = rng.choice([row for row in texts if kind != "outcome" or row.outcome])
        if kind == "checkpoint":
            piece = rng.choice(pieces)
            at = sound.index(piece) + rng.randrange(len(piece))
        elif kind == "anywhere":
            at = rng.randrange(len(sound))
        else:
            end = sound.index(row.chain)  # the last of what belongs to the row
            text = b"" if kind == "chain" else getattr(row, kind).encode()
            at = (
                sound.rindex(text, 0, end) + rng.randrange(len(text))
                if text
                else end + rng.randrange(32)
            )
        path = place / f"{n}.sqlite"
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1 << rng.randrange(8)]) + sound[at + 1 :])
        said = finding(path, rows)
        if kind in ("program", "outcome", "key", "chain"):
            assert said.startswith(f"{path}: row {row.number} is damaged: "), (
                f"a flip in a {kind}: {said or 'unseen'}"
            )
            counts["named by row"] += 1
        elif kind == "checkpoint":
            assert said == "a checkpoint does not fit", (
                said or f"a flip in a checkpoint at byte {at} was not seen"
            )
        counts["flipped"] += 1
        counts["found"] += bool(said)
        path.unlink()
    named = {
        "bytes flipped": counts["flipped"],
        "found": counts["found"],
        "named by row": counts["named by row"],
    }
    return named | {"in what decides nothing": counts["flipped"] - counts["found"]}


def finding(path: Path, rows: runs.Rows) -> str:
    """What is found to be wrong with a journal; nothing where it says what it said."""
    try:
        with contextlib.closing(Journal(path)) as journal:
            fits = journal.fits(WHOLE)
            chains = [row.chain for row in journal.rows()]
            for fact in ("decisive", "machine", "status", "elapsed"):
                journal.get(fact)
    except JournalError as fault:
        return str(fault)
    assert chains == [row[-1] for row in rows[: len(chains)]], (
        "a journal says something else, and nobody noticed"
    )
    if len(chains) < len(rows):
        return f"{len(rows) - len(chains)} rows are missing at the end"
    return "" if fits else "a checkpoint does not fit"


# --- commands -------------------------------------------------------------------------------------


def upto(candidates: int) -> tuple[str, str]:
    return "--set", f"budget.candidates={candidates}"


class Stage:
    """Where commands are started."""

    def __init__(self, place: Path):
        self.place = place

    def start(self, *args: object, more: str = "pass") -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", EVOLVE.format(more=more), *map(str, args)],
            cwd=self.place, env=runs.environment(self.place), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def ends(self, process: subprocess.Popen[str]) -> Path:
        """The folder that a command has ended with, in good order."""
        code, out, err = runs.ended(process)
        assert code == 0, err
        return self.place / out.splitlines()[-1]


def heard(process: subprocess.Popen[str], words: str) -> list[str]:
    """Lines that a command says until one with these words."""
    lines = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return lines
    raise AssertionError(f"the command ended without a word of {words!r}: {lines}")


def invoke(*args: Any) -> tuple[int, str]:
    """A command in this process, for what is refused at once: exit code and standard error."""
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result.exit_code, result.stderr
