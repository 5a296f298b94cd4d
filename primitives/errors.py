"""Errors that finish the conversation: where, what, what next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def plain(text: str, kept: str = "\n\t") -> str:
    """Return a text with what steers a terminal escaped; `kept` are characters that stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in kept else c.encode("unicode_escape").decode() for c in text
    )


def printable(text: str, most: int) -> str:
    """Return the words of a stranger as a message may show them.

    What steers a terminal is escaped, and a text of more than `most` characters is cut in the
    middle.
    """
    if len(text) > 2 * most:
        text = text[:most] + text[-most:]
    text = plain(text, kept="")
    return (
        text
        if len(text) <= most
        else f"{text[: most // 2 - 2]}...{text[len(text) - most // 2 + 2 :]}"
    )


class ProgramError(ValueError):
    """A text or a change that makes no program: what is wrong, where, and what to do.

    what: the fault, in one sentence; hint: what to do; text: the offending piece; file, line: its
    place. `str()` of it is ready to be shown to the author of the program.
    """

    def __init__(self, what: str, *, hint: str = "", text: str = "", file: str = "", line: int = 0):
        self.what, self.hint, self.text, self.file, self.line = what, hint, text, file, line
        super().__init__(what)

    def at(self, file: str, line: int, text: str) -> ProgramError:
        """Return the same error with its place in a file."""
        return ProgramError(self.what, hint=self.hint, text=text or self.text, file=file, line=line)

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (printable(self.file, 400), self.line) if part)
        what = printable(self.what, 200)
        shown = [f"{place}: {what}" if place else what]
        if self.text:
            shown.append(f"    {printable(self.text, 120)}")
        if self.hint:
            shown.append(printable(self.hint, 400))
        return "\n".join(shown)


def nearest(word: str, words: Iterable[str]) -> str:
    """Return the closest of `words`, or an empty string where none is close.

    Close is the only word that begins with it, or what a slip of the keys makes of it.
    """
    known = list(words)
    longer = [w for w in known if w.startswith(word)] if len(word) > 2 else []
    if len(longer) == 1:
        return longer[0]
    found = difflib.get_close_matches(word, known, n=1, cutoff=0.65)
    return found[0] if found else ""


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return the question that an error asks back, or an empty string where no word is close."""
    found = nearest(word, words)
    return f"Did you mean {found!r}?" if found else ""
