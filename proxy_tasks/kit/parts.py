"""How data is cut: into train, validation and test for all, and the train part into batches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

PARTS = ("train", "validation", "test")


def split_rows(rows: int, seed: int) -> dict[str, Int[np.ndarray, " _"]]:
    """Deal the row numbers 0..rows-1 into parts of 60, 20 and 20 %, after one seeded shuffle."""
    order = np.random.default_rng(seed).permutation(rows)
    cuts = [rows * 6 // 10, rows * 8 // 10]
    return dict(zip(PARTS, np.split(order, cuts), strict=True))


def split_blocks(length: int, block: int) -> dict[str, Int[np.ndarray, " _"]]:
    """Deal the positions 0..length-1 into parts by blocks of neighbours; of ten blocks 8, 1 and 1.

        block   0 1 2 3 4 5 6 7 8 9   10 ...
        part    t t t t v t t t t T   t ...

    The order within a part is that of the text.
    """
    number = np.arange(length) // block % 10
    chosen = {
        "train": (number != 4) & (number != 9),
        "validation": number == 4,
        "test": number == 9,
    }
    return {part: np.flatnonzero(chosen[part]) for part in PARTS}


def shuffled_batches(
    key: PRNGKeyArray, steps: int, batch: int, rows: int
) -> Int[Array, "steps batch"]:
    """Draw row numbers epoch by epoch: every row once in random order, then all of them again.

    A batch may span the end of an epoch; no row is left over.

    Domain  Up to some 65,000 rows, where 16 random bits are left for the order.
    """
    epochs = -(-steps * batch // rows)
    # Random high bits, the row number in the low bits, sorted: 4x quicker on a CPU than
    # jax.random.permutation, which sorts pairs and took longer here than training on the batches.
    low = jnp.uint32((1 << rows.bit_length()) - 1)
    tickets = jax.random.bits(key, (epochs, rows), jnp.uint32) & ~low
    tickets = tickets | jnp.broadcast_to(jnp.arange(rows, dtype=jnp.uint32), tickets.shape)
    orders = (jnp.sort(tickets, axis=1) & low).astype(jnp.int32)
    return orders.reshape(-1)[: steps * batch].reshape(steps, batch)


def deal_anew(key: PRNGKeyArray, data: dict[str, PyTree[Array]]) -> dict[str, PyTree[Array]]:
    """Shuffle train and validation rows together, and cut them where they were cut; test stays."""
    train, validation = data["train"], data["validation"]
    rows, kept = (jax.tree.leaves(part)[0].shape[0] for part in (train, validation))
    order = jax.random.permutation(key, rows + kept)
    pool = jax.tree.map(lambda a, b: jnp.concatenate([a, b])[order], train, validation)
    cut = {"train": slice(None, rows), "validation": slice(rows, None)}
    return data | {part: jax.tree.map(lambda a, at=at: a[at], pool) for part, at in cut.items()}


def batch_above(batch: int, rows: int) -> str | None:
    """Say that a batch is larger than the train part, or None."""
    return (
        f"batch must be at most {rows}, the rows of the train part, not {batch}"
        if batch > rows
        else None
    )


def take_rows(part: PyTree[Array], rows: Int[Array, "..."]) -> PyTree[Array]:
    """Select rows of every array of a part.

    Row numbers come from `draws`, so they are always inside.
    """
    return jax.tree.map(lambda array: jnp.take(jnp.asarray(array), rows, axis=0, mode="clip"), part)


def frozen(array: np.ndarray, dtype: type[np.generic]) -> np.ndarray:
    """Copy an array as `dtype` and make it read-only: a task's data is shared by everybody."""
    copy = np.array(array, dtype)
    copy.flags.writeable = False
    return copy


@functools.cache
def fixed_noise(seed: int, *shape: int) -> Float[np.ndarray, "..."]:
    """Draw N(0, 1) that is the same always: what every evaluation of a task shares."""
    return frozen(np.random.default_rng(seed).standard_normal(shape), np.float32)
