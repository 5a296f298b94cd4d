"""What a run folder from somebody else must not hold: links, pipes, and databases that are
programs.
"""

from __future__ import annotations

import functools
import os
import sqlite3
from pathlib import Path

MAX_VALUE = 256 * 2**20  # bytes of one value; a damaged chain of pages could be longer
_SCHEMA = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
# With these bytes a rollback journal ends that names the journal of a commit to several databases.
_END_OF_SUPER = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"


def strange(run: Path, folders: tuple[str, ...]) -> str:
    """Say what in a run's folder must not be opened, and why; empty where all of it may be.

    Looks into the folder itself and into those of its `folders` that are there; from others nothing
    is ever read.
    """
    for place in (run, *(run / name for name in folders if (run / name).is_dir())):
        with os.scandir(place) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if entry.is_symlink():
                    return f"{entry.path}: is a link, which may lead out of the run"
                if not (entry.is_file() or entry.is_dir()):
                    return f"{entry.path}: is neither file nor folder"
    return ""


def leads_out(database: Path) -> bool:
    """Tell whether a rollback journal beside a database names another file.

    SQLite would delete that file. Only a commit to several databases at once names one, and a run
    has one database.
    """
    left = database.with_name(f"{database.name}-journal")
    try:
        with left.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - len(_END_OF_SUPER)))
            return file.read() == _END_OF_SUPER
    except FileNotFoundError:
        return False


def distrust(db: sqlite3.Connection, tables: str) -> str:
    """Bound what reading a database can cost, and say what is wrong with its tables.

    Returns an empty text where they are exactly as `tables` makes them. Views and triggers would be
    programs that run when a table is read or written, and a column of another type could hold
    anything.
    """
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
    db.execute("PRAGMA trusted_schema = OFF")
    for kind, name, said in db.execute(_SCHEMA):
        if (kind, name, said) not in _schema(tables):
            return f"{kind} {name!r} is not as Pride makes it"
    return ""


@functools.cache
def _schema(tables: str) -> frozenset[tuple[str, str, str]]:
    with sqlite3.connect(":memory:") as db:
        db.executescript(tables)
        return frozenset(db.execute(_SCHEMA))
