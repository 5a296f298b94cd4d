"""A run's folder: what lies where, and how it begins.

runs/<name>-<UTC time>-<id>/
    config.yaml            as it was given          journal.sqlite   every candidate, hash-chained
    config.resolved.yaml   with every default       hall_of_fame.json
    meta.json              versions, machine        summary.json     the confirmation
    best/program.py        the best program         best/optax.py    the same for Optax
    logs/workers.log       what workers print       run.lock         keeps a second driver out
"""

from __future__ import annotations

import contextlib
import json
import platform
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import evolve
from evolve.config.schema import MAX_BYTES, Config, ConfigError, read_yaml, validated, write_yaml
from evolve.files import read_json, replace_file
from evolve.record.journal import FORMAT
from evolve.record.untrusted import strange
from primitives.files import read_file

FOLDERS = ("best", "logs")


class NotARun(ConfigError):
    """A folder that is no run."""


@dataclass(frozen=True)
class RunFolder:
    """Where everything about a run lies."""

    path: Path

    @classmethod
    def create(
        cls, root: Path, config: Config, given: dict[str, Any], inputs: dict[str, Any]
    ) -> RunFolder:
        """A new folder; nothing is ever overwritten.

        `inputs` is what a run depends on beside its config: the programs it starts from, as text,
        and the tuned values of its baselines. They are kept, so that a file that changes later
        changes no run.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = root / f"{config.name}-{stamp}-{secrets.token_hex(2)}"
        try:
            path.mkdir(parents=True, exist_ok=False, mode=0o755)
            folder = cls(path)
            for part in ("best", "logs"):
                (path / part).mkdir()
            folder.write("config.yaml", write_yaml(given))
            folder.write("config.resolved.yaml", write_yaml(config.model_dump(mode="json")))
            folder.write(
                "meta.json", json.dumps(_meta(config) | {"inputs": inputs}, indent=1) + "\n"
            )
        except OSError as fault:
            raise ConfigError(
                f"{path}: cannot be written: {fault.strerror}. Choose another folder with --output."
            ) from None
        return folder

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        folder = cls(Path(path))
        if not folder.path.is_dir():
            raise NotARun(
                f"{path}: there is no such folder. `ls runs` shows the runs of this folder."
            )
        if why := strange(folder.path, FOLDERS):
            raise NotARun(f"{why}. A run is made of plain files; do not trust this one.")
        if not (folder.path / "meta.json").is_file():  # written last
            raise NotARun(
                f"{path}: is no run: it has no meta.json. Give the folder that `evolve run` "
                f"printed."
            )
        return folder

    @property
    def journal(self) -> Path:
        return self.path / "journal.sqlite"

    @property
    def meta(self) -> dict[str, Any]:
        """What was written when the run began. Raises `NotARun`."""
        path = self.path / "meta.json"
        try:
            said = read_json(path)
            inputs = said["inputs"]
            if not (_are_texts(inputs["initial"]) and isinstance(inputs["references"], dict)):
                raise TypeError("inputs")
        except OSError as fault:
            raise NotARun(
                f"{path}: cannot be read: {fault.strerror}. Without it the run cannot go on."
            ) from None
        except (ValueError, TypeError, KeyError) as fault:
            raise NotARun(
                f"{path}: is damaged: {fault}. Without it the run cannot go on."
            ) from None
        return said

    def config(self) -> Config:
        """Raises `ConfigError`."""
        path = self.path / "config.resolved.yaml"
        try:
            text = read_file(path, MAX_BYTES)
        except OSError as fault:
            raise ConfigError(f"{path}: cannot be read: {fault.strerror}.") from None
        return validated(read_yaml(text, str(path)), str(path))

    def write(self, name: str, text: str) -> Path:
        path = self.path / name
        replace_file(path, text)
        return path

    def best(self) -> Path:
        """The best program. Raises `NotARun` where there is none yet."""
        path = self.path / "best" / "program.py"
        if not path.is_file():
            raise NotARun(
                f"{self.path}: has no best program yet. `evolve status {self.path}` says how far "
                f"it is."
            )
        return path


def _are_texts(pairs: Any) -> bool:
    """Whether this is [[name, text], ...]."""
    return isinstance(pairs, list) and all(
        isinstance(p, list) and [type(x) for x in p] == [str, str] for p in pairs
    )


def _meta(config: Config) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "pride": evolve.__version__,
        "commit": _commit(),
        "command": command_line(),
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


def _commit() -> str:
    """The commit of the checkout that this code runs from; empty elsewhere."""
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


def command() -> str:
    """How the user calls this program: its name where a shell finds it, else the path that was
    used.
    """
    return "evolve" if shutil.which("evolve") or not sys.argv[0].endswith("evolve") else sys.argv[0]


def command_line() -> list[str]:
    return ["evolve", *sys.argv[1:]]
