"""Waiting until a full disk has room again: nothing is lost, and the run goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Callable

from evolve.record.disk import FULL
from evolve.record.errors import DiskFull

PATIENCE = 600.0  # seconds until a run gives up
FIRST, LONGEST = 1.0, 30.0  # seconds between two attempts; each pause is twice the one before


def attempted(write: Callable[[], object]) -> DiskFull | None:
    """Do what writes into the folder of a run, once.

    Returns the fault where the disk is full, None where it was written. Raises other faults.
    """
    try:
        write()
    except DiskFull as fault:
        return fault
    except OSError as fault:
        if fault.errno in FULL:
            return DiskFull(fault.filename or "the folder of the run", fault.strerror)
        raise
    return None


def patiently(
    write: Callable[[], object], say: Callable[[str], None], meanwhile: Callable[[], None]
) -> None:
    """Do what writes into the folder of a run; while the disk is full, wait and do it again.

    `say` is told when the waiting begins and when it ends. `meanwhile` is called again and again in
    between; it takes an instant, and may raise to end the waiting, as for a stop signal.

    Raises  `DiskFull` when patience is at its end; other faults at once.
    """
    began, pause = None, FIRST

    while full := attempted(write):
        now = time.monotonic()
        if began is None:
            began = now
            say(
                f"{full.what}free some space: the run waits up to {PATIENCE / 60:g} minutes, and "
                f"goes on by itself"
            )
        if now >= began + PATIENCE:
            raise full

        until, pause = min(now + pause, began + PATIENCE), min(2 * pause, LONGEST)
        while time.monotonic() < until:
            meanwhile()

    if began is not None:
        say(f"there was room again after {time.monotonic() - began:.0f} s; going on")
