"""The session with Ray: connecting to a cluster, or starting one on this machine, and ending it.

A cluster of others is used with a token, unless the user says otherwise: who reaches a port of Ray
can run code. A Ray of our own listens on this machine alone, in a folder that nobody else can read.

Ray gives its processes the driver's current folder to import from, so that a `numpy.py` which lies
there would be executed. Where a job has a working folder of its own they get that instead: an
empty one.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import shutil
import signal
import socket
import stat
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from evolve.config.schema import WorkerSettings
from evolve.environment import available_cores
from evolve.record.errors import JournalError
from evolve.record.lock import Lock, RunIsLive
from evolve.workers.errors import WorkerFailure

PLACE, LOCK = "pride-ray-", "driver.lock"
REACH = 10.0  # seconds in which the head of a cluster must answer
STORE = 100 << 20  # bytes of Ray's object store on one machine, which nothing here needs
# Ray reads these when it is imported: a Ray of our own listens on 127.0.0.1 alone, and reports
# nothing to anybody.
LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
ROOT = Path(__file__).parents[2]  # `evolve` is importable from there, installed or not


def connect(settings: WorkerSettings) -> Callable[[], None]:
    """Connect to a cluster, or start one on this machine. Returns a function that undoes it.

    Raises  `WorkerFailure` where none answers.
    """
    if not settings.address:
        os.environ.update(LOOPBACK)
        # Without a token in the environment, Ray writes one into the user's home, where everybody
        # on this machine can read it.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    if ray.is_initialized():  # by whoever called: theirs to end
        return lambda: None
    if settings.address:
        _authenticated(settings.address)
        _reached(settings.address)
        options: dict[str, Any] = {"address": settings.address}
        place = None
        variables = {}
    else:
        count = 0 if settings.count == "auto" else math.ceil(settings.count * settings.cpus)
        place = _Place()
        options = {
            "num_cpus": max(available_cores(), count),
            "include_dashboard": False,
            "object_store_memory": STORE,
            "_temp_dir": str(place.ray),
        }
        paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
        variables = {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        with (
            _own_signals(),
            tempfile.TemporaryDirectory(prefix="pride-empty-") as empty,
            warnings.catch_warnings(),
        ):
            # jax warns of every fork, and Ray starts its processes with one; they replace
            # themselves at once.
            warnings.filterwarnings("ignore", r"os\.fork\(\) was called", RuntimeWarning)
            ray.init(
                log_to_driver=False,
                logging_level=logging.ERROR,
                runtime_env={"working_dir": empty, "env_vars": variables},
                **options,
            )
    except Exception as fault:  # Ray has no common one for this
        if place:
            place.remove()
        where = f"at {settings.address}" if settings.address else "on this machine"
        raise WorkerFailure(
            f"Ray does not answer {where}: {str(fault).splitlines()[0] or type(fault).__name__}"
        ) from None

    def disconnect() -> None:
        with _own_signals():
            ray.shutdown()
        if place:
            place.remove()

    return disconnect


def _authenticated(address: str) -> None:
    """Refuse a cluster where everybody who reaches a port can run code, unless the user says so."""
    mode = os.environ.get("RAY_AUTH_MODE")
    token = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if mode is None and not token.is_file() and "RAY_AUTH_TOKEN" not in os.environ:
        raise WorkerFailure(
            f"the Ray cluster at {address} would be used without authentication. Set "
            f"RAY_AUTH_MODE=token on every node "
            "(evolve/CLUSTER.md says how), or RAY_AUTH_MODE=disabled to go without."
        )


def _reached(address: str) -> None:
    """Raise `WorkerFailure` where nothing listens. Ray itself would go on trying for minutes."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=REACH).close()
    except OSError as fault:
        why = fault.strerror or fault
        raise WorkerFailure(
            f"no Ray cluster answers at {address} ({why}). Give HOST:PORT as `ray start --head` "
            f"says it."
        ) from None


class _Place:
    """A folder for a Ray of our own, which nobody else can enter and its driver has locked.

    Ray makes the folder that it is given writable for everybody, so it is given one inside.
    """

    def __init__(self):
        """Make it, and remove those that killed drivers have left."""
        # The names of sockets must be short.
        root = Path("/tmp") if os.path.isdir("/tmp") else Path(tempfile.gettempdir())
        for left in root.glob(f"{PLACE}*"):
            _remove_if_left(left)
        self.folder = Path(tempfile.mkdtemp(prefix=PLACE, dir=root))
        self.lock = Lock(self.folder / LOCK)
        self.ray = self.folder / "ray"

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lock.release()


def _remove_if_left(folder: Path) -> None:
    """Remove the folder of a driver that is dead: nobody holds its lock any more.

    Its number says nothing, for it may live in another container.
    """
    with contextlib.suppress(OSError, RunIsLive, JournalError):
        found = folder.lstat()
        locked = stat.S_ISDIR(found.st_mode) and (folder / LOCK).exists()
        if locked and found.st_uid == os.getuid():
            lock = Lock(folder / LOCK)
            if lock.held:  # where nothing can be locked, nobody can tell
                shutil.rmtree(folder, ignore_errors=True)
            lock.release()


@contextlib.contextmanager
def _own_signals() -> Iterator[None]:
    """Keep our handlers of signals: Ray puts one of its own in their place."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
