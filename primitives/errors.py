"""Errors that finish the conversation: where, what, what next."""

from __future__ import annotations


class ProgramError(ValueError):
    """A program that is not one: the place, the offending text, what is wrong, and what to do.

    `str()` of it is ready to be shown to the author of the program.
    """

    def __init__(self, what: str, *, hint: str = "", text: str = "", file: str = "", line: int = 0):
        self.what, self.hint, self.text, self.file, self.line = what, hint, text, file, line
        super().__init__(what)

    def at(self, file: str, line: int, text: str) -> ProgramError:
        """The same error, with its place in a file."""
        return ProgramError(self.what, hint=self.hint, text=text or self.text, file=file, line=line)

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part)
        shown = [f"{place}: {self.what}" if place else self.what]
        if self.text:
            text = self.text if len(self.text) <= 120 else self.text[:117] + "..."
            shown.append(f"    {text}")
        if self.hint:
            shown.append(self.hint)
        return "\n".join(shown)
