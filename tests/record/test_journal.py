"""The journal on disks of all kinds: older formats, network file systems, and disks that are full
for a while.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from kit.doubles import Pool, config

import baselines
from evolve.config.presets import load_config, preset_names
from evolve.files import replace_file
from evolve.interrupt import Interrupted
from evolve.record import disk, patience
from evolve.record.errors import DiskFull, JournalError
from evolve.record.folder import RunFolder
from evolve.record.journal import FORMAT, Journal
from evolve.record.lock import Lock
from evolve.record.status import status
from evolve.running.drive import Clock, Driver
from evolve.running.sentences import notes
from evolve.search.search import Search

OLD = Path(__file__).parents[1] / "data" / "run-format-1"
ROWS = 181  # of that run
BUDGET = 200


def search_in(journal: Journal, pool: Pool | None = None, **options: object) -> Driver:
    settings = config(f"budget.candidates={BUDGET}")
    return Driver(
        Search(settings, [baselines.get("adamw")]),
        pool or Pool(),
        journal,
        settings.budget,
        Clock(),
        **options,
    )


def chain_of(journal: Journal) -> bytes:
    driver = search_in(journal)
    assert sum(1 for _ in driver.run()) == BUDGET
    return driver.chain


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> bytes:
    """The chain on a disk on which nothing happens."""
    with contextlib.closing(
        Journal(tmp_path_factory.mktemp("plain") / "journal.sqlite")
    ) as journal:
        return chain_of(journal)


# --- formats --------------------------------------------------------------------------------------


@pytest.fixture
def old(tmp_path) -> RunFolder:
    return RunFolder(Path(shutil.copytree(OLD, tmp_path / "old")))


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files, but for the memory that SQLite shares with other readers."""
    shared = ("journal.sqlite-shm", "journal.sqlite-wal")
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in shared}


def test_a_new_journal_says_its_format(tmp_path):
    with contextlib.closing(Journal(tmp_path / "journal.sqlite")) as journal:
        assert journal.db.execute("PRAGMA user_version").fetchone() == (FORMAT,)
        assert journal.format == FORMAT


def test_a_run_of_format_1_is_read_without_a_byte_being_written(old):
    before = contents(old.path)
    found = status(old)
    assert (found["state"], found["candidates"], found["repeatable"]) == ("stopped", ROWS, True)
    with contextlib.closing(Journal(old.journal, read_only=True)) as journal:
        assert journal.format == 1
        assert len(list(journal.rows())) == ROWS
        assert journal.fits(ROWS)
        assert journal.get("decisive") == old.config().decisive()
    assert contents(old.path) == before


def test_format_1_becomes_ours_with_the_first_thing_that_is_written_or_not_at_all(old):
    with contextlib.closing(Journal(old.journal)) as journal:
        rows = list(journal.rows())
        assert journal.get("decisive") == old.config().decisive(), (
            "what the old software did not say is added"
        )
        with pytest.raises(JournalError, match="cannot be written: UNIQUE"):
            journal.put(rows[:1])
    with contextlib.closing(Journal(old.journal)) as journal:
        assert journal.format == 1
        assert (
            "order"
            not in journal.db.execute("SELECT value FROM meta WHERE name = 'decisive'").fetchone()[
                0
            ]
        )
        journal.put([], status="stopped")
        assert journal.format == FORMAT
    with contextlib.closing(Journal(old.journal, read_only=True)) as journal:
        assert journal.format == FORMAT
        assert journal.get("decisive") == old.config().decisive()
        assert list(journal.rows()) == rows


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_format_is_refused_and_left_as_it_is(old, read_only):
    with contextlib.closing(sqlite3.connect(old.journal)) as db:
        db.execute(f"PRAGMA user_version = {FORMAT + 1}")
    before = contents(old.path)
    newer = (
        rf"a newer Pride wrote this \(format {FORMAT + 1}; this one knows {FORMAT}\). "
        "Update Pride.$"
    )
    with pytest.raises(JournalError, match=newer):
        Journal(old.journal, read_only=read_only)
    assert contents(old.path) == before
    with pytest.raises(JournalError, match=newer):
        status(old)


