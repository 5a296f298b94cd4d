"""Plug-ins: the tasks, primitives, mutations and optimizers that a user brings.

A plug-in is one Python file, or a module that an installed package announces under the entry point
`pride.plugins`. It is executed, so none is before the user has named it: with `--plugin`, in a
config of their own, or by trusting a run folder that names it. What is loaded stays loaded, as what
a process has imported does.

Its text travels: into the run's folder, so that a run can be resumed without the file, and to every
worker, wherever that is. Its hash is part of what decides a run.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from primitives.errors import did_you_mean, printable
from primitives.files import read_file
from primitives.modules import import_text
from primitives.registry import PRIMITIVES, forget

GROUP = "pride.plugins"
MAX_BYTES = 256 * 1024
SHOWN = 12  # digits of a hash that people see


class PluginError(ValueError):
    """A plug-in that cannot be used: which one, why, what to do. Ready to be shown."""

    def __str__(self) -> str:
        return printable(super().__str__(), 2000)


class NotTrusted(PluginError):
    """A plug-in that a run folder names, and that the user has not."""


@dataclass(frozen=True)
class Plugin:
    """A plug-in as it travels: the name of its file, its text, and the hash of that.

    entry: the module of an entry point, which an installed package brings; empty for a file.
    """

    name: str
    source: str
    sha256: str
    entry: str = ""

    @property
    def module(self) -> str:
        """The name under which it is imported; whatever it brings says this of itself."""
        return self.entry or f"pride_plugin_{Path(self.name).stem}"

    def __str__(self) -> str:
        return f"{self.name} (sha256 {self.sha256[:SHOWN]}...)"


TABLES: list[dict[str, Any]] = []
"""Where plug-ins enter what they bring, by name, beside primitives and tasks.

