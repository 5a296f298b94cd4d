"""Compiled code that is kept from process to process: whose it is, and what becomes of damage.

jax loads it and executes it, so it must come from a folder into which nobody else can write.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import stat
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from evolve.files import make_folder

FOLDER, ENABLED = "JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"
CACHE_BYTES = 1 << 29  # that are kept; the oldest go first
CACHE_SECONDS = 0.02  # what compiles faster is compiled again


def variables() -> dict[str, str]:
    """The environment variables with which jax keeps what it has compiled; or keeps nothing, where
    others could put code of theirs there.
    """
    if os.environ.get(ENABLED, "true").lower() in ("false", "0", "off", "no", "n", "f"):
        return {}
    place = os.environ.get(FOLDER, "")
    if "://" not in place:  # nobody looks after a remote one
        place = str(folder())
        if why_unsafe(Path(place)):
            return {ENABLED: "false"}
    said = {
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(CACHE_BYTES),  # with a bound, jax also locks it
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": str(CACHE_SECONDS),
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    given = {name: os.environ.get(name, value) for name, value in said.items()}
    return given | {FOLDER: place}


def why_unsafe(place: Path) -> str:
    """Say why compiled code must not be loaded from a folder; empty where it is the user's alone.

    Makes the folder.
    """
    try:
        make_folder(place, 0o700)
        for at in (real := place.resolve(), *real.parents):
            found = at.stat()
            if found.st_uid not in (0, os.geteuid()):
                return f"{at} belongs to another user. Set {FOLDER} to a folder of your own."
            if at != real and found.st_mode & 0o002 and not found.st_mode & stat.S_ISVTX:
                return f"everybody can rename what lies in {at}. `chmod o-w {at}` ends that."
            if at == real and found.st_mode & 0o022:
                return (
                    f"others can write into {at}. Remove it, for it may hold code of theirs; it "
                    "is made anew."
                )
        real.chmod(0o700)
    except OSError as fault:
        return f"{place}: {fault.strerror}. Set {FOLDER} to a folder of your own."
    return ""


def forget_half_written() -> None:
    """Remove what a killed process began to write: beside one such file, jax writes no others."""
    _forget(lambda kinds: len(kinds) == 1)


def forget_damaged() -> None:
    """From now on, remove all compiled code as soon as jax cannot read some of it.

    jax warns, compiles again, and never writes over a file that is there: it would warn for ever.
    """
    show = warnings.showwarning

    def shown(message: Warning | str, *others: Any, **more: Any) -> None:
        if not str(message).startswith("Error reading persistent compilation cache entry"):
            show(message, *others, **more)
            return
        print("compiled code that was kept is damaged; it is compiled again", file=sys.stderr)
        _forget(lambda kinds: True)

    warnings.showwarning = shown


def _forget(which: Callable[[set[str]], bool]) -> None:
    """Remove some of what jax has compiled; another time, while somebody writes there.

    which: tells by the kinds of files that an entry has, of which there are two.
    """
    if FOLDER not in os.environ:
        return
    place, entries = Path(os.environ[FOLDER]), dict[str, set[str]]()
    with contextlib.suppress(OSError), (place / ".lockfile").open("w") as lock:  # jax's own
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for path in place.iterdir():
            key, _, kind = path.name.rpartition("-")
            if kind in ("cache", "atime"):
                entries.setdefault(key, set()).add(kind)
        for key, kinds in entries.items():
            for kind in kinds if which(kinds) else ():
                (place / f"{key}-{kind}").unlink()


def folder() -> Path:
    """Where compiled loops are kept: a folder of its own for each kind of processor.

    It lies in the user's cache, or where they keep what other programs of jax have compiled.
    """
    try:
        flags = next(
            line
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("flags")
        )
    except (OSError, StopIteration):
        flags = platform.processor()
    kind = hashlib.sha256(f"{platform.machine()} {flags}".encode()).hexdigest()[:8]
    ours = Path("pride", f"compiled-{kind}")
    if given := os.environ.get(FOLDER):
        # It is ours already where this process has inherited it.
        return Path(given) if given.endswith(f"/{ours}") else Path(given, ours).absolute()
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home, as in some containers
        home = Path(tempfile.gettempdir()) / f"pride-{os.getuid()}"
    return home / ours
