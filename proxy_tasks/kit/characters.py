"""How text becomes numbers: a symbol for each common character, and windows of symbols."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from proxy_tasks.kit.parts import frozen, split_blocks, take_rows


def in_symbols(text: str, alphabet: int, block: int) -> dict[str, Int[np.ndarray, " _"]]:
    """Return the parts of a text as symbols: 0 is the commonest character of the train part.

    The last symbol of the alphabet stands for any character that is not common enough for its own.
    block: characters that stay together, see `split_blocks`.
    """
    points = np.frombuffer(text.encode("utf-32-le"), "<u4")
    parts = split_blocks(len(points), block)
    seen, counts = np.unique(points[parts["train"]], return_counts=True)
    common = seen[np.lexsort((seen, -counts))][: alphabet - 1]  # of equals the smaller one first

    order = np.argsort(common)
    place = np.minimum(np.searchsorted(common[order], points), len(common) - 1)
    known = common[order][place] == points
    coded = np.where(known, order[place], alphabet - 1)
    return {part: frozen(coded[positions], np.int32) for part, positions in parts.items()}


def windows(
    part: Int[Array, " part"], starts: Int[Array, " window"], length: int
) -> Int[Array, "window length"]:
    """Cut out that many symbols from each start on."""
    shape = (starts.shape[0], length)
    ahead = jnp.arange(length, dtype=jnp.int32)
    return take_rows(
        part, jnp.broadcast_to(starts[:, None], shape) + jnp.broadcast_to(ahead, shape)
    )