@pytest.mark.parametrize("value", ["{", "x'ff'", "CAST(x'ff' AS TEXT)", "[]"])
def test_a_fact_that_is_damaged_is_named(old, value):
    with contextlib.closing(sqlite3.connect(old.journal)) as db:
        value = value if value.startswith(("x", "C")) else f"'{value}'"
        db.execute(f"UPDATE meta SET value = {value} WHERE name = 'decisive'")
        db.commit()
    with (
        contextlib.closing(Journal(old.journal)) as journal,
        pytest.raises(JournalError, match="fact 'decisive'"),
    ):
        journal.get("decisive")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE candidate SET phase = 9e999 WHERE number = 7", "row 7 is damaged"),
        (
            "UPDATE candidate SET number = 9223372036854775807 WHERE number = 180",
            "row 180 is damaged",
        ),
        ("UPDATE checkpoint SET since = 9e999", None),
    ],
)
def test_a_number_that_no_run_has_is_damage_like_any_other(old, change, named):
    with contextlib.closing(sqlite3.connect(old.journal)) as db:
        assert db.execute(change).rowcount > 0
        db.commit()
    with contextlib.closing(Journal(old.journal)) as journal:
        if named:
            with pytest.raises(JournalError, match=named):
                list(journal.rows())
            with pytest.raises(JournalError):
                journal.fits(journal.count())
        else:
            assert not journal.fits(ROWS)


def test_a_folder_in_place_of_the_lock_is_said(tmp_path):
    (tmp_path / "run.lock").mkdir()
    with pytest.raises(
        JournalError, match=r"run.lock: is a folder in place of a file; remove it, then resume$"
    ):
        Lock(tmp_path / "run.lock")


# --- file systems ---------------------------------------------------------------------------------

MOUNTS = r"""
22 1 253:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:5 / /proc rw - proc proc rw
40 22 0:50 / /home rw,relatime shared:2 master:3 - nfs4 server:/home rw,vers=4.2,local_lock=none
41 40 0:51 / /home/fast rw - xfs /dev/vdb rw
42 22 0:52 / /mnt/two\040words rw - fuse.sshfs host:/ rw,user_id=0
43 22 0:53 / /scratch rw - autofs systemd-1 rw
44 43 0:54 / /scratch rw - lustre 10.0.0.1@tcp:/scratch rw,flock
""".lstrip()


@pytest.fixture
def mounts(tmp_path, monkeypatch) -> Callable[[str], None]:
    """What the kernel says of its mounts."""

    def say(text: str) -> None:
        (tmp_path / "mounts").write_text(text)
        monkeypatch.setattr(disk, "MOUNTS", tmp_path / "mounts")

    return say


