"""How far a run is, in words for people; and what they type to go on."""

from __future__ import annotations

import shutil
import sys
from typing import Any

from evolve.record.status import STOPPED
from evolve.reporting.printing import tell
from evolve.scoring.job import OK, WORST
from evolve.search.candidate import CACHED, REJECTED


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
    tell(f"  {found['evaluated']:,} scored, {found['cached']:,} known already")
    for reason, count in sorted(found["rejected"].items()):
        tell(f"  {count:,} rejected: {reason}")
    for name, count in sorted(found["statuses"].items()):
        if name not in (OK, CACHED, REJECTED):
            tell(f"  {count:,} {name}")
    best = found["best"]
    if best:
        score = WORST if best["score"] is None else best["score"]
        tell(f"best so far: candidate {best['candidate']}, {score:+.4f} on the selection seeds")
    tell(f"hash chain: {found['hash_chain']}")
    tell(f"  (not verified but for its last link: {command()} verify {found['run']})")
    if not found["repeatable"]:
        tell("committed in the order of arrival: the run can be resumed, not repeated")
    if found["state"] == STOPPED:
        tell(f"go on with:  {command()} resume {found['run']}")
