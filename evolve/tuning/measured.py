"""Measured power: a file for each task, `<kind>-<fingerprint>.json`, shipped or of the user's own.

They are found by kind, version and fields, so that nobody has to load data to list tasks.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from evolve.files import make_folder, read_json, replace_file
from evolve.scoring import references
from evolve.scoring.references import file_name
from proxy_tasks import Task

SHIPPED = references.SHIPPED / "power"
LOCAL = references.LOCAL / "power"  # of the folder of now; it counts before what is shipped

Facts = dict[str, Any]


def path_of(folder: Path, task: Task) -> Path:
    """Return where the power of a task lies in a folder."""
    return folder / file_name(task.kind, task.fingerprint)


def stored_power(folder: Path, task: Task) -> Facts | None:
    """Return what a folder says of a task; None where nobody measured it there."""
    path = path_of(folder, task)
    return _facts(path) if path.is_file() else None


def power_of(task: Task) -> Facts | None:
    """Return what the files of here say of a task, without its data; None where nobody measured."""
    for folder in (LOCAL, SHIPPED):
        for path in sorted(folder.glob(f"{task.kind}-*.json")):
            facts = _facts(path)
            if facts and facts["task"] == task.configuration:
                return facts
    return None


def write_power(folder: Path, facts: Facts) -> Path:
    """Write the file of one task; its text is kept stable for version control."""
    make_folder(folder, 0o755)
    path = folder / file_name(facts["task"]["kind"], facts["fingerprint"])
    replace_file(path, json.dumps(facts, indent=1, sort_keys=True) + "\n")
    return path


def _facts(path: Path) -> Facts | None:
    """Read a file; one that is damaged says nothing, and is measured again."""
    with contextlib.suppress(OSError, ValueError):
        facts = read_json(path)
        if isinstance(facts, dict) and isinstance(facts.get("task"), dict):
            return facts
    return None
