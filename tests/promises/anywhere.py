"""Promise 2, same result anywhere: one hash chain, whoever scores.

Half of the candidates descend from Adam and run on the machine, the others from AdaHessian, whose
Hessian products it does not have: they run call by call. Both find each other in one population, so
one wrong bit changes all that follows.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import yaml
from kit.compiling import as_in_production
from promises import nodes

from evolve.config.presets import load_config
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.record.rows import Row
from evolve.running.facts import Plan
from evolve.running.life import execute

CONFIG = {
    "name": "anywhere",
    "suite": [{"kind": "noisy_quadratic", "dim": 32, "steps": 60}],
    "search": {
        "initial": ["adamw", "adahessian"],
        "families": ["lion", "oracle"],
        "population": 20,
        "tournament": 2,  # or the worse family would soon be gone
        "phase": 75,
        "repeats": 1000,  # all phases begin with both
    },
    "budget": {"candidates": 150},
    "scoring": {"seeds": 2, "select_seeds": 2, "hall_of_fame": 4},
    "confirm": {"seeds": 2, "finalists": 1, "baselines": ["adamw"]},
}


def ran(
    place: Path, candidates: int, stop: Callable[[], bool] = lambda: False, **workers: object
) -> RunFolder:
    """A run from its beginning to its end, in a new folder below `place`."""
    place.mkdir(parents=True, exist_ok=True)
    path = place / "config.yaml"
    path.write_text(
        yaml.safe_dump(CONFIG | {"budget": {"candidates": candidates}, "workers": workers})
    )
    plan = Plan.of(load_config(str(path)))
    folder = RunFolder.create(place, plan.config, plan.config.model_dump(mode="json"), plan.inputs)
    execute(folder, plan, stop=stop)
    return folder


def rows(folder: RunFolder) -> list[Row]:
    """All rows of a run, the chain checked."""
    journal = Journal(folder.journal, read_only=True)
    try:
        return list(journal.rows())
    finally:
        journal.close()


def keep(place: Path, long: bool) -> dict[str, object]:
    """One chain on inline, 1, 2 and 4 local workers, 1 and 3 Ray actors, one and two Ray nodes;
    short: on some.
    """
    candidates = 1000 if long else 60
    with as_in_production():
        folders = {"inline": ran(place / "inline", candidates, kind="inline")}
    for count in (1, 2, 4) if long else (2,):
        folders[f"{count} local"] = ran(
            place / f"local-{count}", candidates, kind="local", count=count
        )
    with nodes.cluster() as cluster:
        nodes.node(cluster, cpus=1)
        for count in (1, 3) if long else ():  # three share the one core that the node says it has
            ray = {"kind": "ray", "count": count, "cpus": 0.25}
            folders[f"{count} actors"] = ran(place / f"ray-{count}", candidates, **ray)
        nodes.node(cluster, cpus=1)  # two that want a core each are on a node each
        folders["2 nodes"] = ran(place / "nodes", candidates, kind="ray", count=2)
    first = rows(folders["inline"])
    assert len(first) == candidates
    for kind, folder in folders.items():
        for ours, theirs in zip(rows(folder), first, strict=True):
            assert ours.chain == theirs.chain, (
                f"{kind}: {ours.decided()}\ninline: {theirs.decided()}"
            )
    asked = [row for row in first if row.outcome is not None]
    by_calls = [row for row in asked if "hvp" in row.program]
    assert min(len(by_calls), len(asked) - len(by_calls)) >= len(asked) // 20, (
        "both readings take part"
    )
    return {
        "kinds of workers": len(folders),
        "chains": 1,
        "candidates each": candidates,
        "scored by the machine": len(asked) - len(by_calls),
        "scored call by call": len(by_calls),
    }
