"""How well an early loss tells the last one, task by task: `python tests/benchmarks/foresight.py
[PROGRAMS]`.

Mutants of tuned AdamW are trained in one seed, and their losses against the reference's compared
after an eighth, a quarter and a half of the steps and at the end. What a hurdle would have cost:
the share of the best tenth below it.
"""

from __future__ import annotations

import itertools
import math
import sys

from evolve.environment import pin

pin()

import numpy as np  # noqa: E402
from mutants import mutants  # noqa: E402
from scipy.stats import spearmanr  # noqa: E402

from evolve.scoring.references import reference, tuned  # noqa: E402
from evolve.scoring.trial import Trials  # noqa: E402
from primitives import Program  # noqa: E402
from primitives.canonical.graph import graph  # noqa: E402
from primitives.canonical.probe import probe  # noqa: E402
from proxy_tasks import Task, make_task  # noqa: E402

TASKS = [
    ("digits_dense", {"steps": 60}, 1.0),
    ("digits_dense", {}, 1.0),
    ("noisy_quadratic", {}, 1.0),
    ("diabetes_regression", {}, 1.0),
    ("digits_conv", {}, 1.0),
    ("char_transformer", {"steps": 20}, 1 / 3),
]  # kind, fields, share of the programs
SHARES = (1 / 8, 1 / 4, 1 / 2)
PERCENTILES = (20, 50)
LONGEST = 7  # mutations from tuned AdamW
SEED = "0:foresight:0"


def trained(program: Program) -> bool:
    """Whether a search would train it, on the machine."""
    values = graph(program)
    return not values.unflat() and probe(values).descends


def scores(task: Task, count: int) -> np.ndarray:
    """f64[program, point]: log of the reference's loss over theirs, of those that stay finite to
    the end.
    """
    trials = Trials(task)
    points = sorted({max(1, round(share * task.steps)) for share in SHARES} | {task.steps})
    expected = np.log(list(trials.losses(reference("adamw", task), SEED, points)))
    start = tuned("adamw", task)
    assert start is not None
    programs = itertools.islice(filter(trained, mutants(start, LONGEST)), count)
    rows = [list(trials.losses(program, SEED, points)) for program in programs]
    return np.array([expected - np.log(row) for row in rows if not math.isnan(row[-1])])


def main(count: int = 240) -> None:
    """Print a line for each task and share."""
    for kind, fields, part in TASKS:
        task = make_task(kind, **fields)
        found = scores(task, int(count * part))
        best = found[:, -1] >= np.quantile(found[:, -1], 0.9)
        for k, share in enumerate(SHARES):
            lost = [np.mean(found[best, k] < np.percentile(found[:, k], p)) for p in PERCENTILES]
            said = ", ".join(
                f"{x:.0%} below percentile {p}" for x, p in zip(lost, PERCENTILES, strict=True)
            )
            rho = spearmanr(found[:, k], found[:, -1]).statistic
            print(
                f"{kind}, {task.steps} steps, at {share:g}: rank correlation {rho:.2f}; of the "
                f"best tenth {said}"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
