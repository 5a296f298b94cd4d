"""Files that nobody ever sees half of, and JSON that is read without trusting who wrote it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from pathlib import Path
from typing import Any

from primitives.files import read_file

MAX_JSON = 16 * 2**20  # bytes of a JSON file that is read


def ours(path: str, flags: int) -> int:
    """Open a file of ours: others may read it, whatever the umask; no link is followed.

    An opener for `open`.
    """
    return os.open(path, flags | os.O_NOFOLLOW, 0o644)


def make_folder(folder: Path, mode: int) -> None:
    """Make a folder and those that it lies in, whatever the umask. Raises `OSError`."""
    for place in (*reversed(folder.parents), folder):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(place))
        place.mkdir(mode, exist_ok=True)


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file so that a reader or a kill never sees half of it.

    Raises  `OSError`, the file then as it was.
    """
    new = path.with_name(path.name + ".new")
    try:
        with open(new, "wb", opener=ours) as file:
            file.write(content if isinstance(content, bytes) else content.encode())
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as fault:
        fault.filename = str(path)
        with contextlib.suppress(OSError):
            new.unlink()
        raise

    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must reach the disk
    finally:
        os.close(folder)


def read_json(path: Path) -> Any:
    """Read a JSON file of somebody who may mean harm.

    Raises  `OSError`; `ValueError` for what is no JSON or too large, for a key that is given twice
            and for a number that is not finite.
    """
    raw = read_file(path, MAX_JSON)
    if len(raw) > MAX_JSON:
        raise ValueError(f"larger than {MAX_JSON} bytes")
    return parse_json(raw.decode())


def parse_json(text: object) -> Any:
    """Read JSON of somebody who may mean harm; for what it raises, see `read_json`."""
    if not isinstance(text, str):  # a database gives what lies in it, and json would take bytes
        raise ValueError("no text")
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a key is given twice")
    return table


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_number)
