"""What all pictures share: they look alike everywhere, and names in them are only names.

The same numbers give the same bytes: no date is written, identifiers in an SVG are not random, and
a user's own settings of matplotlib are left aside. Matplotlib is imported when a picture is drawn,
and needs no folder of its own then.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from evolve.files import replace_file
from primitives.errors import plain, printable

WIDTH = 6.5  # inches: the text of a page
FORMATS = {".svg": {"Date": None}, ".png": {}, ".pdf": {"CreationDate": None}}
"""How a file's name may end, and what is left out of its metadata."""

STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a name with $ is a name
    "svg.hashsalt": "pride",
    "pdf.fonttype": 42,  # journals want fonts that can be edited
    "savefig.dpi": 200,
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": 8.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
}

BETTER, WORSE, UNDECIDED = "#0072B2", "#D55E00", "#8A8A8A"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's: people who do not see all colours tell them apart."""
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))


@contextlib.contextmanager
def picture(path: Path | str, width: float, height: float) -> Iterator[Any]:
    """Give a figure of so many inches, and write it to a file at the end.

    Raises  `ValueError` where the file's name says no format; `OSError`.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        known = ", ".join(FORMATS)
        raise ValueError(f"a picture's name ends in one of {known}: {printable(path.name, 100)}")
    with _quiet():
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            for name, value in STYLE.items():
                matplotlib.rcParams[name] = value
            figure = Figure(figsize=(width, height), layout="constrained")
            FigureCanvasAgg(figure)  # no window, whatever the surroundings
            yield figure

            out, suffix = io.BytesIO(), path.suffix.lower()
            figure.savefig(out, format=suffix[1:], metadata=FORMATS[suffix])
    replace_file(path, out.getvalue())


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep matplotlib from telling that it found no folder to write its cache into."""
    log = logging.getLogger("matplotlib")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def label(name: str, most: int = 24) -> str:
    """Return a stranger's name as a picture shows it: cut, escaped where the font has nothing."""
    with _quiet():
        from matplotlib.font_manager import findfont, get_font

        glyphs = get_font(findfont("DejaVu Sans")).get_charmap()
    known = (c if ord(c) in glyphs else c.encode("unicode_escape").decode() for c in plain(name))
    return printable("".join(known), most)


def inches(names: Iterable[str]) -> float:
    """Return about how wide the longest of some labels is."""
    return 0.072 * max((len(name) for name in names), default=0)


def look(number: int) -> dict[str, Any]:
    """Return colour and dashes of a line: 28 are different, in grey most are too."""
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[(number + 2 * (number // len(COLOURS))) % len(DASHES)],
    }


def plain_numbers(axis: Any, ticks: Iterable[float] = ()) -> None:
    """Write the numbers of a logarithmic axis as one types them; at `ticks`, where given.

    To be called when all is drawn on it: an axis of less than two decades has 2 and 5 as well.
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    low, high = axis.get_view_interval()
    subs = (1.0,) if high > 100 * low else (1.0, 2.0, 5.0)
    at = list(ticks)
    axis.set_major_locator(FixedLocator(at) if at else LogLocator(subs=subs))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(_typed))


def _typed(value: float, _: int) -> str:
    if 1e-3 <= value < 1e5:
        return f"{value:g}"
    return np.format_float_scientific(value, precision=3, trim="-", exp_digits=1)


def signed(value: float, digits: int) -> str:
    """Write a number with its sign, in print: a true minus, no sign for a rounded 0."""
    said = f"{value:+.{digits}f}"
    return said.replace("-", "−") if float(said) else said[1:]
