"""A dictionary from keys of 16 bytes to numbers that holds millions of entries.

An entry takes 24 bytes here; a dictionary of Python takes 180.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

KEY = np.dtype("S16")

# New entries are kept in a dictionary until there are so many, or one in SHARE of all entries, if
# that is more. So an entry is moved SHARE times at most each time their number doubles.
RECENT = 8192
SHARE = 16


class Index:
    """A dictionary of numbers whose older entries are two arrays, sorted by key.

    Keys that are set have 16 bytes: numpy pads shorter ones with zeros.
    """

    def __init__(self) -> None:
        self.recent: dict[bytes, int] = {}
        self.most = RECENT
        self.keys = np.empty(0, KEY)
        self.numbers = np.empty(0, np.int64)

    def get(self, key: bytes) -> int | None:
        """Return the number of a key, None where it has none."""
        number = self.recent.get(key)
        if number is None:
            at = int(self.keys.searchsorted(key))
            # A single element of the array would come without the zeros at its end.
            if at < len(self.keys) and self.keys[at : at + 1].tobytes() == key:
                number = int(self.numbers[at])
        return number

    def __setitem__(self, key: bytes, number: int) -> None:
        self.recent[key] = number
        if len(self.recent) > self.most:
            self.settle()

    def update(self, numbers: Mapping[bytes, int]) -> None:
        """Set many entries at once."""
        self.recent.update(numbers)
        if len(self.recent) > self.most:
            self.settle()

    def __eq__(self, other: object) -> bool:
        """Tell whether the entries are the same, wherever they lie."""
        if not isinstance(other, Index):
            return NotImplemented
        self.settle()
        other.settle()
        return np.array_equal(self.keys, other.keys) and np.array_equal(self.numbers, other.numbers)

    def settle(self) -> None:
        """Move the recent entries into the arrays."""
        keys = np.frombuffer(b"".join(self.recent), KEY)
        order = keys.argsort()
        keys, numbers = keys[order], np.fromiter(self.recent.values(), np.int64, len(keys))[order]

        at = self.keys.searchsorted(keys)
        there = np.zeros(len(keys), bool)  # those whose key is in the arrays already
        inside = at < len(self.keys)
        there[inside] = self.keys[at[inside]] == keys[inside]

        self.numbers[at[there]] = numbers[there]
        self.keys = np.insert(self.keys, at[~there], keys[~there])
        self.numbers = np.insert(self.numbers, at[~there], numbers[~there])
        self.recent, self.most = {}, max(RECENT, len(self.keys) // SHARE)
