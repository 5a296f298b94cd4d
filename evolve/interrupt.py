"""Stopping a run from outside: the first Ctrl-C or SIGTERM saves, the second leaves at once."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import Any


class StopSignal:
    """The first Ctrl-C or SIGTERM asks the run to stop; the second leaves at once."""

    def __init__(self):
        self.number = 0

    def __call__(self) -> bool:
        return self.number != 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[StopSignal]:
        before = {s: signal.signal(s, self.receive) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)

    def receive(self, number: int, frame: Any) -> None:
        if self.number:
            os._exit(128 + number)  # what is committed stays; the kernel ends the workers
        self.number = number
