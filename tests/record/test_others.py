"""What other users of a machine can do with the files of a run, and a stranger's run with ours."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

import pytest

from evolve import api
from evolve.config.errors import ConfigError
from evolve.config.presets import load_config
from evolve.files import ours, replace_file
from evolve.given import check_address
from evolve.plugins import read
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.lock import Lock
from evolve.tuning.reference import write_reference

NOTHING = {"initial": [], "references": {}}
CLUSTER = ("workers={kind: ray, address: 'host:6379'}",)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_can_write_into_what_a_run_makes_whatever_the_umask(umask, tmp_path):
    (tmp_path / "mine.py").write_text("1")
    before = os.umask(umask)
    try:
        root = tmp_path / "deep" / "runs"
        guests = [read(tmp_path / "mine.py")]
        folder = RunFolder.create(root, load_config("smoke"), {}, NOTHING, guests)
        Lock(folder.lock).release()
        Journal(folder.journal).close()
        replace_file(folder.best_program, "x")
        with open(folder.workers_log, "ab", opener=ours) as log:
            log.write(b"x")
        content = {"task": {"kind": "k"}, "fingerprint": "f", "optimizers": {}}
        write_reference(tmp_path / "deep" / "references", content)
    finally:
        os.umask(before)
    made = [tmp_path / "deep", *(tmp_path / "deep").rglob("*")]
    assert len(made) >= 14
    for path in made:
        assert not path.stat().st_mode & 0o022, path
    assert stat.S_IMODE(folder.lock.stat().st_mode) == 0o600


def test_who_can_read_a_run_cannot_keep_its_owner_out(tmp_path):
    """A lock is held by whoever can open its file, also to read it alone; an older version left it
    readable.
    """
    path = tmp_path / "run.lock"
    path.write_text("")
    path.chmod(0o644)
    Lock(path).release()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with path.open() as reader:  # which only its owner can still do
        fcntl.flock(reader, fcntl.LOCK_SH)


WRITERS = {
    "a lock": lambda path: Lock(path),
    "a log": lambda path: os.close(ours(str(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT)),
    "a file": lambda path: replace_file(path.with_suffix(""), "text"),
}


@pytest.mark.parametrize("what", WRITERS)
def test_no_link_is_followed_by_what_writes(what, tmp_path):
    victim, link = tmp_path / "victim.txt", tmp_path / "program.new"
    victim.write_text("precious")
    link.symlink_to(victim)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        WRITERS[what](link)
    assert victim.read_text() == "precious"


def test_a_cluster_that_only_the_folder_names_is_not_connected_to(tmp_path):
    config = load_config("smoke", CLUSTER)
    folder = RunFolder.create(tmp_path, config, {}, NOTHING)
    with pytest.raises(ConfigError, match=r"names a Ray cluster, at host:6379, .* --address host"):
        api.resume(folder.path)
    for changes in (("workers.address=host:6379",), ("workers={kind: ray, address: auto}",)):
        check_address(folder, config, changes)
    check_address(folder, load_config("smoke"), ())
    assert not Path(folder.lock).exists()
