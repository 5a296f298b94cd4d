"""Presets: configurations and suites that have a name, and files of the user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from evolve.config.errors import ConfigError
from evolve.config.schema import Config, TaskSettings
from evolve.config.validation import mapping, overridden, validated, validated_tasks
from evolve.config.yaml import MAX_BYTES, read_yaml
from primitives.errors import did_you_mean
from primitives.files import read_file

SUITES = "suites"  # the sub-folder of those presets that are suites


def presets_folder() -> Path:
    """Find `configs/`: beside the packages in a checkout, inside the package where installed."""
    inside = Path(__file__).parents[1] / "configs"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "configs"


def preset_names(kind: str = "") -> list[str]:
    """List the names of the presets, or of those in a sub-folder such as "suites"."""
    return sorted(path.stem for path in (presets_folder() / kind).glob("*.yaml"))


def load_config(name_or_file: str, overrides: tuple[str, ...] = ()) -> Config:
    """Load a preset or a file, changed by `a.b=c` overrides. Raises `ConfigError`."""
    where, given = read_config(name_or_file)
    return validated(overridden(given, overrides), where)


def read_config(name_or_file: str) -> tuple[str, dict[str, Any]]:
    """Read what a preset or a file says, unchecked, and where it stands. Raises `ConfigError`."""
    where, content = _content_of(name_or_file, "", "preset")
    if _holds_suite(content):
        raise ConfigError(
            f"{where}: is a suite, and a configuration has more to say. Search on it with: evolve "
            f"run quickstart --set suite={where}"
        )
    return where, mapping(content, where)


def is_suite(file: str) -> bool:
    """Tell whether a file holds a suite, and not a configuration. Raises `ConfigError`."""
    _, content = _content_of(file, "", "preset")
    return _holds_suite(content)


def _holds_suite(content: Any) -> bool:
    return isinstance(content, dict) and set(content) == {"tasks"}  # pyright: ignore[reportUnknownArgumentType]


def load_suite(name_or_file: str, of_config: bool = True) -> tuple[str, list[TaskSettings]]:
    """Load the name and the tasks of a suite. Raises `ConfigError`.

    The kind of a task stands for a suite of that task alone, with the defaults of its fields; a
    configuration stands for its suite, unless `of_config` is false.
    """
    from proxy_tasks import TASKS  # imports jax

    if name_or_file in TASKS and name_or_file not in preset_names(SUITES):
        return name_or_file, [TaskSettings(kind=name_or_file)]
    where, content = _content_of(name_or_file, SUITES, "suite")
    if of_config and isinstance(content, dict) and "suite" in content:
        if isinstance(content["suite"], str):
            return load_suite(content["suite"], of_config=False)
        content = {"tasks": content["suite"]}  # pyright: ignore[reportUnknownVariableType]
    return Path(where).stem, validated_tasks(content, where)


def _content_of(name_or_file: str, kind: str, noun: str) -> tuple[str, Any]:
    """Read a preset or a file: where it came from, and the plain data in it."""
    path = presets_folder() / kind / f"{name_or_file}.yaml"
    if Path(name_or_file).is_dir() and not path.is_file():
        raise ConfigError(
            f"{name_or_file}: is a folder; give a {noun} or a file. `evolve resume FOLDER` goes on "
            "with a run."
        )
    if "/" in name_or_file or name_or_file.endswith((".yaml", ".yml")):
        path = Path(name_or_file)
    elif name_or_file not in (known := preset_names(kind)):
        hint = did_you_mean(name_or_file, known)
        hint = hint or f"There are: {', '.join(known)}; a file ends in .yaml."
        raise ConfigError(f"no {noun} is called {name_or_file!r}. {hint}")
    try:
        text = read_file(path, MAX_BYTES)
    except OSError as fault:
        raise ConfigError(f"{path}: cannot be read: {fault.strerror}. Check the path.") from None
    return str(path), read_yaml(text, str(path))
