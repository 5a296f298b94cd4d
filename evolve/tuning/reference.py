"""References: known optimizers tuned on a task, with equal budgets, by quasi-random search.

The points are a scrambled Sobol sequence over the tuning ranges that the programs
declare, and half as many close to the best of them. The best few points are
scored again on fresh seeds, because the best of many noisy scores is a lucky
one. Where the optimum lies at an edge of a range, the range is widened and the
search repeated. The result is one file per task, named by its fingerprint.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import qmc

from evolve.environment import fingerprint
from evolve.files import replace_file
from evolve.scoring.optimizers import Optimizer, known
from evolve.scoring.references import file_name, old_file_name
from evolve.scoring.trial import Trials
from primitives import Hyperparameter
from proxy_tasks import Task

FINALISTS = 12  # points scored again
FINAL_SEEDS = 8
EDGE = 0.04  # an optimum this close to the end of a range (as a share of it) is at its edge
WIDENINGS = 4


@dataclass(frozen=True)
class Tuned:
    """The best hyperparameters found, and the losses they reach on fresh seeds."""

    values: dict[str, float]
    ranges: dict[str, tuple[float, float]]
    trials: int
    widened: int
    interior: dict[str, bool]
    validation: list[float]
    test: list[float]


def tune_task(
    task: Task, names: tuple[str, ...], trials: int, seeds: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Tune each optimizer with the same budget; the content of a reference file."""
    compiled = Trials(task)
    found = {}
    for name in names:
        result = tune(compiled, known(name), trials, seeds)
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


def task_fields(task: Task) -> dict[str, Any]:
    return {field.name: getattr(task, field.name) for field in fields(task)}  # type: ignore[arg-type]


def tune(compiled: Trials, program: Optimizer, trials: int, seeds: int) -> Tuned:
    """Search, widen where the optimum is at an edge, and search again with the whole budget."""
    tunable = [h for h in program.hyperparameters if h.low is not None]
    for widened in range(WIDENINGS + 1):  # noqa: B007  (how often it was widened is part of the result)
        best = _search(compiled, program, tunable, trials, seeds)
        position = {h.name: _position(h, best[h.name]) for h in tunable}
        interior = {name: EDGE < p < 1 - EDGE for name, p in position.items()}
        wider = [h if interior[h.name] else _widen(h, position[h.name]) for h in tunable]
        if wider == tunable:
            break
        tunable = wider
    chosen = program.with_values(best)
    fresh = [f"tune:state:{k}" for k in range(FINAL_SEEDS)]
    return Tuned(
        values=best,
        ranges={h.name: (h.low, h.high) for h in tunable},
        trials=trials + trials // 2,
        widened=widened,
        interior=interior,
        validation=[compiled.loss(chosen, s, "validation") for s in fresh],
        test=[compiled.loss(chosen, s, "test") for s in fresh],
    )


def _search(
    compiled: Trials, program: Optimizer, tunable: list[Hyperparameter], trials: int, seeds: int
) -> dict[str, float]:
    """The best of points over the whole range, and half as many close to the best of those."""
    first = [f"tune:search:{k}" for k in range(seeds)]
    again = [f"tune:select:{k}" for k in range(FINAL_SEEDS)]

    def loss(values: dict[str, float], names: list[str]) -> float:
        return _mean_loss(compiled, program, values, names)

    ranked = sorted(
        ((loss(v, first), n, v) for n, v in enumerate(points(tunable, trials))), key=lambda r: r[:2]
    )
    best = min((v for _, _, v in ranked[:FINALISTS]), key=lambda v: loss(v, again))
    near = [_zoom(h, best[h.name]) for h in tunable]
    ranked += [(loss(v, first), trials + n, v) for n, v in enumerate(points(near, trials // 2))]
    ranked.sort(key=lambda r: r[:2])
    return min((v for _, _, v in ranked[:FINALISTS]), key=lambda v: loss(v, again))


def points(tunable: list[Hyperparameter], count: int) -> list[dict[str, float]]:
    """A scrambled Sobol sequence over the ranges."""
    sobol = qmc.Sobol(len(tunable), scramble=True, rng=np.random.default_rng(20230213))
    points = sobol.random(2 ** math.ceil(math.log2(count)))[:count]
    return [{h.name: _value(h, p) for h, p in zip(tunable, point, strict=True)} for point in points]


def _zoom(h: Hyperparameter, value: float) -> Hyperparameter:
    """A quarter of the range around a value, cut where the range ends."""
    at = _position(h, value)
    return replace(h, low=_at(h, max(0.0, at - 0.125)), high=_at(h, min(1.0, at + 0.125)))


def _mean_loss(
    compiled: Trials, program: Optimizer, values: dict[str, float], seeds: list[str]
) -> float:
    """Mean of log losses, so that no seed dominates; inf where one diverges."""
    total = 0.0
    for seed in seeds:
        loss = compiled.loss(program.with_values(values), seed)
        if math.isnan(loss):
            return math.inf
        total += math.log(max(loss, 1e-30))
    return total / len(seeds)


def _at(h: Hyperparameter, position: float) -> float:
    """The value at a position in [0, 1] of a range."""
    low, high = _transformed(h, h.low), _transformed(h, h.high)
    at = low + position * (high - low)
    return math.exp(at) if h.scale == "log" else 1 - math.exp(at) if h.scale == "log1m" else at


def _value(h: Hyperparameter, position: float) -> float:
    """The value at a position, rounded to four digits: nobody needs more."""
    value = _at(h, position)
    digits = 4 if h.scale != "log1m" else 4 + max(0, math.ceil(-math.log10(1 - value)) - 1)
    return float(f"{value:.{digits}g}")


def _position(h: Hyperparameter, value: float) -> float:
    low, high = _transformed(h, h.low), _transformed(h, h.high)
    return (_transformed(h, value) - low) / (high - low)


def _transformed(h: Hyperparameter, value: float | None) -> float:
    assert value is not None
    return (
        math.log(value)
        if h.scale == "log"
        else math.log(1 - value)
        if h.scale == "log1m"
        else value
    )


def _widen(h: Hyperparameter, position: float) -> Hyperparameter:
    """The range a factor of ten longer at the end where the optimum lies; a decay stays within [0,
    1).
    """
    assert h.low is not None
    assert h.high is not None
    if h.scale == "log1m":
        return (
            replace(h, low=max(0.0, 1 - 10 * (1 - h.low)))
            if position < 0.5
            else replace(h, high=1 - (1 - h.high) / 10)
        )
    if h.scale == "log":
        return replace(h, low=h.low / 10) if position < 0.5 else replace(h, high=h.high * 10)
    length = h.high - h.low
    return replace(h, low=h.low - length) if position < 0.5 else replace(h, high=h.high + length)


def write_reference(folder: Path, content: dict[str, Any]) -> Path:
    """Write one file per task; its text is kept stable for version control.

    Optimizers that the file has already stay in it. A file under the older name of its kind is
    taken over.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file_name(content["task"]["kind"], content["fingerprint"])
    older = folder / old_file_name(content["fingerprint"])
    there = path if path.is_file() else older
    if there.is_file():
        content = content | {
            "optimizers": json.loads(there.read_text())["optimizers"] | content["optimizers"]
        }
    replace_file(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
    older.unlink(missing_ok=True)
    return path
