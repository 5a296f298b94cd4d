"""The commands that our documents show."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def documents() -> list[Path]:
    """Return the README of every folder, and the page on clusters."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."]
    found = [
        *ROOT.glob("*.md"),
        *(file for folder in folders for file in folder.rglob("README.md")),
        ROOT / "evolve" / "CLUSTER.md",
    ]
    history = {"CHANGELOG.md", "DECISIONS.md"}  # what was once, and not what is
    return sorted(
        path
        for path in found
        if path.name not in history and not {"data", "kept"} & set(path.relative_to(ROOT).parts)
    )


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each command `evolve ...` in a document, in blocks and within lines."""
    blocks = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    for block in blocks.findall(text):
        for line in block.splitlines():
            if line.startswith("evolve "):
                yield shlex.split(line, comments=True)[1:]
    for words in re.findall(r"`evolve ([^`]+)`", blocks.sub("", text)):
        yield shlex.split(words.replace("\n", " "))
