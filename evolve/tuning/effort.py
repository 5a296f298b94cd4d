"""How much is spent on tuning one optimizer on one task."""

from __future__ import annotations

from dataclasses import dataclass

TRAININGS = 1024  # of every optimizer on every task, unless it is asked for otherwise
LEAST = 32  # with fewer there is no race


@dataclass(frozen=True)
class Effort:
    """Trainings on each task, and the number that draws points and seeds."""

    trainings: int = TRAININGS
    scramble: int = 0
