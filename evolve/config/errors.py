"""The error of a configuration: one sentence that says what is wrong, where, and what to do."""

from __future__ import annotations

from primitives.errors import printable

MAX_MESSAGE = 2000  # characters


class ConfigError(ValueError):
    """A configuration that cannot be used: what, where, what to do. Ready to be shown."""

    def __str__(self) -> str:
        return printable(super().__str__(), MAX_MESSAGE)
