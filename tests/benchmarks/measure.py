"""What a benchmark is made of: a figure with its bar, and times taken in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax


@dataclass(frozen=True)
class Figure:
    """One number. `bar` is what it should be: at least, or at most where `most`."""

    name: str
    value: float
    unit: str = "x"
    bar: float | None = None
    most: bool = False

    @property
    def met(self) -> bool | None:
        if self.bar is None:
            return None
        return self.value <= self.bar if self.most else self.value >= self.bar

    @property
    def asked(self) -> str:
        """`≤ 1.15 x`, or nothing."""
        return "" if self.bar is None else f"{'≤' if self.most else '≥'} {self.bar:,g} {self.unit}"


def seconds(call: Callable[[], Any], clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of one call.

    By default of this process's own computing, whatever else the machine does.
    """
    start = clock()
    jax.block_until_ready(call())
    return clock() - start


def in_turns(ways: dict[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Seconds of each way, turn by turn: a machine that slows down slows all of them."""
    for way in ways.values():
        jax.block_until_ready(way())
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(turns):
        for name, way in ways.items():
            times[name].append(seconds(way))
    return times


def ratio(above: list[float], below: list[float]) -> float:
    """The median over the turns of the ratio in a turn."""
    return statistics.median(a / b for a, b in zip(above, below, strict=True))
