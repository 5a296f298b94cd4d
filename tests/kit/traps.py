"""Files that must not be executed where commands are given, and say so when they are."""

from __future__ import annotations

from pathlib import Path

IMPORTED = ("numpy", "pydantic", "evolve", "jax", "primitives", "json")
"""Names of what the driver or its workers import."""


def leave_traps(place: Path) -> None:
    """Write a module of each name; one that is executed leaves `executed-NAME` beside it."""
    for name in IMPORTED:
        mark = place / f"executed-{name}"
        (place / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
