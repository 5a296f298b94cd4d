"""Words that error messages share."""

import difflib
from collections.abc import Iterable
from typing import Any


def nearest(name: Any, known: Iterable[str]) -> str:
    """Ask back for the known name nearest to a misspelt one, or say nothing."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def listed(names: Iterable[str]) -> str:
    """Join names as a sentence does: a, b and c."""
    *head, last = names
    return f"{', '.join(head)} and {last}" if head else last
