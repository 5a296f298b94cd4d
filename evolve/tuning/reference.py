"""References: known optimizers tuned on a task by racing, with the same budget of trainings.

One optimizer on one task is a piece of work that depends on nothing else (`pieces.py` does many).
One configuration of an optimizer for all tasks of a suite is found in the same way, by the mean of
the log losses over tasks, and lies in a file of its own. A reference file holds the values of all
optimizers on its task, how they were found and what they come to on fresh seeds.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evolve.config.errors import ConfigError
from evolve.files import make_folder, replace_file
from evolve.scoring.optimizers import Optimizer
from evolve.scoring.references import file_name, old_file_name, read_stored
from evolve.scoring.scorer import log_ratio
from evolve.scoring.trial import Trials
from evolve.tuning.effort import LEAST, Effort
from evolve.tuning.racing import DRAWN, FINAL_ROUNDS, KEPT, ROUNDS, STAGES, Hopeless, Raced, race
from evolve.tuning.ranges import ends, tunable
from proxy_tasks.task import LEAST_LOSS

STATE_SEEDS = 16  # on which the losses are stated

METHOD = (
    f"scrambled Sobol points over the declared ranges, then {len(STAGES) - 1} times around the "
    f"best those of {DRAWN} times as many that a Gaussian process holds for best, on "
    f"{', '.join(map(str, ROUNDS))} seeds with one of {KEPT} kept each time; the best again on "
    f"{', '.join(map(str, FINAL_ROUNDS))} seeds of their own; the losses stated are on "
    f"{STATE_SEEDS} more"
)


def tune(
    compiled: Sequence[Trials],
    optimizer: Optimizer,
    effort: Effort,
    done: Callable[[int], object] = lambda count: None,
) -> tuple[dict[str, Any], Raced]:
    """Tune an optimizer on a task, or find its one configuration for several.

    Returns what a reference file says of it, and the race. `done` hears how many trainings there
    were. Raises `ConfigError` where no point can be chosen.
    """
    began = time.monotonic()
    name = optimizer.name
    if not (ranges := tunable(optimizer)):
        raise ConfigError(f"{name} declares no range to tune in, so there is nothing to tune")
    trainings, scramble = effort.trainings, effort.scramble
    if trainings < LEAST:
        raise ConfigError(f"{trainings} trainings are too few for a race; give at least {LEAST}")

    def seed(what: str, number: int) -> str:
        return f"tune:{scramble}:{what}:{number}"

    def loss(values: dict[str, float], what: str, number: int) -> float:
        chosen, found = optimizer.with_values(values), 0.0
        for task in compiled:
            found += log_loss(task, chosen, seed(what, number))
            if math.isinf(found):
                break
        return found / len(compiled)

    try:
        raced = race(ranges, loss, trainings, scramble, done)
    except Hopeless as why:
        kinds = ", ".join(t.task.kind for t in compiled)
        raise ConfigError(f"{name} cannot be tuned on {kinds}: {why}") from None

    chosen = optimizer.with_values(raced.best.values)
    stated = {
        part: [
            [task.loss(chosen, seed("state", number), part) for number in range(STATE_SEEDS)]
            for task in compiled
        ]
        for part in ("validation", "test")
    }
    entry = {
        "values": raced.best.values,
        "ranges": {h.name: ends(h) for h in raced.explored},
        "interior": raced.interior,
        "trainings": trainings,
        "spent": raced.trainings,
        "trials": len(raced.trials),
        "scramble": scramble,
        "method": METHOD,
        "seconds": round(time.monotonic() - began, 1),
        **{part: rows[0] if len(rows) == 1 else rows for part, rows in stated.items()},
    }
    return entry, raced


def found_with(effort: Effort, entry: dict[str, Any] | None, text: str = "") -> bool:
    """Tell whether what a file says of an optimizer was found in this way, with this effort.

    text: of a program that is not known by name.
    """
    wanted = asdict(effort) | {"method": METHOD} | which_program(text)
    return entry is not None and wanted.items() <= entry.items()


def which_program(text: str) -> dict[str, str]:
    """Tell a program that is not known by name from others, for a file; empty for a known one."""
    return {"program": hashlib.sha256(text.encode()).hexdigest()[:16]} if text else {}


def log_loss(compiled: Trials, optimizer: Optimizer, seed: str) -> float:
    """Return the log of the final validation loss; inf where training diverges.

    Raises `ConfigError` for a loss of which there is no logarithm: below 0, or 0.
    """
    loss, kind = compiled.loss(optimizer, seed), compiled.task.kind
    if math.isnan(loss):
        return math.inf
    if loss <= LEAST_LOSS:
        raise ConfigError(
            f"the loss on {kind} comes to {loss:.3g} in seed {seed!r}, and a score is the "
            "logarithm of a ratio of losses: let `evaluate` give what stays above 0, such as the "
            "loss plus the least that matters, or the exponential of a log likelihood"
        )
    return -log_ratio(1.0, loss, kind)


# --- the file -------------------------------------------------------------------------------------


def write_reference(folder: Path, content: dict[str, Any]) -> Path:
    """Write one file per task; its text is kept stable for version control.

    Optimizers that the file has already stay in it, with the method and the machine by which they
    were tuned. A file under the older name of its kind is taken over.
    """
    make_folder(folder, 0o755)
    kind, fingerprint = content["task"]["kind"], content["fingerprint"]
    optimizers = kept(folder, kind, fingerprint, content.get("machine")) | content["optimizers"]
    path = folder / file_name(kind, fingerprint)
    text = json.dumps(content | {"optimizers": optimizers}, indent=1, sort_keys=True)
    replace_file(path, text + "\n")
    (folder / old_file_name(fingerprint)).unlink(missing_ok=True)
    return path


def kept(folder: Path, kind: str, fingerprint: str, machine: Any = None) -> dict[str, Any]:
    """Return what a folder's file of a task says of optimizers; empty where there is none.

    machine: of who asks; what was tuned on another says so. Raises `ConfigError` where the file is
    damaged, which is better known before minutes of tuning.
    """
    for name in (file_name(kind, fingerprint), old_file_name(fingerprint)):
        if (path := folder / name).is_file():
            stored = read_stored(path)
            facts = {"method": stored.get("method")}
            if machine is not None and stored.get("machine") != machine:
                facts["machine"] = stored.get("machine")
            said = {key: fact for key, fact in facts.items() if fact is not None}
            return {k: said | entry for k, entry in stored["optimizers"].items()}
    return {}
