"""Tables: rows of text that a terminal, a notebook and an issue tracker can all show."""

from __future__ import annotations

import html
import io
from dataclasses import dataclass
from typing import TextIO

from rich.table import Table

from evolve.reporting.printing import lay_out
from primitives.errors import plain


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
        self.print(out)
        return out.getvalue().rstrip("\n")

    def print(self, file: TextIO | None = None, width: int | None = None) -> None:
        """Print to a file; without one, to standard output. width: see `lay_out`."""
        table = Table()
        for name in self.columns:
            justify = "right" if name in self.numbers else "left"
            table.add_column(name, justify=justify, overflow="fold")
        for row in self.rows:
            table.add_row(*map(plain, row))
        lay_out([plain(self.title), table, plain(self.caption)], file, width)

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
