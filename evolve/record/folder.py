"""A run's folder: what lies where, and how it begins.

runs/<name>-<UTC time>-<id>/
    config.yaml            as it was given          journal.sqlite   every candidate, hash-chained
    config.resolved.yaml   with every default       hall_of_fame.json
    meta.json              versions, machine        summary.json     the confirmation
    best/program.py        the best program         best/optax.py    the same for Optax
    plugins/               what the user brought, where they brought something
    logs/workers.log       what workers print       run.lock         keeps a second driver out
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evolve.config.errors import ConfigError
from evolve.config.schema import Config
from evolve.config.validation import validated
from evolve.config.yaml import MAX_BYTES, read_yaml, write_yaml
from evolve.files import make_folder, replace_file
from evolve.plugins import MAX_BYTES as MAX_PLUGIN
from evolve.plugins import Plugin
from evolve.record.origin import origin
from evolve.record.stored import META, Meta, read_stored
from evolve.record.untrusted import strange
from evolve.scoring.references import Values, checked_values
from primitives.errors import printable
from primitives.files import read_file

FOLDERS = ("best", "logs", "plugins")  # of a run, beside its files


class NotARun(ConfigError):
    """A folder that is no run."""


@dataclass(frozen=True)
class RunFolder:
    """Where everything about a run lies: each of its files has its name here, and nowhere else."""

    path: Path

    # What a run begins with, and goes on from.

    @property
    def given_config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def resolved_config(self) -> Path:
        return self.path / "config.resolved.yaml"

    @property
    def meta_file(self) -> Path:
        """Written last of all that a run begins with: a folder that has it is a run."""
        return self.path / "meta.json"

    @property
    def lock(self) -> Path:
        return self.path / "run.lock"

    @property
    def journal(self) -> Path:
        return self.path / "journal.sqlite"

    @property
    def plugin_folder(self) -> Path:
        return self.path / "plugins"

    # What a run leaves for people. All of it can be written again from the journal.

    @property
    def hall_of_fame(self) -> Path:
        return self.path / "hall_of_fame.json"

    @property
    def summary(self) -> Path:
        return self.path / "summary.json"

    @property
    def best_program(self) -> Path:
        return self.path / "best" / "program.py"

    @property
    def best_optax(self) -> Path:
        return self.path / "best" / "optax.py"

    @property
    def workers_log(self) -> Path:
        return self.path / "logs" / "workers.log"

    # How a run begins, and how it is found again.

    @classmethod
    def create(
        cls,
        root: Path,
        config: Config,
        given: dict[str, Any],
        inputs: dict[str, Any],
        plugins: Sequence[Plugin] = (),
    ) -> RunFolder:
        """Make a new folder in `root`; nothing is ever overwritten.

        `inputs` is what a run depends on beside its config: the programs it starts from, as text,
        and the tuned values of its baselines. They and the `plugins` are kept, so that a file that
        changes later changes no run.

        Raises  `ConfigError` where it cannot be written.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = root / f"{config.name}-{stamp}-{secrets.token_hex(2)}"
        folder = cls(path)
        meta = origin(config) | {"inputs": inputs}
        if plugins:
            meta["plugins"] = [
                {"name": p.name, "sha256": p.sha256, "entry": p.entry} for p in plugins
            ]
        try:
            make_folder(root, 0o755)
            path.mkdir(0o755)
            for part in (folder.best_program, folder.workers_log):
                part.parent.mkdir(0o755)
            if plugins:
                folder.plugin_folder.mkdir(0o755)
            for plugin in plugins:
                replace_file(folder.plugin_folder / _file_name(plugin.name), plugin.source)
            replace_file(folder.given_config, write_yaml(given))
            replace_file(folder.resolved_config, write_yaml(config.model_dump(mode="json")))
            replace_file(folder.meta_file, json.dumps(meta, indent=1) + "\n")
        except OSError as fault:
            raise ConfigError(
                f"{path}: cannot be written: {fault.strerror}. Choose another folder with --output."
            ) from None
        return folder

    @classmethod
    def open(cls, path: str | Path) -> RunFolder:
        """Find the run in a folder. Raises `NotARun` where there is none, or a strange one."""
        folder = cls(Path(path))
        if not folder.path.is_dir():
            raise NotARun(
                f"{path}: there is no such folder. `ls runs` shows the runs of this folder."
            )
        if why := strange(folder.path, FOLDERS):
            raise NotARun(f"{why}. A run is made of plain files; do not trust this one.")
        if not folder.meta_file.is_file():
            raise NotARun(
                f"{path}: is no run: it has no meta.json. Give the folder that `evolve run` "
                f"printed."
            )
        return folder

    # What its files say.

    @property
    def meta(self) -> Meta:
        """What was written when the run began. Raises `NotARun`."""
        path = self.meta_file
        try:
            return read_stored(path, META)
        except OSError as fault:
            why = f"cannot be read: {fault.strerror}"
        except ValueError as fault:
            why = f"is damaged: {fault}"
        raise NotARun(f"{path}: {why}. Without it the run cannot go on.")

    def config(self) -> Config:
        """Read the config with every default written out. Raises `ConfigError`."""
        path = self.resolved_config
        try:
            text = read_file(path, MAX_BYTES)
        except OSError as fault:
            raise ConfigError(f"{path}: cannot be read: {fault.strerror}.") from None
        return validated(read_yaml(text, str(path)), str(path))

    def references(self) -> dict[str, Values]:
        """Return the tuned values that the run began with, by the fingerprints of its tasks.

        Raises `NotARun`.
        """
        found = self.meta.inputs.references
        try:
            return {task: checked_values(values) for task, values in found.items()}
        except ValueError as fault:
            raise NotARun(
                f"{self.meta_file}: is damaged: {fault}. Without it the run cannot go on."
            ) from None

    def suite_given(self) -> str:
        """Return what the user called the suite, the name of a preset or a file.

        Empty where the tasks stand in the config. Raises `NotARun`.
        """
        said = self.meta.inputs.suite
        if said is None:  # older runs did not write it down; their config says it
            with contextlib.suppress(OSError, ConfigError):
                text = read_file(self.given_config, MAX_BYTES)
                given = read_yaml(text, str(self.given_config))
                said = given.get("suite") if isinstance(given, dict) else None
        return printable(said, 200) if isinstance(said, str) else ""

    def plugins(self) -> list[Plugin]:
        """Read the plug-ins that the run was begun with. None is executed.

        Raises  `NotARun` where one is missing or is no longer what it was.
        """
        found = []
        for said in self.meta.plugins:
            path = self.plugin_folder / _file_name(said.name)
            try:
                raw = read_file(path, MAX_PLUGIN)
                source = raw.decode()
            except (OSError, UnicodeDecodeError) as fault:
                raise NotARun(
                    f"{path}: cannot be read: {getattr(fault, 'strerror', fault)}. Without it the "
                    f"run cannot go on."
                ) from None
            if hashlib.sha256(raw).hexdigest() != said.sha256:
                raise NotARun(
                    f"{path}: was changed after the run began. Undo that, or start another run."
                )
            found.append(Plugin(said.name, source, said.sha256, said.entry))
        return found

    def best(self) -> Path:
        """Return the file of the best program. Raises `NotARun` where there is none yet."""
        if not self.best_program.is_file():
            raise NotARun(
                f"{self.path}: has no best program yet. `evolve status {self.path}` says how far "
                f"it is."
            )
        return self.best_program


def _file_name(plugin: str) -> str:
    """Name the file of a plug-in, which may have the name of an entry point."""
    return plugin if plugin.endswith(".py") else f"{plugin}.py"
