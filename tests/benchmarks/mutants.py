"""Programs to measure with: mutants of a known one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from evolve.search.mutation import Space, mutate
from primitives import Program
from primitives.canonical.graph import graph

LION = Space()  # the primitives of Lion's search


def mutants(start: Program, most: int, space: Space = LION, seed: int = 0) -> Iterator[Program]:
    """Programs one to `most` mutations away that read the gradient, no two alike; without end."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    found = set()
    while True:
        program = start
        for _ in range(int(rng.integers(1, most + 1))):
            program = mutate(program, space, rng).program
        values = graph(program)
        key = values.key
        if values.uses("g") and key not in found:
            found.add(key)
            yield program
