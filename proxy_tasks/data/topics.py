"""The help that Python carries on its own language, as text that tasks share."""

import functools
import gzip
from pathlib import Path

import numpy as np
from jaxtyping import Int

from proxy_tasks.kit.characters import in_symbols

ALPHABET = 64  # symbols: the 63 commonest characters, and one for all others
BLOCK = 2000  # characters; small enough that each part sees every large topic
LICENCE = (
    "pydoc_data.topics of Python 3.11.7 (what `help('for')` shows), each paragraph once, 373,000 "
    "characters, carried here; copyright Python Software Foundation, PSF-2.0"
)


@functools.cache
def topics() -> str:
    r"""Return the text: topics in the order of their names, paragraphs that came before left out.

    It is carried in a file because each Python has its own: 3.11 and 3.13 share a seventh of it,
    and what was scored under one would be another task under the other. So it was made:

        paragraphs = (p for name in sorted(topics)
                      for p in re.split(r"\n{2,}", topics[name].strip("\n")))
        gzip.compress("\n\n".join(dict.fromkeys(paragraphs)).encode(), 9, mtime=0)

    Long passages of one topic are repeated in others. Without the repetitions no paragraph is in
    two parts, but for the few that a cut goes through.
    """
    packed = Path(__file__).with_name("python_topics.txt.gz").read_bytes()
    return gzip.decompress(packed).decode()


@functools.cache
def symbols() -> dict[str, Int[np.ndarray, " _"]]:
    """Return the parts of the text, i32[character]; 0 is the commonest character, 63 any other."""
    return in_symbols(topics(), ALPHABET, BLOCK)
