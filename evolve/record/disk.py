"""What the disk under a run gives: which file system it is, and whether there is room."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
# Other machines may write there too, or memory that is mapped from a file is not shared by all who
# map it.
NETWORK = (
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs",
    "vmhgfs", "wekafs",
)  # fmt: skip
FULL = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
)  # the disk, what the user may have of it, what a file may have


def file_system(folder: Path) -> str:
    """Kind of the file system that a folder lies on, such as ext4; empty where the kernel does not
    tell.
    """
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    at, kind, depth = folder.resolve(), "", 0
    for mount in mounts:
        place, _, what = mount.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), place.split()[4]))
        if (
            at.is_relative_to(point) and len(point.parts) >= depth
        ):  # of two at one place, the later lies on top
            kind, depth = what.split()[0], len(point.parts)
    return kind


def is_network(kind: str) -> bool:
    """Whether a file system of this kind is shared by machines.

    What runs in user space counts as one.
    """
    return kind in NETWORK or kind.startswith("fuse.")


def takes_no_more(path: Path) -> bool:
    """Whether a file that is there could not grow, for want of room.

    Tries it, on another file of its folder.
    """
    probe = path.with_name(f"{path.name}.room")
    beside = [path.with_name(path.name + end) for end in ("", "-wal", "-journal")]
    try:
        with probe.open("wb") as file:
            # As long as they are: a limit on files' sizes is no room too.
            file.seek(max((f.stat().st_size for f in beside if f.exists()), default=0))
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        return fault.errno in FULL
    finally:
        probe.unlink(missing_ok=True)
    return False
