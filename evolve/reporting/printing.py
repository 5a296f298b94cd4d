"""The gate for all that is printed: what a stranger wrote steers no terminal.

Commands and reports print through here, and nowhere else; a test keeps it so.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TextIO

import click

from primitives.errors import plain

if TYPE_CHECKING:
    from rich.table import Table

UNBOUNDED = 10_000  # columns where the output is no terminal: nothing is folded or left out


def tell(text: object = "", nl: bool = True) -> None:
    """Print a result, as text."""
    click.echo(plain(str(text)), nl=nl)


def say(message: str) -> None:
    """Write a line about the progress of things, whether or not somebody hears it.

    Results go to standard output.
    """
    with contextlib.suppress(OSError):  # the terminal was closed, or the disk of a log is full
        click.echo(plain(message), err=True)


def facts(content: Any) -> None:
    """Print facts for machines."""
    click.echo(json.dumps(content, indent=1))


def lay_out(
    parts: Iterable[Table | str], file: TextIO | None = None, width: int | None = None
) -> None:
    """Print tables and texts that are plain; without a file, to standard output.

    width: in columns; None for that of a terminal, and for none at all elsewhere.

    A terminal folds its tables; the lines of texts stay whole, for they may hold commands to copy.
    """
    from rich.console import Console  # `--help` needs none

    out = file or sys.stdout
    if width is None and not (file is None and out.isatty()):
        width = UNBOUNDED
    console = Console(file=out, width=width, highlight=False, markup=False, emoji=False)
    for part in filter(None, parts):
        console.print(part, soft_wrap=isinstance(part, str))


@contextlib.contextmanager
def bar(total: int) -> Generator[Callable[[int], object]]:
    """Show on a terminal how many of `total` are done, of which the context is told; then clear."""
    from rich.console import Console
    from rich.progress import Progress, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (*Progress.get_default_columns(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task("", total=total)
        yield lambda done: shown.update(task, completed=done)
