"""Opinions of torch, read from golden files: torch itself is too large for everybody's tests.

A file of `tests/golden/torch` holds the parameters after some of the hundred steps, in float64. It
also says for which hyperparameters and for which gradients, so that a file of other ones is
noticed.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
from opinions.harness import SHAPES, TREE, Opinion, Walk, sequence, state

import baselines
from primitives.program import Program

FOLDER = Path(__file__).parent.parent / "golden" / "torch"
AGAIN = "python tests/golden/make_torch.py"


def digest() -> str:
    """SHA-256 of start, gradients and schedule, in float32: the last bits of a float64 differ
    between machines.
    """
    start, grads = sequence(np.float32)
    leaves = [tree[name] for tree in (start, *grads) for name in sorted(TREE)]
    return hashlib.sha256(
        b"".join(x.astype("<f4").tobytes() for x in (*leaves, SHAPES))
    ).hexdigest()


def read(name: str) -> dict[str, Any]:
    """The golden file of a program."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def trees(golden: dict[str, Any]) -> Walk:
    """The parameters of a golden file, by step and leaf."""
    return {
        int(t): {leaf: np.reshape(numbers, TREE[leaf]) for leaf, numbers in tree.items()}
        for t, tree in golden["parameters"].items()
    }


def walk(program: Program, dtype: Any) -> Walk:
    """Torch's walk.

    The same for both dtypes: rounding the gradients to float32 moves it by less than the bar.
    """
    golden = read(program.name)
    file = f"{program.name}.json is stale"
    assert golden["sequence"] == digest(), (
        f"{file}: it was made with other gradients. Make it again with: {AGAIN}"
    )
    assert golden["values"] == program.values, (
        f"{file}: it was made with {golden['values']}, {program.name} has {program.values}. Make "
        f"it again with: {AGAIN}"
    )
    return trees(golden)


# A file may come before its program.
for path in sorted(FOLDER.glob("*.json")):
    if path.stem in baselines.names():
        state(Opinion(path.stem, read(path.stem)["optimizer"], walk))
