"""How far something is, in words for people; and what they type to go on."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

from evolve.record.status import STOPPED
from evolve.reporting.printing import bar, tell
from evolve.running.sentences import tally_parts
from evolve.scoring.job import WORST

PAUSE = 10.0  # seconds between lines, where there is no terminal

COMPILING = "compiling its tasks, which takes up to a minute the first time"


@contextlib.contextmanager
def watching(
    what: str, total: int, say: Callable[[str], None]
) -> Generator[Callable[[int], object]]:
    """Say at once what begins, and then how far it is and how long it will still take.

    On a terminal that is a bar, which goes when all is done; elsewhere it is a line now and then.
    The context is told how many of `total` are done.
    """
    say(f"{what}: 0 of {total}")
    if sys.stderr.isatty():
        with bar(total) as advance:
            yield advance
        return

    began = last = time.monotonic()

    def line(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PAUSE:
            last, taken = now, now - began
            left = f", about {taken / done * (total - done):.0f} s to go" if done else ""
            say(f"{what}: {done} of {total} after {taken:.0f} s{left}")

    yield line


def command() -> str:
    """Say how the user calls this program: by its name where a shell finds it, else by the path
    that was used.
    """
    return "evolve" if shutil.which("evolve") or not sys.argv[0].endswith("evolve") else sys.argv[0]


def print_status(found: dict[str, Any]) -> None:
    """Print the facts that `evolve.record.status.status` found."""
    tell(f"{found['run']}: {found['state']}")
    if not found["candidates"]:
        tell("no candidate yet")
        return
    tell(f"{found['candidates']:,} candidates in {found['seconds']:.0f} s of search")
    for count, what, ends in tally_parts(found):
        tell(f"  {count:,} {what}")
        for n, how in ends:
            tell(f"    {n:,} {how}")
    best = found["best"]
    if best and best["confirmed"]:
        tell(
            f"best: candidate {best['candidate']}, {best['score']:+.4f} ({best['low']:+.4f} to "
            f"{best['high']:+.4f}) on fresh seeds, test part"
        )
    elif best:
        score = WORST if best["score"] is None else best["score"]
        tell(f"best so far: candidate {best['candidate']}, {score:+.4f} on the selection seeds")
    tell(f"hash chain: {found['hash_chain']}")
    tell(f"  (not verified but for its last link: {command()} verify {found['run']})")
    if not found["repeatable"]:
        tell("committed in the order of arrival: the run can be resumed, not repeated")
    if found["state"] == STOPPED:
        tell(f"go on with:  {command()} resume {shlex.quote(found['run'])}")
