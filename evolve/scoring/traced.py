"""Functions of tasks as they were traced, kept from process to process.

jax keeps what it compiles (`evolve.compiled`), and finds it by the code that a function is traced
and lowered to: that takes two thirds of the time in which a worker starts. Here the lowered code is
kept too, beside it, and is found by all that decides it: software, machine, task, name, shapes.

That holds for tasks of ours in a process of ours: somebody's own class or plug-in may import what
changes without notice, so whatever is not from this package is traced anew.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import itertools
import json
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
from jax import export

import proxy_tasks
from evolve.compiled import ENABLED, FOLDER
from evolve.environment import fingerprint
from evolve.files import make_folder
from evolve.plugins import loaded
from evolve.scoring.loops import Begin, Draws
from primitives.machine.step import Bank
from proxy_tasks import Task

KEPT_BYTES = 1 << 26  # of lowered code, a few hundred functions; the oldest go first
DIGEST = hashlib.sha256().digest_size

log = logging.getLogger(__name__)

for kind in (Bank, Begin, Draws):  # what jax reads and writes beside tuples and dicts
    export.register_namedtuple_serialization(kind, serialized_name=f"pride.{kind.__name__}")

Compile = Callable[..., Callable[..., Any]]
"""(name, function, donated) -> the function, compiled when it is first called.

donated: the numbers of the arguments whose memory it may use.
"""


def at_every_start(name: str, function: Callable[..., Any], donated: tuple[int, ...] = ()) -> Any:
    """Compile a function as jax does, tracing it first."""
    return jax.jit(function, donate_argnums=donated)


def compiler(task: Task) -> Compile:
    """Return what compiles the functions of a task, in a process where all code is ours."""
    folder = os.environ.get(FOLDER, "")
    ours = type(task).__module__.split(".")[0] == proxy_tasks.__name__ and not loaded()
    if not (ours and folder) or "://" in folder or ENABLED in os.environ:
        return at_every_start
    facts = [fingerprint(), installed(), task.fingerprint, task.configuration]

    def compile(name: str, function: Callable[..., Any], donated: tuple[int, ...] = ()) -> Any:
        return Kept(Path(folder, "traced"), [*facts, name], function, donated)

    return compile


@functools.cache  # of all tasks of a worker
def installed() -> list[str]:
    """List all that is installed, with versions: what a task computes may come from any of it."""
    return sorted(f"{found.name} {found.version}" for found in importlib.metadata.distributions())


class Kept:
    """A function that is read if it was traced before, and is traced and written otherwise."""

    def __init__(
        self,
        folder: Path,
        facts: list[Any],
        function: Callable[..., Any],
        donated: tuple[int, ...],
    ):
        """Do nothing yet. facts: all that decides the function, but for the shapes."""
        self.folder, self.facts = folder, facts
        self.function, self.donated = function, donated
        self.compiled: dict[Any, Callable[..., Any]] = {}

    def __call__(self, *args: Any) -> Any:
        """Call it; compiles for shapes that were not there before."""
        leaves, tree = jax.tree.flatten(args)
        shapes = tuple(map(jax.typeof, leaves))
        if shapes not in self.compiled:
            self.compiled[shapes] = self._compile(args, leaves, tree, str(shapes))
        return self.compiled[shapes](*leaves)

    def _compile(self, args: tuple, leaves: list, tree: Any, shapes: str) -> Callable[..., Any]:
        ends = list(itertools.accumulate((len(jax.tree.leaves(arg)) for arg in args), initial=0))
        donated = tuple(at for n in self.donated for at in range(ends[n], ends[n + 1]))

        def on_leaves(*leaves: Any) -> Any:
            return self.function(*tree.unflatten(leaves))

        fresh = jax.jit(on_leaves, donate_argnums=donated)
        key = hashlib.sha256(json.dumps([*self.facts, shapes], sort_keys=True).encode())
        path = self.folder / f"{key.hexdigest()[:32]}.traced"
        traced = read(path)
        if traced is None:
            try:
                traced = export.export(fresh)(*leaves)
                write(path, bytes(traced.serialize()))
            except Exception as why:  # jax keeps most of what it can trace, not all
                log.info("%s is traced at every start: %s", self.facts[-1], why)
                return fresh
        # Compiled from the same text whether it was read or not: it has the same bits.
        return jax.jit(traced.call, donate_argnums=donated).lower(*leaves).compile()


def read(path: Path) -> export.Exported | None:
    """Read a traced function; None where there is none, and where it is damaged."""
    try:
        raw = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    digest, text = raw[:DIGEST], raw[DIGEST:]
    return export.deserialize(bytearray(text)) if hashlib.sha256(text).digest() == digest else None


def write(path: Path, text: bytes) -> None:
    """Write a traced function, and remove the oldest where there are too many.

    Where it cannot be written, it is traced again another time.
    """
    with contextlib.suppress(OSError):
        make_folder(path.parent, 0o700)
        # Two workers may write the same one at the same time.
        number, new = tempfile.mkstemp(dir=path.parent)
        with open(number, "wb") as file:
            file.write(hashlib.sha256(text).digest() + text)
        os.replace(new, path)
        left = KEPT_BYTES
        for _, size, name in sorted(_ages(path.parent), reverse=True):
            left -= size
            if left < 0:
                name.unlink(missing_ok=True)


def _ages(folder: Path) -> Iterator[tuple[int, int, Path]]:
    for path in folder.iterdir():
        found = path.stat()
        yield found.st_mtime_ns, found.st_size, path
