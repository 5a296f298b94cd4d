"""The choice among the best trials: by our own evaluator, on seeds that no trial has seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from evolve.config.schema import WorkerSettings
from evolve.scoring.job import OK, Job
from evolve.tuning.ranges import FINAL_SEEDS, FINALISTS, tunable
from evolve.tuning.trials import COMPLETE, RUNGS, Plan, Point, TuningFailed, counted
from evolve.tuning.watching import Watching, unwatched
from evolve.workers.executor import make_executor
from evolve.workers.gather import gather
from primitives import parse

PARTS = ("validation", "test")


def choose(
    plan: Plan,
    points: list[Point],
    workers: int,
    stop: Callable[[], bool],
    watching: Watching = unwatched,
) -> dict[str, Any]:
    """Choose between the best trials and the program as it stands. Returns what `tuned.json` says.

    The choice is made on some seeds, and the scores that are stated are on others.

    Raises  `Interrupted` when asked to stop; `TuningFailed` where the best one diverges.
    """
    program = parse(plan.program)
    names = [h.name for h in tunable(program)]
    ranked = sorted((p for p in points if p.status == COMPLETE), key=lambda p: (-p.score, p.number))
    as_it_stands = (None, {name: program.values[name] for name in names})
    finalists = [as_it_stands, *((p.number, p.values) for p in ranked[:FINALISTS])]
    texts = [str(program.with_values(values)) for _, values in finalists]

    select, state = (
        tuple(f"tune:{what}:{k}" for k in range(FINAL_SEEDS)) for what in ("select", "state")
    )
    executor = make_executor(WorkerSettings(count=workers), plan.suite())
    try:
        executor.ready(stop)
        with watching("scoring the best of them on fresh seeds", len(texts)) as done:
            selected = gather(executor, [Job(text, select) for text in texts], stop, done)
        best = max(range(len(texts)), key=lambda n: (selected[n].search_score, -n))
        stated = gather(executor, [Job(texts[best], state, part=part) for part in PARTS], stop)
    finally:
        executor.close()

    if any(outcome.status != OK for outcome in stated):
        raise TuningFailed(
            f"{plan.name} diverges with the best values found. Give it narrower ranges or more "
            f"trials, "
            "and tune into another folder."
        )
    return {
        "program": plan.name,
        "values": finalists[best][1],
        "trial": finalists[best][0],
        "finalists": [
            {
                "trial": number,
                "values": values,
                "score": outcome.search_score if outcome.status == OK else None,
            }
            for (number, values), outcome in zip(finalists, selected, strict=True)
        ],
        **{
            part: [math.fsum(row) / len(row) for row in outcome.scores]
            for part, outcome in zip(PARTS, stated, strict=True)
        },
        "trials": counted(points),
        "method": f"{plan.trials} scrambled Sobol points, {plan.seeds} seeds each, ASHA at "
        f"{RUNGS} ninths of the "
        f"steps; the best {FINALISTS} and the program as it stands again on {FINAL_SEEDS} other "
        f"seeds; the scores "
        f"stated are on {FINAL_SEEDS} more",
        "plan": plan.facts(),
    }
