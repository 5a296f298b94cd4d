"""What a program costs that the machine cannot hold: call by call, against one `jax.jit` for its
training loop.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator

import jax
from measure import Figure, ratio, seconds
from mutants import mutants
from searching import by_one_jit
from training import SEED

import baselines
from evolve.scoring.trial import Trials
from evolve.search.mutation import Space
from primitives.canonical.liveness import prune
from proxy_tasks import make_task

FAMILIES = ("lion", "arithmetic", "reduction", "matrix")  # of the preset `matrices`

# ancestor, task -> steps, bar. The mutants of AdamW would fit the machine, and are kept from it.
CASES = {
    ("adamw", "digits_dense"): (500, 8.0),
    ("muon", "digits_dense"): (500, None),
    ("muon", "char_transformer"): (20, None),
}


def call_by_call(
    ancestor: str,
    kind: str,
    steps: int,
    bar: float | None,
    turns: int,
    size: int = 32,
    by_jit: int = 4,
) -> Iterator[Figure]:
    """Batches of fresh programs call by call, in turns with some of each that are compiled whole.

    The first batch meets most of the primitives for the first time, and compiles them; it is a
    figure of its own.
    """
    trials = Trials(make_task(kind, steps=steps))
    begin = jax.block_until_ready(trials.begin(SEED))
    programs = map(prune, mutants(baselines.get(ancestor), 5, Space(FAMILIES, 64)))
    calls, jits = [], []
    for _ in range(1 + turns):
        batch = list(itertools.islice(programs, size))

        def all_calls(batch=batch) -> None:
            for program in batch:
                ((final, _),) = trials.stepwise(program).segments(
                    program, begin, trials.schedule, [steps]
                )
                float(trials.evaluate(final, begin.data, part="validation"))

        calls.append(seconds(all_calls) / size)
        jits.append(
            statistics.mean(seconds(lambda p=p: by_one_jit(trials, p)) for p in batch[:by_jit])
        )
    where = f"{kind}, children of {ancestor}"
    yield Figure(f"{where}: one jax.jit each", 1e3 * statistics.median(jits), "ms")
    yield Figure(f"{where}: call by call", 1e3 * statistics.median(calls[1:]), "ms")
    yield Figure(f"{where}: one jax.jit each / call by call", ratio(jits[1:], calls[1:]), bar=bar)
    yield Figure(f"{where}: the same in the first {size} programs of a process", jits[0] / calls[0])
