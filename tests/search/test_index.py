"""An index of keys answers as a dictionary does, wherever an entry lies by now."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evolve.search import index
from evolve.search.index import Index

BYTES = (b"\0", b"\1", b"\xff")
# Few of them, alike for 14 bytes or not, and some with zeros at their end.
KEYS = [14 * first + second + third for first, second, third in itertools.product(BYTES, repeat=3)]
NUMBERS = st.dictionaries(st.sampled_from(KEYS), st.integers(0, 2**40))


@given(st.lists(st.tuples(st.booleans(), NUMBERS)), st.integers(0, 8))
def test_an_index_answers_as_a_dictionary_does(changes, recent):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "RECENT", recent)
        found, expected = Index(), {}
        for together, numbers in changes:
            expected.update(numbers)
            if together:
                found.update(numbers)
            else:
                for key, number in numbers.items():
                    found[key] = number
            assert [found.get(key) for key in KEYS] == [expected.get(key) for key in KEYS]
            assert found.get(b"") is None
        at_once = Index()
        at_once.update(expected)
        assert found == at_once
        assert len(found.keys) == len(found.numbers) == len(expected)
        at_once[KEYS[0]] = -1
        assert found != at_once


def test_a_hundred_thousand_entries_are_found_and_take_24_bytes_each():
    rng = random.Random(0)
    keys = [rng.randbytes(16) for _ in range(100_000)]
    found = Index()
    for number, key in enumerate(keys):
        found[key] = number
    assert [found.get(key) for key in keys] == list(range(len(keys)))
    assert all(found.get(rng.randbytes(16)) is None for _ in range(1000))
    assert len(found.recent) <= index.RECENT
    assert found.keys.nbytes + found.numbers.nbytes == 24 * (len(keys) - len(found.recent))
