"""Text that users bring: a file, or a folder of them, as symbols."""

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np

from proxy_tasks.data.reading import DataError, Parts, loader, missing, read_bytes
from proxy_tasks.kit.parts import frozen, split_blocks

BYTES = 256


@loader
def text(
    path: Path,
    *,
    symbols: Literal["characters", "bytes"] = "characters",
    alphabet: int = 64,
    pattern: str = "*.txt",
    block: int = 500,
) -> Parts:
    """Read a file, or a folder's files in the order of their names, as symbols.

    symbols: "characters" in UTF-8, of which the commonest of the train part are numbered from 0 and
    all others share the number alphabet - 1; or "bytes", which are numbers already (256 of them).
    block: the text is cut into blocks of so many symbols; of ten, eight train, one validates and
    one tests.

    Returns parts i32[symbol].
    Raises  `DataError`.
    """
    if symbols not in ("characters", "bytes"):
        raise DataError(f"{path}: symbols must be 'characters' or 'bytes', not {symbols!r}.")
    if alphabet < 2 or block < 1:
        raise DataError(f"{path}: alphabet must be at least 2, and block at least 1.")
    files = files_of(path, pattern)
    if symbols == "bytes":
        read = np.frombuffer(b"".join(map(read_bytes, files)), np.uint8)
    else:
        read = np.array(list("".join(map(read_text, files))))
    parts = split_blocks(len(read), block)
    if len(read) < 10 * block:
        raise DataError(
            f"{path}: expected at least {10 * block:,} {symbols}, ten blocks of {block:,}, found "
            f"{len(read):,}; bring more, or state a smaller block."
        )
    coded = read if symbols == "bytes" else ranked(read, parts["train"], alphabet)
    return {part: frozen(coded[positions], np.int32) for part, positions in parts.items()}


def files_of(path: Path, pattern: str) -> list[Path]:
    """List what is read: a file, or those of a folder that fit the pattern, by name."""
    if not path.exists():
        raise missing(path)
    if not path.is_dir():
        return [path]
    found = sorted((p for p in path.rglob(pattern) if p.is_file()), key=lambda p: p.as_posix())
    if not found:
        raise DataError(
            f"{path}: expected files {pattern}, found none; state another pattern=, or folder."
        )
    return found


def read_text(file: Path) -> str:
    """Read a file of text; `DataError` where it is not UTF-8."""
    try:
        return read_bytes(file).decode("utf-8")
    except UnicodeDecodeError as fault:
        raise DataError(
            f"{file}: expected text in UTF-8, found the byte {fault.object[fault.start]:02x} at "
            f"{fault.start}; save it as UTF-8, or read symbols='bytes'."
        ) from None


def ranked(characters: np.ndarray, train: np.ndarray, alphabet: int) -> np.ndarray:
    """Number characters by how common they are in the train part; the rarest share the last."""
    counts = Counter(characters[train].tolist())
    common = sorted(counts, key=lambda character: (-counts[character], character))
    number = {character: n for n, character in enumerate(common[: alphabet - 1])}
    return np.array([number.get(character, alphabet - 1) for character in characters.tolist()])
