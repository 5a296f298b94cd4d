"""The words of Python's help on its own language, as numbers by frequency."""

import functools
import re
from collections import Counter

import numpy as np
from jaxtyping import Int

from proxy_tasks.data.topics import topics
from proxy_tasks.kit.parts import frozen, split_blocks

BLOCK = 200  # words; small enough that each part sees every topic


@functools.cache
def words(vocabulary: int) -> dict[str, Int[np.ndarray, " _"]]:
    """Return the parts of the text as numbers below `vocabulary`: 0 is the commonest word.

    Rarer words are left out, and their neighbours move together, as in word2vec. Parts are blocks
    of 200 words, joined: eight of ten train, one validates, one tests.
    """
    text = np.array(re.findall("[a-z]+", topics().lower()))
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
