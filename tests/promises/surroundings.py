"""Promise 10, hostile surroundings: what lies around a run, or in it, neither steers nor harms.

Each attack is a test of the suite, so there is no short form: here they are counted, by what they
attack. One that does not hold breaks the promise and is named.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

TESTS = Path(__file__).parents[1]
ATTACKED = {
    "the machine around": ("workers/test_compiled.py", "workers/test_ray_session.py"),
    "files and folders": ("record/test_others.py", "scoring/test_references.py"),
    "stored facts": ("record/test_stored.py", "record/test_machine.py"),
    "the terminal": ("commands/test_printing.py",),
    "the limits": ("commands/test_bounds.py",),
}
LIMIT = 1800  # seconds


def keep(place: Path, long: bool) -> dict[str, object]:
    """Run all attacks. Returns how many were tried on what, and how many held."""
    assert long, "the suite has each of them as a test of its own"
    tried: dict[str, object] = {}
    held = 0
    for what, files in ATTACKED.items():
        report = place / f"{what.replace(' ', '-')}.xml"
        command = [sys.executable, "-m", "pytest", *(str(TESTS / file) for file in files)]
        done = subprocess.run(
            [*command, f"--junit-xml={report}"],
            cwd=TESTS.parent,
            env=os.environ | {"PYTHONPATH": str(TESTS)},
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        assert done.returncode == 0, done.stdout[-4000:]
        counts = ElementTree.parse(report).getroot()[0].attrib
        tried[f"attacks on {what}"] = int(counts["tests"])
        held += int(counts["tests"]) - int(counts["failures"]) - int(counts["errors"])
    return tried | {"held": held}
