"""Who watches a tuning, and hears how far it is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager

Watching = Callable[[str, int], AbstractContextManager[Callable[[int], object]]]
"""Called with what begins and of how much; the context is told how much of it is done."""


@contextlib.contextmanager
def unwatched(what: str, total: int) -> Generator[Callable[[int], object]]:
    """Let nobody watch."""
    yield lambda done: None