@pytest.mark.parametrize(
    ("folder", "kind", "network"),
    [
        ("/", "ext4", False),
        ("/homer/runs", "ext4", False),
        ("/home", "nfs4", True),
        ("/home/me/runs", "nfs4", True),
        ("/home/fast/runs", "xfs", False),
        ("/mnt/two words/runs", "fuse.sshfs", True),
        ("/scratch/runs", "lustre", True),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(mounts, folder, kind, network):
    mounts(MOUNTS)
    assert disk.file_system(Path(folder)) == kind
    assert disk.is_network(kind) == network


def test_where_the_kernel_does_not_tell_a_disk_is_assumed(monkeypatch, tmp_path):
    monkeypatch.setattr(disk, "MOUNTS", tmp_path / "nothing")
    assert disk.file_system(tmp_path) == ""
    assert not disk.is_network("")


@pytest.mark.parametrize(
    "kind",
    ["nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs", "fuse.x"],
)
def test_on_a_network_file_system_the_journal_is_of_the_older_kind_and_the_chain_the_same(
    tmp_path, mounts, kind
):
    mounts(f"22 1 0:1 / / rw - {kind} server:/ rw\n")
    with contextlib.closing(Journal(tmp_path / "journal.sqlite")) as journal:
        assert journal.network
        for pragma, want in (
            ("journal_mode", "delete"),
            ("synchronous", 3),
            ("locking_mode", "normal"),
        ):
            assert journal.db.execute(f"PRAGMA {pragma}").fetchone() == (want,)


def test_a_run_may_move_to_a_network_file_system_and_back(tmp_path, mounts, plain):
    path = tmp_path / "journal.sqlite"
    for stop, kind in enumerate(("ext4", "nfs", "ext4", "nfs"), start=1):
        mounts(f"22 1 0:1 / / rw - {kind} server:/ rw\n")
        with contextlib.closing(Journal(path)) as journal:
            (mode,) = journal.db.execute("PRAGMA journal_mode").fetchone()
            assert mode == {"ext4": "wal", "nfs": "delete"}[kind]
            driver = search_in(journal)
            life = driver.run()
            for _ in life:
                with contextlib.closing(
                    Journal(path, read_only=True)
                ) as reader:  # as `evolve status` from elsewhere
                    assert reader.count() <= max(driver.replaying, driver.search.commits)
                if stop < 4 and driver.search.commits == stop * BUDGET // 4:
                    break
            life.close()
            count = journal.count()
        with contextlib.closing(Journal(path, read_only=True)) as reader:
            assert reader.count() == count == stop * BUDGET // 4
    assert driver.chain == plain
    assert not [*tmp_path.glob("*-wal"), *tmp_path.glob("*-journal")]


HALF_A_COMMIT = """
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA cache_size = 1")
db.execute("BEGIN IMMEDIATE")
db.execute("UPDATE candidate SET program = program || hex(zeroblob(3000))")
os._exit(9)
"""


def test_half_a_commit_that_a_kill_left_is_taken_back_also_by_one_who_reads(
    tmp_path, mounts, plain
):
    mounts("22 1 0:1 / / rw - nfs server:/ rw\n")
    path = tmp_path / "journal.sqlite"
    with contextlib.closing(Journal(path)) as journal:
        chain_of(journal)
    assert subprocess.run([sys.executable, "-c", HALF_A_COMMIT, path]).returncode == 9
    assert path.with_name("journal.sqlite-journal").stat().st_size > 4096, (
        "what was there before lies beside it"
    )
    with contextlib.closing(Journal(path, read_only=True)) as reader:
        assert reader.link_before(BUDGET) == plain
        assert len(list(reader.rows())) == BUDGET


def test_what_the_file_system_means_for_a_run_is_said(tmp_path, mounts, monkeypatch):
    folder, config = RunFolder(tmp_path), load_config("quickstart", ("workers.count=2",))
    lock = Lock(tmp_path / "run.lock")
    with contextlib.closing(Journal(folder.journal)) as journal:
        assert list(notes(folder, config, journal, lock)) == []
        for preset in preset_names():  # none is said to be unfit for a laptop
            own = load_config(preset, ("workers.count=2",))
            assert list(notes(folder, own, journal, lock)) == []
        many = load_config("quickstart", ("workers.count=16",))
        (note,) = notes(folder, many, journal, lock)
        assert "16 workers will often wait for one another with search.lag=32" in note
    lock.release()

    def flock(*asked: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    mounts("22 1 0:1 / / rw - lustre server:/ rw\n")
    monkeypatch.setattr(fcntl, "flock", flock)
    lock = Lock(tmp_path / "run.lock")
    with contextlib.closing(Journal(folder.journal)) as journal:
        network, locks = notes(folder, config, journal, lock)
    lock.release()
    assert f"{tmp_path} lies on a network file system (lustre): " in network
    assert "nothing keeps a second driver out" in locks


# --- full disks -----------------------------------------------------------------------------------


class Clockwork:
    """A clock that goes on by a tenth of a second whenever somebody waits, and a disk that is full
    for a while.
    """

    def __init__(self, full_until: float, fault: Callable[[], Exception]):
        self.now, self.full_until, self.fault = 0.0, full_until, fault
        self.attempts: list[float] = []
        self.said: list[str] = []

    def write(self) -> None:
        self.attempts.append(round(self.now, 1))
        if self.now < self.full_until:
            raise self.fault()

    def tick(self) -> None:
        self.now += 0.1


FAULTS = {
    "journal": lambda: DiskFull("journal.sqlite", "database or disk is full"),
    "file": lambda: OSError(errno.ENOSPC, "No space left on device", "summary.json"),
    "quota": lambda: OSError(errno.EDQUOT, "Disk quota exceeded", "summary.json"),
}


@pytest.fixture
def clockwork(monkeypatch) -> Callable[..., Clockwork]:
    def make(*asked) -> Clockwork:
        made = Clockwork(*asked)
        monkeypatch.setattr(patience, "time", SimpleNamespace(monotonic=lambda: made.now))
        return made

    return make


@pytest.mark.parametrize("what", FAULTS)
def test_a_full_disk_is_tried_again_with_growing_pauses_and_said_once(clockwork, what):
    at = clockwork(100.0, FAULTS[what])
    patience.patiently(at.write, at.said.append, at.tick)
    assert at.attempts == pytest.approx([0, 1, 3, 7, 15, 31, 61, 91, 121], abs=1.0)
    first, last = at.said
    assert "cannot be written: " in first
    assert (
        "What was recorded before is intact; free some space: the run waits up to 10 minutes"
        in first
    )
    assert last.startswith("there was room again after 12")


@pytest.mark.parametrize("what", FAULTS)
def test_patience_ends(clockwork, what):
    at = clockwork(1e9, FAULTS[what])
    with pytest.raises(
        DiskFull, match=r"What was recorded before is intact; free some space, then resume\.$"
    ):
        patience.patiently(at.write, at.said.append, at.tick)
    assert at.attempts[-1] == pytest.approx(patience.PATIENCE, abs=1.0)
    assert len(at.said) == 1


@pytest.mark.parametrize(
    "fault", [OSError(errno.EIO, "bad disk"), OSError(errno.EROFS, "read-only"), JournalError("no")]
)
def test_other_faults_than_a_full_disk_are_raised_at_once(clockwork, fault):
    at = clockwork(1e9, lambda: fault)
    for write in (
        patience.attempted,
        lambda write: patience.patiently(write, at.said.append, at.tick),
    ):
        with pytest.raises(type(fault)):
            write(at.write)
    assert at.attempts == [0.0, 0.0]
    assert at.said == []


class Limited:
    """A journal that may not grow beyond what it is after some commits, until `free`."""

    def __init__(self, path: Path):
        self.journal = Journal(path)
        self.put, self.journal.put = self.journal.put, self.limited
        self.refused = self.commits = 0

    def limited(self, *asked: object, **facts: object) -> None:
        self.commits += 1
        if self.commits == 10:
            (pages,) = self.journal.db.execute("PRAGMA page_count").fetchone()
            self.journal.db.execute(f"PRAGMA max_page_count = {pages}")
        try:
            self.put(*asked, **facts)
        except DiskFull:
            self.refused += 1
            raise

    def free(self) -> None:
        self.journal.db.execute("PRAGMA max_page_count = 1000000")


@pytest.fixture
def limited(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "FIRST", 0.2)
    monkeypatch.setattr("evolve.running.drive.ROWS", 1)
    made = Limited(tmp_path / "journal.sqlite")
    yield made
    made.journal.close()


class Watched(Pool):
    """Counts how often somebody listens, and whether anything is asked while the disk is full."""

    def __init__(self) -> None:
        super().__init__()
        self.listened: list[int] = []

    def arrivals(self, timeout: float) -> list:
        self.listened.append(self.asked)
        return super().arrivals(timeout) if self.queue else []


def test_a_run_whose_disk_is_full_waits_looks_after_its_workers_and_goes_on(limited, plain):
    pool, said = Watched(), []

    def say(line: str) -> None:
        said.append((line, len(pool.listened)))
        pool.free = len(pool.listened) + 20

    driver = search_in(limited.journal, pool, say=say)
    listen = pool.arrivals

    def arrivals(timeout: float) -> list:
        if said and len(pool.listened) == pool.free:
            limited.free()
        return listen(timeout)

    pool.arrivals = arrivals
    assert sum(1 for _ in driver.run()) == BUDGET
    assert driver.chain == plain
    assert limited.refused > 1
    (first, since), (last, until) = said
    assert "database or disk is full. What was recorded before is intact; free some space" in first
    assert "there was room again" in last
    assert until - since >= 20, "the workers are heard while the disk is full"
    assert len(set(pool.listened[since:until])) == 1, "and nothing new is given to them"
    assert len(list(limited.journal.rows())) == BUDGET


def test_a_stop_is_honoured_while_the_disk_is_full_and_what_was_acknowledged_is_there(
    limited, plain, tmp_path
):
    said: list[str] = []
    driver = search_in(limited.journal, Watched(), say=said.append, stop=lambda: bool(said))
    with pytest.raises(Interrupted):
        list(driver.run())
    assert limited.refused == 1
    rows = limited.journal.count()
    assert 0 < rows < BUDGET
    limited.free()
    limited.journal.put = limited.put
    again = search_in(limited.journal)
    list(again.run())
    assert again.chain == plain


def test_a_file_that_cannot_be_written_whole_stays_as_it_was_and_leaves_nothing(
    tmp_path, monkeypatch
):
    path = tmp_path / "a.json"
    replace_file(path, "1")

    def full(*asked: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert str(patience.attempted(lambda: replace_file(path, "2"))).startswith(
        f"{path}: cannot be written: No space"
    )
    assert path.read_text() == "1"
    assert list(tmp_path.iterdir()) == [path]
