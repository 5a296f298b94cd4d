"""References: known optimizers tuned on a task, with equal budgets, by quasi-random search.

The points are a scrambled Sobol sequence over the ranges that the optimizers declare, and half as
many close to the best of them. The best few points are scored again on fresh seeds, because the
best of many noisy scores is a lucky one. Where the optimum lies at an edge of a range, the range is
widened and the search repeated. The result is one file for each task.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evolve.environment import fingerprint
from evolve.files import make_folder, read_json, replace_file
from evolve.scoring.optimizers import Optimizer, known
from evolve.scoring.references import file_name, old_file_name, read_reference
from evolve.scoring.suite import task_fields
from evolve.scoring.trial import Trials
from evolve.tuning.ranges import (
    FINAL_SEEDS,
    FINALISTS,
    around,
    ends,
    is_inside,
    points,
    position_of,
    tunable,
    widened,
)
from evolve.tuning.watching import Watching, unwatched
from primitives import Hyperparameter
from proxy_tasks import Task
from proxy_tasks.task import LEAST_LOSS

WIDENINGS = 4  # of a range, at most


@dataclass(frozen=True)
class Tuned:
    """The best hyperparameters found, and the losses they reach on fresh seeds."""

    values: dict[str, float]
    ranges: dict[str, tuple[float, float]]  # in which they were found
    trials: int
    widened: int  # how often the ranges were
    interior: dict[str, bool]  # whether a value is not at an edge of its range
    validation: list[float]  # losses, by seed
    test: list[float]


def tune_task(
    task: Task,
    names: tuple[str, ...],
    trials: int,
    seeds: int,
    say: Callable[[str], None],
    watching: Watching = unwatched,
) -> dict[str, Any]:
    """Tune each optimizer with the same budget. Returns the content of a reference file.

    `trials` is the points of each, in `seeds` seeds; half as many are tried again close to the
    best. `say` hears of each optimizer that is done; `watching` sees the points of each go by.
    """
    compiled = Trials(task)
    found = {}
    for name in names:
        result = tune(compiled, known(name), trials, seeds, watching)
        found[name] = result.__dict__
        edges = [k for k, inside in result.interior.items() if not inside]
        say(
            f"{task.kind}: {name}: validation loss {np.mean(result.validation):.4f} over "
            f"{len(result.validation)} "
            f"fresh seeds, {result.trials} trials"
            + (f"; at the edge: {', '.join(edges)}" if edges else "")
        )
    return {
        "task": {"kind": task.kind, "fields": task_fields(task)},
        "fingerprint": task.fingerprint,
        "machine": fingerprint(),
        "method": f"scrambled Sobol points over the declared ranges, then half as many over a "
        f"quarter of "
        f"each around the best, {seeds} seeds a point; the best {FINALISTS} "
        f"again on {FINAL_SEEDS} others; the losses stated are on {FINAL_SEEDS} more",
        "optimizers": found,
    }


def tune(
    compiled: Trials,
    program: Optimizer,
    trials: int,
    seeds: int,
    watching: Watching = unwatched,
) -> Tuned:
    """Search, widen where the optimum is at an edge, and search again with the whole budget."""
    ranges = tunable(program)
    often = 0
    while True:
        wider = f", ranges widened {often} times" if often else ""
        what = f"{compiled.task.kind}: tuning {program.name}{wider}"
        with watching(what, trials + trials // 2) as done:
            best = _search(compiled, program, ranges, trials, seeds, done)
        position = {h.name: position_of(h, best[h.name]) for h in ranges}
        interior = {name: is_inside(at) for name, at in position.items()}
        wider = [h if interior[h.name] else widened(h, position[h.name]) for h in ranges]
        if wider == ranges:
            break
        ranges = wider
        if often == WIDENINGS:
            break
        often += 1

    chosen = program.with_values(best)
    fresh = [f"tune:state:{k}" for k in range(FINAL_SEEDS)]
    return Tuned(
        values=best,
        ranges={h.name: ends(h) for h in ranges},
        trials=trials + trials // 2,
        widened=often,
        interior=interior,
        validation=[compiled.loss(chosen, s, "validation") for s in fresh],
        test=[compiled.loss(chosen, s, "test") for s in fresh],
    )


def _search(
    compiled: Trials,
    program: Optimizer,
    ranges: list[Hyperparameter],
    trials: int,
    seeds: int,
    done: Callable[[int], object],
) -> dict[str, float]:
    """Return the best of points over the whole ranges, and half as many close to the best of those.

    The best few are told apart on seeds of their own: the best of many noisy losses is a lucky one.
    `done` is told how many points were tried.
    """
    first = [f"tune:search:{k}" for k in range(seeds)]
    again = [f"tune:select:{k}" for k in range(FINAL_SEEDS)]

    def loss(values: dict[str, float], names: list[str]) -> float:
        return _mean_loss(compiled, program, values, names)

    def tried(number: int, values: dict[str, float]) -> tuple[float, int, dict[str, float]]:
        found = loss(values, first), number, values
        done(number + 1)
        return found

    ranked = sorted(
        (tried(n, v) for n, v in enumerate(points(ranges, trials))), key=lambda r: r[:2]
    )
    best = min((v for _, _, v in ranked[:FINALISTS]), key=lambda v: loss(v, again))

    near = [around(h, best[h.name]) for h in ranges]
    ranked += [tried(trials + n, v) for n, v in enumerate(points(near, trials // 2))]
    ranked.sort(key=lambda r: r[:2])
    return min((v for _, _, v in ranked[:FINALISTS]), key=lambda v: loss(v, again))


def _mean_loss(
    compiled: Trials, program: Optimizer, values: dict[str, float], seeds: list[str]
) -> float:
    """Return the mean of log losses, so that no seed dominates; inf where one diverges."""
    total = 0.0
    for seed in seeds:
        loss = compiled.loss(program.with_values(values), seed)
        if math.isnan(loss):
            return math.inf
        total += math.log(max(loss, LEAST_LOSS))
    return total / len(seeds)


def write_reference(folder: Path, content: dict[str, Any]) -> Path:
    """Write one file per task; its text is kept stable for version control.

    Optimizers that the file has already stay in it. A file under the older name of its kind is
    taken over.
    """
    make_folder(folder, 0o755)
    kind, fingerprint = content["task"]["kind"], content["fingerprint"]
    optimizers = kept(folder, kind, fingerprint) | content["optimizers"]
    path = folder / file_name(kind, fingerprint)
    text = json.dumps(content | {"optimizers": optimizers}, indent=1, sort_keys=True)
    replace_file(path, text + "\n")
    (folder / old_file_name(fingerprint)).unlink(missing_ok=True)
    return path


def kept(folder: Path, kind: str, fingerprint: str) -> dict[str, Any]:
    """Return what a folder's file of a task says of optimizers; empty where there is none.

    Raises `ConfigError` where it is damaged, which is better known before minutes of tuning.
    """
    for name in (file_name(kind, fingerprint), old_file_name(fingerprint)):
        if (path := folder / name).is_file():
            read_reference(path)
            return read_json(path)["optimizers"]
    return {}
