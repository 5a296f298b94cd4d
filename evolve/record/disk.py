"""What the disk under a run gives: which file system it is, and whether there is room."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

# On these, other machines may write too, or memory that is mapped from a file is not shared by all
# who map it.
NETWORK = (
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "orangefs", "panfs", "prl_fs", "smb3", "smbfs", "vboxsf", "virtiofs",
    "vmhgfs", "wekafs",
)  # fmt: skip

# No room on the disk, in the user's share of it, in the size that one file may have.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def file_system(folder: Path) -> str:
    """Name the kind of the file system that a folder lies on, such as ext4.

    Empty where the kernel does not tell.
    """
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""

    at, kind, depth = folder.resolve(), "", 0
    for mount in mounts:
        place, _, what = mount.partition(" - ")
        escaped = place.split()[4]
        point = Path(re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), escaped))
        # Of two at one place, the later lies on top.
        if at.is_relative_to(point) and len(point.parts) >= depth:
            kind, depth = what.split()[0], len(point.parts)
    return kind


def is_network(kind: str) -> bool:
    """Tell whether machines share a file system of this kind.

    One that runs in user space counts as shared, for nobody knows what is behind it.
    """
    return kind in NETWORK or kind.startswith("fuse.")


def takes_no_more(path: Path) -> bool:
    """Tell whether there is no room for a file to grow.

    Finds out by writing 64 KiB into a new file beside it, which is removed again.
    """
    probe = path.with_name(f"{path.name}.room")
    beside = [path.with_name(path.name + end) for end in ("", "-wal", "-journal")]
    try:
        with probe.open("wb") as file:
            # The bytes go where the longest of the files ends: a limit on the size of files counts
            # as no room too, and a hole before them takes none.
            file.seek(max((f.stat().st_size for f in beside if f.exists()), default=0))
            file.write(bytes(1 << 16))
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        return fault.errno in FULL
    finally:
        probe.unlink(missing_ok=True)
    return False