Rooms above add theirs.
"""

_loaded: dict[str, Plugin] = {}  # by hash, in the order in which they were loaded


def loaded() -> tuple[Plugin, ...]:
    """Return the plug-ins of this process, in the order in which they were loaded."""
    return tuple(_loaded.values())


def installed() -> dict[str, str]:
    """Return the names of the plug-ins that installed packages announce, with their modules."""
    points = importlib.metadata.entry_points(group=GROUP)
    return {point.name: point.value.split(":")[0] for point in points}


def read(name: str | Path, beside: Path | None = None) -> Plugin:
    """Read a plug-in, and execute nothing.

    name: a Python file, or the name of an entry point. beside: the folder that a relative path
    counts from; None for the current one.
    Raises `PluginError`.
    """
    text = str(name)
    if not text.endswith(".py") and os.sep not in text:
        return _from_entry_point(text)
    path = (beside or Path()) / text
    try:
        raw = read_file(path, MAX_BYTES)
    except OSError as fault:
        raise PluginError(f"{path}: cannot be read: {fault.strerror}. Check the path.") from None
    if len(raw) > MAX_BYTES:
        raise PluginError(f"{path}: larger than {MAX_BYTES} bytes; a plug-in is one file of code")
    return _made(path.name, raw, str(path))


def _from_entry_point(name: str) -> Plugin:
    """Find what an installed package announces, without importing it."""
    known = installed()
    if name not in known:
        hint = did_you_mean(name, known) or "A file ends in .py."
        raise PluginError(f"no installed package announces a plug-in called {name!r}. {hint}")
    module = known[name]
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        raise PluginError(f"plug-in {name}: its module {module!r} has no file")
    return _made(name, Path(spec.origin).read_bytes(), name, module)


def _made(name: str, raw: bytes, where: str, entry: str = "") -> Plugin:
    try:
        source = raw.decode("utf-8")
        compile(source, name, "exec", dont_inherit=True)
    except UnicodeDecodeError as fault:
        raise PluginError(f"{where}: not UTF-8 at byte {fault.start}. Save it as UTF-8.") from None
    except SyntaxError as fault:
        raise PluginError(f"{where}:{fault.lineno or 1}: not valid Python: {fault.msg}") from None
    except ValueError as fault:
        raise PluginError(f"{where}: not valid Python: {fault}") from None
    return Plugin(name, source, hashlib.sha256(raw).hexdigest(), entry)


def load(plugins: Iterable[Plugin]) -> None:
    """Execute plug-ins that are not loaded yet. Raises `PluginError` for one that fails.

    The caller has the user's word for it.
    """
    for plugin in plugins:
        if plugin.sha256 in _loaded:
            continue
        if plugin.entry and read(plugin.name).sha256 != plugin.sha256:
            raise PluginError(
                f"plug-in {plugin.name}: the installed package {plugin.entry} has another text "
                "than the one that was named; install that version"
            )
        _refuse_another_text(plugin)
        _execute(plugin)
        _loaded[plugin.sha256] = plugin


def _refuse_another_text(plugin: Plugin) -> None:
    for other in _loaded.values():
        if other.name == plugin.name:
            raise PluginError(
                f"a plug-in called {plugin.name} is loaded already, with another text: "
                "start a new process (in a notebook, restart the kernel)"
            )


def _execute(plugin: Plugin) -> None:
    from proxy_tasks import TASKS  # imports jax

    file = f"pride-plugin-{plugin.sha256[:SHOWN]}/{plugin.name}"
    before = [(table, set(table)) for table in (PRIMITIVES, TASKS, *TABLES)]
    try:
        if plugin.entry:
            importlib.import_module(plugin.entry)
        else:
            import_text(plugin.source, plugin.module, file)
    except Exception as fault:  # of the user's own code
        _take_back(before)
        raise PluginError(f"{plugin.name}{_line(fault, file)}: {_words(fault)}") from fault


def _take_back(before: list[tuple[dict[str, Any], set[str]]]) -> None:
    """Forget what a plug-in brought until it failed, so that it can be mended and loaded again."""
    for table, names in before:
        new = [name for name in table if name not in names]
        if table is PRIMITIVES:
            forget(new)
        else:
            for name in new:
                del table[name]


def _line(fault: Exception, file: str) -> str:
    """Tell in which line of a file something failed."""
    frames = traceback.extract_tb(fault.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == file]
    return f":{lines[-1]}" if lines else ""


def _words(fault: Exception) -> str:
    """Say what failed. Our own errors, and those of definitions, are sentences already."""
    said = str(fault)
    return said if isinstance(fault, ValueError) and said else f"{type(fault).__name__}: {said}"


# --- between processes ----------------------------------------------------------------------------


def to_send() -> list[dict[str, Any]]:
    """Describe what is loaded here, so that a worker can load the same."""
    return [asdict(plugin) for plugin in loaded()]


def load_sources(sources: Sequence[dict[str, Any]]) -> None:
    """Load, in a worker, what the driver has loaded."""
    load(Plugin(**source) for source in sources)


# --- whose plug-ins these are ---------------------------------------------------------------------


def _trusted_file() -> Path | None:
    """Find where the hashes lie that this user has named; None for a user without a home."""
    try:
        home = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    except RuntimeError:
        return None
    return home / "pride" / "trusted-plugins"


def _remembered() -> set[str]:
    """Return the hashes of the plug-ins that this user has named before."""
    path = _trusted_file()
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path else []
    except (OSError, UnicodeDecodeError):
        return set()
    return {line.split(" ")[0] for line in lines}


def trust(plugins: Iterable[Plugin]) -> None:
    """Remember that the user has named these; a run of theirs then goes on without asking."""
    path, before = _trusted_file(), _remembered()
    new = [plugin for plugin in plugins if plugin.sha256 not in before]
    if path is None or not new:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{plugin.sha256} {plugin.name}\n" for plugin in new)
    except OSError:  # a home that cannot be written: the user is asked again
        return


def load_of_run(plugins: Sequence[Plugin], run: Path, trusted: bool = False) -> None:
    """Load the plug-ins that a run folder names.

    Raises `NotTrusted` where the user has named one of them neither now nor before.
    """
    known = _loaded.keys() | _remembered()
    unknown = [plugin for plugin in plugins if plugin.sha256 not in known]
    if unknown and not trusted:
        names = ", ".join(map(str, unknown))
        raise NotTrusted(
            f"{run}: names a plug-in, which is Python code that would be executed: {names}. Read "
            f"it in {run / 'plugins'}; if it is yours, or you trust it, say so with --trust."
        )
    load(plugins)
    if trusted:
        trust(plugins)
