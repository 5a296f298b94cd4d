"""What a run folder from somebody else must not hold: links, pipes, and databases that are
programs.
"""

from __future__ import annotations

import functools
import os
import sqlite3
from pathlib import Path

MAX_VALUE = (
    256 * 2**20
)  # bytes of one value of a database; a damaged chain of pages would be longer
_END_OF_SUPER = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"


def strange(run: Path, folders: tuple[str, ...]) -> str:
    """What in a run's folder must not be opened, and why; empty where there is nothing of the kind.

    Looked for in the folder and those of its `folders` that are there; others are nobody's
    business.
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
    """Whether what an interrupted commit left beside a database names another file, which SQLite
    would delete.

    Commits to several databases at once do; ours is one.
    """
    left = database.with_name(f"{database.name}-journal")
    try:
        with left.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - len(_END_OF_SUPER)))
            return file.read() == _END_OF_SUPER
    except FileNotFoundError:
        return False


def distrust(db: sqlite3.Connection, tables: str) -> str:
    """Bound what reading a database can cost.

    Returns what is wrong with its tables; empty where they are ours.

    Views and triggers are programs that run when a table is read or written; columns of other types
    hold anything.
    """
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
    db.execute("PRAGMA trusted_schema = OFF")
    for kind, name, said in db.execute(
        "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"
    ):
        if (kind, name, said) not in _schema(tables):
            return f"{kind} {name!r} is not as Pride makes it"
    return ""


@functools.cache
def _schema(tables: str) -> frozenset[tuple[str, str, str]]:
    with sqlite3.connect(":memory:") as db:
        db.executescript(tables)
        return frozenset(
            db.execute("SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        )
