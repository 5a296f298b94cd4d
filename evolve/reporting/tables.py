"""Tables: rows of text that a terminal, a notebook and an issue tracker can all show."""

from __future__ import annotations

import html
import io
import sys
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

UNBOUNDED = 10_000  # columns where the output is no terminal: no row is folded, nothing is left out


@dataclass(frozen=True)
class Grid:
    """A table: names of columns, and rows of as many texts.

    A terminal that is too narrow folds the longest texts; everywhere else a row is a line.
    numbers: columns that are aligned at their right.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    caption: str = ""
    numbers: frozenset[str] = frozenset()

    def __str__(self) -> str:
        out = io.StringIO()
        self.print(Console(file=out, width=_width(), highlight=False, markup=False, emoji=False))
        return out.getvalue().rstrip("\n")

    def print(self, console: Console | None = None) -> None:
        """Print to a console; without one, to standard output, as wide as a terminal there is."""
        if console is None:
            console = Console(
                file=sys.stdout, width=_width(), highlight=False, markup=False, emoji=False
            )

        table = Table()
        for name in self.columns:
            justify = "right" if name in self.numbers else "left"
            table.add_column(name, justify=justify, overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        # Title and caption may hold commands to copy: a terminal breaks their lines, we do not.
        for part in filter(None, (self.title, table, self.caption)):
            console.print(part, soft_wrap=part is not table)

    def html(self) -> str:
        """Write the table for a notebook."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        title = f"<caption>{html.escape(self.title)}</caption>" if self.title else ""
        note = html.escape(self.caption).replace("\n", "<br>")
        return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" + (
            f"<small>{note}</small>" if note else ""
        )


def preformatted(text: str) -> str:
    """Write a text for a notebook as it stands."""
    return f"<pre>{html.escape(text)}</pre>"


def _width() -> int | None:
    """Return the width of what is printed; None for that of the terminal."""
    return None if sys.stdout.isatty() else UNBOUNDED
