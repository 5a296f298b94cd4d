"""The clock that deadlines are measured by: it stands still while this process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

LONGEST = 0.5  # seconds that may pass from one look to the next and count


@dataclass
class AwakeClock:
    """Seconds in which somebody looked at the clock again and again.

    Driver and workers may be suspended together, by a laptop's lid, `docker pause` or Slurm. When
    they go on, hours have passed in which no worker could do anything; so a gap between two looks
    counts as `LONGEST`. A driver that is busy gives its workers more time by that, and never less.
    """

    read: Callable[[], float] = time.monotonic
    seconds: float = 0.0
    looked: float = field(init=False)

    def __post_init__(self) -> None:
        self.looked = self.read()

    def __call__(self) -> float:
        """Look at it."""
        now = self.read()
        self.seconds += min(now - self.looked, LONGEST)
        self.looked = now
        return self.seconds
