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
from evolve.running.sentences import tally_parts

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
        from rich.console import Console
        from rich.progress import Progress, TimeElapsedColumn

        console = Console(stderr=True)
        columns = (*Progress.get_default_columns(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("", total=total)
            yield lambda done: bar.update(task, completed=done)
        return

    began = last = time.monotonic()

    def tell(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PAUSE:
            last, taken = now, now - began
            left = f", about {taken / done * (total - done):.0f} s to go" if done else ""
            say(f"{what}: {done} of {total} after {taken:.0f} s{left}")

    yield tell


def command() -> str:
    """Say how the user calls this program: by its name where a shell finds it, else by the path
    that was used.
    """
    return "evolve" if shutil.which("evolve") or not sys.argv[0].endswith("evolve") else sys.argv[0]


def print_status(found: dict[str, Any]) -> None:
    """Print the facts that `evolve.record.status.status` found."""
    print(f"{found['run']}: {found['state']}")
    if not found["candidates"]:
        print("no candidate yet")
        return
    print(f"{found['candidates']:,} candidates in {found['seconds']:.0f} s of search")
    for count, what, ends in tally_parts(found):
        print(f"  {count:,} {what}")
        for n, how in ends:
            print(f"    {n:,} {how}")
    best = found["best"]
    if best and best["confirmed"]:
        print(
            f"best: candidate {best['candidate']}, {best['score']:+.4f} ({best['low']:+.4f} to "
            f"{best['high']:+.4f}) on fresh seeds, test part"
        )
    elif best:
        print(
            f"best so far: candidate {best['candidate']}, {best['score']:+.4f} on the selection "
            f"seeds"
        )
    print(f"hash chain: {found['hash_chain']}")
    if not found["repeatable"]:
        print("committed in the order of arrival: the run can be resumed, not repeated")
    if found["state"] == STOPPED:
        print(f"go on with:  {command()} resume {shlex.quote(found['run'])}")
