"""The lock of a run: while one driver holds it, no other writes into the folder."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from pathlib import Path
from typing import TextIO

from evolve.record.errors import JournalError

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what a file system without locks says


class RunIsLive(RuntimeError):
    """Another driver holds the run."""


class Lock:
    """Keeps a second driver out. The kernel frees it the instant its holder dies."""

    def __init__(self, path: Path):
        """Take the lock.

        Nobody else can open its file: who can, could hold the lock for ever. A link is not
        followed, for this writes into what it finds.

        Raises  `RunIsLive` where another driver has it; `JournalError` for a folder in its place;
                `OSError`.
        """
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            with contextlib.suppress(PermissionError):  # of another user, who shares it
                os.fchmod(handle, 0o600)  # an older version left it readable for everybody
            self.file: TextIO = os.fdopen(handle, "r+")
        except IsADirectoryError:
            raise JournalError(
                f"{path}: is a folder in place of a file; remove it, then resume"
            ) from None

        self.held = True  # False where the file system has no locks
        try:
            for _ in range(4):  # `is_held` has it for an instant
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(0.05)
            else:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            if fault.errno in (errno.EAGAIN, errno.EACCES):
                holder = self.file.read(200).strip()
                self.file.close()
                raise RunIsLive(
                    f"{path.parent} is being run by another driver ({holder}); wait for it, or "
                    f"stop it"
                ) from None
            if fault.errno not in NO_LOCKS:
                self.file.close()
                raise
            self.held = False

        words = f"pid {os.getpid()} on {os.uname().nodename}".encode()
        with contextlib.suppress(OSError):  # a full disk: these are words for people
            os.pwrite(self.file.fileno(), words, 0)
            os.ftruncate(self.file.fileno(), len(words))

    def release(self) -> None:
        """Let the next driver in."""
        self.file.close()


def is_held(path: Path) -> bool:
    """Tell whether a driver holds this lock. Changes nothing. Raises `OSError`."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
