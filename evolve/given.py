"""What users give, as what the library works with: configs, optimizers, workers, plug-ins.

Whatever takes an optimizer takes a known name, the path of a program file or of a run's folder, a
`Program`, or something that was found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import baselines
from baselines.handwritten import Handwritten
from evolve import plugins as guests
from evolve.comparison.compare import Entrant
from evolve.config.errors import ConfigError
from evolve.config.presets import read_config
from evolve.config.schema import Config, WorkerSettings
from evolve.config.validation import overridden, validated, validated_workers
from evolve.environment import available_cores
from evolve.record.folder import RunFolder
from evolve.record.status import hall_of_fame
from evolve.reporting.study import Found, Study, best_of
from evolve.scoring.fit import check_fit
from evolve.scoring.optax_optimizer import OptaxOptimizer
from evolve.scoring.optimizers import Optimizer, is_known, known
from evolve.scoring.suite import Suite
from evolve.validation import program_in
from primitives import Program, ProgramError, parse

Given = str | Path | Program | Handwritten | OptaxOptimizer | Found | Study
"""What an optimizer may be given as."""


def opened_run(
    folder: str | Path | Study, trust: bool = False, plugins: Sequence[str | Path] = ()
) -> RunFolder:
    """Open a run's folder, with its plug-ins loaded."""
    opened = RunFolder.open(folder.path if isinstance(folder, Study) else folder)
    load_named(plugins)
    guests.load_of_run(opened.plugins(), opened.path, trust)
    return opened


def check_address(run: RunFolder, config: Config, changes: Sequence[str]) -> None:
    """Refuse to connect to a cluster that only a run's folder names: it gets code, and sends some.

    changes: overrides, which are the user's word. Raises `ConfigError`.
    """
    address = config.workers.address
    if address and "address" not in overridden({"workers": {}}, tuple(changes))["workers"]:
        raise ConfigError(
            f"{run.path}: names a Ray cluster, at {address}, which would be connected to. If it is "
            f"yours, or you trust it, say so with --address {address}. "
            "--set 'workers={kind: local}' scores here."
        )


def load_named(names: Iterable[str | Path], beside: Path | None = None) -> list[guests.Plugin]:
    """Load plug-ins that the user has named, and remember that they have."""
    found = [guests.read(name, beside) for name in names]
    guests.load(found)
    guests.trust(found)
    return found


def config_from(
    config: str | Path | Mapping[str, Any] | Config,
    seed: int | None,
    budget: Mapping[str, float] | None,
    overrides: Sequence[str],
    workers: Any,
    plugins: Sequence[str | Path],
) -> Config:
    """Make the typed config; the plug-ins that it names are loaded, for it may speak of theirs."""
    where, beside = "config", None
    if isinstance(config, Config):
        given = config.model_dump(mode="json")
    elif isinstance(config, Mapping):
        given = json.loads(json.dumps(dict(config)))
    else:
        if is_known(str(config)):
            raise ConfigError(
                f"{config}: is an optimizer, and no preset. Search from it with: evolve run "
                f"quickstart --set search.initial=[{config}]"
            )
        where, given = read_config(str(config))
        beside = Path(where).parent
    changes = (*overrides, *changes_of(seed, budget, workers))
    given = overridden(given, changes)

    inside = given.get("plugins") or []
    if not isinstance(inside, list):
        raise ConfigError(f"{where}: plugins: write a list of files, such as [my_task.py]")
    load_named([p["file"] if isinstance(p, dict) else str(p) for p in inside], beside)
    load_named(plugins)
    if loaded := guests.loaded():
        given["plugins"] = [{"file": p.name, "sha256": p.sha256} for p in loaded]
    return validated(given, where, overrides)


def changes_of(
    seed: int | None, budget: Mapping[str, float] | None, workers: Any
) -> tuple[str, ...]:
    """Write arguments as the overrides that they stand for."""
    changes = [] if seed is None else [f"seed={seed}"]
    changes += [f"budget.{end}={json.dumps(value)}" for end, value in (budget or {}).items()]
    if workers is None:
        return tuple(changes)
    if isinstance(workers, Mapping):
        settings = dict(workers)
    elif isinstance(workers, int):
        settings = {"kind": "local", "count": workers}
    else:
        settings = {"kind": str(workers)}
    changes += [f"workers.{key}={json.dumps(value)}" for key, value in settings.items()]
    return tuple(changes)


def with_lifted_budget(
    before: Config, changed: Config, changes: Sequence[str], say: Callable[[str], None]
) -> Config:
    """Lift the end of a budget that would undo a longer one: who extends one wants to go on.

    The ends that `changes` name stay. What is lifted is said.
    """
    old, new = before.budget.model_dump(), changed.budget.model_dump()
    given = overridden({"budget": {}}, tuple(changes))["budget"]
    longer = [end for end in new if old[end] and new[end] and new[end] > old[end]]
    lifted = [end for end in new if longer and new[end] and end not in given]
    for end in lifted:
        say(
            f"budget.{end}={old[end]} is lifted, because budget.{longer[0]} is longer; give both "
            "to keep both"
        )
    budget = changed.budget.model_copy(update=dict.fromkeys(lifted))
    return changed.model_copy(update={"budget": budget})


