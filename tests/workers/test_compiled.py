"""Compiled code is executed, so it is taken from a folder of the user's own; damage heals."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from evolve import compiled
from evolve.compiled import ENABLED, FOLDER, why_unsafe
from evolve.files import make_folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A cache of the user's that is empty, and nothing said of where compiled code is to lie."""
    for name in (FOLDER, ENABLED):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_it_lies_in_a_folder_of_ours_also_where_other_programs_of_jax_keep_theirs(
    home, monkeypatch
):
    own = compiled.variables()[FOLDER]
    assert own.startswith(str(home / "pride" / "compiled-"))
    monkeypatch.setenv(FOLDER, str(home / "shared"))
    shared = compiled.variables()[FOLDER]
    assert shared == own.replace(str(home), str(home / "shared"))
    for inherited in (own, shared, "gs://bucket/compiled"):
        monkeypatch.setenv(FOLDER, inherited)
        assert compiled.variables()[FOLDER] == inherited


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_nobody_else_can_enter_it_whatever_the_umask(home, umask):
    before = os.umask(umask)
    try:
        folder = compiled.variables()[FOLDER]
    finally:
        os.umask(before)
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert (home / "pride").stat().st_mode & 0o022 == 0
    os.chmod(folder, 0o755)  # as an older version made it: nobody else could write
    assert compiled.variables()[FOLDER] == folder
    assert os.stat(folder).st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: folder.chmod(0o777), "others can write into .*compiled-.*. Remove it"),
        (lambda folder: folder.chmod(0o770), "others can write into .*compiled-.*. Remove it"),
        (lambda folder: folder.parent.chmod(0o777), "everybody can rename what lies in .*pride"),
        (lambda folder: folder.rmdir() or folder.write_text("x"), "Not a directory|File exists"),
        (lambda folder: os.chown(folder, 12345, -1), "belongs to another user. Set JAX_COMP"),
        (lambda folder: os.chown(folder.parent, 12345, -1), "belongs to another user. Set JAX"),
    ],
    ids=["others write", "a group writes", "others rename", "a file", "another's", "above"],
)
def test_code_is_not_loaded_from_where_others_may_have_put_it(home, spoil, words):
    folder = compiled.folder()
    make_folder(folder, 0o700)
    try:
        spoil(folder)
    except PermissionError:
        pytest.skip("only root can give a folder away")
    assert compiled.variables() == {ENABLED: "false"}
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(why_unsafe(folder))


HEALS = """
import os, sys
from pathlib import Path
from evolve.environment import pin
pin()
import jax

def compute():
    jax.clear_caches()
    return float(jax.jit(lambda x: 2.0 * x)(1.5))

def entries():
    return {path.name: path.read_bytes() for path in folder.glob("*-cache")}

folder = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
first, whole = compute(), entries()
assert whole, "nothing is kept"
for name in whole:
    (folder / name).write_bytes(b"damage")
assert compute() == first
assert entries().keys() <= whole.keys() and b"damage" not in entries().values()
again = entries()
assert again

name = next(iter(again))
(folder / name.replace("-cache", "-atime")).unlink()  # a process was killed here
pin()
assert name not in entries()
assert compute() == first
assert entries().keys() >= again.keys()
"""


def test_what_is_damaged_or_half_written_is_removed_and_compiled_again(tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", HEALS],
        env=os.environ | {FOLDER: str(tmp_path), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said = "compiled code that was kept is damaged; it is compiled again"
    assert set(done.stderr.splitlines()) == {said}
