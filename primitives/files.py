"""Files of strangers: read up to a bound, and only where a file is one."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def read_file(path: str | Path, most: int) -> bytes:
    """Return the content of a regular file; of one that is larger, the first `most` + 1 bytes.

    Raises `OSError`, also for what is no regular file (opening a pipe would wait for its other end,
    and a device may have none), and for a name that no file can have.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except ValueError:  # a NUL byte or half a surrogate pair
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from None
    with open(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return file.read(most + 1)
