"""The words of the reference manual that CPython carries, as numbers by frequency."""

import functools
import re
from collections import Counter

import numpy as np
from jaxtyping import Int

from proxy_tasks.kit.parts import frozen, split_blocks

BLOCK = 200  # words; small enough that each part sees every topic
LICENCE = (
    "The topics of the Python reference manual that CPython carries (pydoc_data.topics, 64,000 "
    "words in Python 3.11), PSF-2.0"
)


@functools.cache
def sentences() -> tuple[str, ...]:
    """Return all words in order, in small letters, topics by their names."""
    from pydoc_data.topics import topics  # a module of text, 0.7 MB

    return tuple(re.findall("[a-z]+", " ".join(topics[name] for name in sorted(topics)).lower()))


@functools.cache
def words(vocabulary: int) -> dict[str, Int[np.ndarray, " _"]]:
    """Return the parts of the text as numbers below `vocabulary`: 0 is the commonest word.

    Rarer words are left out, and their neighbours move together, as in word2vec. Parts are blocks
    of 200 words, joined: eight of ten train, one validates, one tests.
    """
    text = np.array(sentences())
    parts = split_blocks(len(text), BLOCK)
    counts = Counter(text[parts["train"]].tolist())
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[:vocabulary]
    number = {word: i for i, word in enumerate(ranked)}
    return {
        part: frozen(
            np.array([number[w] for w in text[positions].tolist() if w in number]), np.int32
        )
        for part, positions in parts.items()
    }
