"""How files of users are found and read: once a process, and never as code.

What is wrong with a file is one sentence: the file, what was expected, what was found.
"""

import contextlib
import functools
import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Concatenate, ParamSpec, cast

Parts = dict[str, Any]
"""{"train": ..., "validation": ..., "test": ...}, of read-only arrays."""

MAX_BYTES = 2**31  # of a file, unpacked; more is no data for trainings of seconds
CHUNK = 2**20

P = ParamSpec("P")


class DataError(ValueError):
    """A file of a user's that cannot be used: which one, what was expected, what was found."""


def loader(
    load: Callable[Concatenate[Path, P], Parts],
) -> Callable[Concatenate[str | Path, P], Parts]:
    """Make a loader find its file or folder, and read it once a process.

    A relative path counts from the folder where the command is run, on all machines: a plug-in's
    text travels without its place. A file that changes is noticed by the next process; within one,
    data are the same every time.
    """
    once = cast(Callable[Concatenate[Path, P], Parts], functools.cache(load))

    @functools.wraps(load)
    def found(path: str | Path, /, *args: P.args, **settings: P.kwargs) -> Parts:
        return once(Path(path).expanduser().absolute(), *args, **settings)

    return cast(Callable[Concatenate[str | Path, P], Parts], found)


def missing(path: Path) -> DataError:
    """Say that a file or folder is not there, and how to have it found."""
    return DataError(
        f"{path}: expected it here, found nothing; put it there, on every machine that scores, or "
        "name another path (a relative one counts from the folder where the command is run)."
    )


@contextlib.contextmanager
def readable(path: Path) -> Iterator[BinaryIO]:
    """Open a file, unpacked where its name ends in .gz; `DataError` where that fails."""
    if path.is_dir():
        raise DataError(f"{path}: expected a file, found a folder; name the file in it.")
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            yield cast(BinaryIO, file)
    except FileNotFoundError:
        raise missing(path) from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as fault:
        raise DataError(
            f"{path}: expected a whole gzip file, found a damaged one ({fault}); fetch it again."
        ) from None
    except OSError as fault:
        raise DataError(
            f"{path}: expected a file that can be read, found one that cannot "
            f"({fault.strerror}); see to it."
        ) from None


def read_bytes(path: Path) -> bytes:
    """Read a whole file, unpacked where its name ends in .gz.

    Raises `DataError` for one that is not there, no file, empty, damaged or too large.
    """
    chunks, size = [], 0
    with readable(path) as file:
        while chunk := file.read(CHUNK):
            chunks.append(chunk)
            size += len(chunk)
            if size > MAX_BYTES:
                raise DataError(
                    f"{path}: expected at most {MAX_BYTES:,} bytes, found more; take a part of it."
                )
    if not size:
        raise DataError(f"{path}: expected data, found an empty file; fetch it again.")
    return b"".join(chunks)


def folder_at(path: Path) -> Path:
    """Return a path that is a folder; `DataError` for another."""
    if not path.exists():
        raise missing(path)
    if not path.is_dir():
        raise DataError(f"{path}: expected a folder, found a file; name the folder it is in.")
    return path