def listed(optimizers: Given | Sequence[Given]) -> list[Given]:
    if isinstance(optimizers, Sequence) and not isinstance(optimizers, str):
        return list(optimizers)
    return [optimizers]


def worker_settings(workers: Any, most: int) -> WorkerSettings:
    """Say who scores outside a run: no more processes than there is to do."""
    given = overridden({"workers": {}}, changes_of(None, None, workers))
    if not given["workers"]:
        given["workers"]["count"] = min(2, most, available_cores())
    return validated_workers(given, "workers")


def find(optimizer: Given, *, trust: bool = False) -> Optimizer:
    """Find an optimizer: a known name, a file, the best of a run. Raises `ProgramError`."""
    if isinstance(optimizer, Study):
        if optimizer.best is None:
            raise ProgramError(f"{optimizer.path}: nothing was found yet")
        return optimizer.best.program
    if isinstance(optimizer, Found):
        return optimizer.program
    if not isinstance(optimizer, str | Path):
        return optimizer
    name = str(optimizer)
    if name not in baselines.names() and Path(name).is_dir():
        opened = opened_run(name, trust)
        return best_of(opened)
    if is_known(name):
        return known(name)
    return program_in(name)


def entrants_of(optimizers: Sequence[Given], suite: Suite, trust: bool) -> list[Entrant]:
    """Find optimizers that are to be compared, under names of their own.

    Raises `ProgramError` for one that cannot run on one of the tasks, `ConfigError` for one that
    has no name by which other processes know it.
    """
    entrants: list[Entrant] = []
    for given in optimizers:
        name = given if isinstance(given, str) and is_known(given) else ""
        optimizer = known(name) if name else find(given, trust=trust)
        if not name and not isinstance(optimizer, Program):
            raise ConfigError(
                f"{optimizer.name}: is compared in processes of its own, which know it by its name "
                "alone: register it in a plug-in"
            )
        if not name and isinstance(optimizer, Program):
            optimizer, _ = as_found(given, optimizer, suite)
        for task in suite:
            check_fit(optimizer, task)
        called, number = name or optimizer.name, 1
        taken = {entrant.name for entrant in entrants}
        while called in taken or (not name and is_known(called)):
            number += 1
            called = f"{name or optimizer.name}_{number}"
        if name in taken:
            raise ConfigError(f"{name} is given twice")
        entrants.append(Entrant(called, optimizer, name))
    return entrants


def with_values_of_runs(suite: Suite, optimizers: Iterable[Given]) -> Suite:
    """Return a suite whose tuned values are, on the tasks of runs, those that the runs began with.

    Raises `ConfigError` where two runs began with different ones.
    """
    found: dict[tuple[str, str], tuple[dict[str, float], Path]] = {}
    for given in optimizers:
        if (folder := _folder_of(given)) is None:
            continue
        for task, values in folder.references().items():
            for name, tuned in values.items():
                before, where = found.setdefault((task, name), (tuned, folder.path))
                if before != tuned:
                    raise ConfigError(
                        f"{where} and {folder.path} began with different values of {name}, which "
                        "scores are relative to; score them one by one"
                    )
    references = suite.references
    for (task, name), (tuned, _) in found.items():
        if task in references:
            references[task] = references[task] | {name: tuned}
    return replace(suite, given=references)


def as_found(given: Given, program: Program, suite: Suite) -> tuple[Program, tuple[str, ...]]:
    """Return a program with the values that a run has found for it on the tasks of a suite.

    Returns too the fingerprints of the tasks on which it was found; none for what no run found.
    """
    if (folder := _folder_of(given)) is None:
        if program.uses not in (0, len(suite)):
            program = program.settled()
        return program, ()
    tasks = tuple(folder.meta.inputs.references)
    for entry in hall_of_fame(folder):
        if program.name != f"found_{entry.candidate}":
            continue
        found = parse(entry.program)
        if found.uses == len(tasks):
            values = {task: found.in_use(k).values for k, task in enumerate(tasks)}
            names = {h.name for h in found.hyperparameters if h.tuned}
            on = [values.get(task, program.values) for task in suite.fingerprints]
            program = program.for_uses([{name: v[name] for name in names} for v in on])
    return program, tasks


def _folder_of(given: Given) -> RunFolder | None:
    """Return the folder of a run that is given; None for anything else."""
    if isinstance(given, Study):
        return RunFolder.open(given.path)
    if not isinstance(given, str | Path) or is_known(str(given)):
        return None
    return RunFolder.open(given) if Path(given).is_dir() else None


def program_of(optimizer: Given, trust: bool) -> Program:
    found = find(optimizer, trust=trust)
    if not isinstance(found, Program):
        raise ProgramError(
            f"{found.name} is written by hand and has no program",
            hint="`evolve score` takes it too.",
        )
    return found
