"""What software a run was begun with, and where: facts for people who want to repeat it."""

from __future__ import annotations

import contextlib
import functools
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import evolve
from evolve.config.schema import Config
from evolve.record.journal import FORMAT


def origin(config: Config) -> dict[str, Any]:
    """Return what `meta.json` says first: versions, machine, command, and what decides the run."""
    return {
        "format": FORMAT,
        "pride": evolve.__version__,
        "commit": commit(),
        "command": ["evolve", *sys.argv[1:]],
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {
            name: _version(name)
            for name in ("jax", "jaxlib", "optax", "numpy", "scikit-learn", "scipy")
        },
        "decisive": config.decisive(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


@functools.cache
def commit() -> str:
    """Name the commit of the checkout that this code runs from; empty elsewhere."""
    here = Path(__file__).parents[2]
    if not (here / ".git").exists():
        return ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
        return asked.stdout.strip()
    return ""
