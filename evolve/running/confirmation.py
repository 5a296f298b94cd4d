"""The end of a run: its finalists against tuned baselines, the best program, the summary."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from evolve.comparison.contest import Contestant, Verdict, confirm
from evolve.config.schema import Config
from evolve.files import replace_file
from evolve.record.folder import RunFolder
from evolve.running.drive import Driver
from evolve.running.facts import Plan, summary
from evolve.scoring.optimizers import known
from evolve.scoring.suite import Suite
from evolve.search.hall_of_fame import Entry
from primitives import Program, ProgramError
from primitives.canonical.liveness import prune
from primitives.export.optax import tried_optax_source


def confirmed(
    folder: RunFolder, plan: Plan, driver: Driver, stop: Callable[[], bool]
) -> tuple[list[Verdict], Program | None]:
    """Score the best few again on fresh seeds; write the best of them, and the summary.

    Returns the table, and the best program under its name there. Raises `Interrupted`.
    """
    config, search, chain = plan.config, driver.search, driver.chain.hex()
    entries = search.hall_of_fame.found()[: config.confirm.finalists]
    budget = f"{search.commits:,} candidates"
    contestants = [Contestant(_name(e), e.program, finalist=True, tuning=budget) for e in entries]
    contestants += [Contestant(name, known(name), known=name) for name in config.confirm.baselines]
    verdicts = confirm(
        driver.executor, plan.suite, contestants, config.confirm.seeds, stop, config.schedule
    )

    best = None
    if entries:  # the finalist with the best confirmed mean; the table shows them all
        pick = max(range(len(entries)), key=lambda n: (verdicts[n].score, -n))
        note = _note(verdicts[pick], config.confirm.seeds)
        best = found_program(entries[pick], config, plan.suite, note)
        source = _optax_source(best)
        driver.patiently(partial(replace_file, folder.best_program, str(best)))
        driver.patiently(partial(replace_file, folder.best_optax, source))
    facts = json.dumps(summary(search, chain, verdicts, best), indent=1) + "\n"
    driver.patiently(partial(replace_file, folder.summary, facts))
    return verdicts, best


def found_program(entry: Entry, config: Config, suite: Suite, note: str = "") -> Program:
    """Return a program of the hall of fame as people get it: without what is dead, and named.

    It has one value of each hyperparameter, that on the first task. Its docstring says where it
    comes from, and its values on all tasks where these differ. note: what else there is to say.
    """
    initial = ", ".join(config.search.initial)
    origin = {"evolution": f"evolved from {initial}", "random": "drawn at random"}
    how = origin.get(config.search.kind, f"{initial} with other constants")
    doc = (
        f"{_name(entry)}: {how} by Pride.\n\n"
        f"Candidate {entry.number} of the run {config.name!r}, seed {config.seed}. "
        f"Score on the selection seeds {entry.score:+.4f} (0 is {suite.reference_label}, 0.1 is "
        f"10 % less loss).\n{note}{_values(entry.program, suite)}"
    )
    return replace(prune(entry.program).settled(), doc=doc, name=_name(entry))


def _values(program: Program, suite: Suite) -> str:
    """Say which values a program has on each task; empty where its defaults serve all."""
    names = [h.name for h in prune(program).hyperparameters if h.tuned]
    if not names:
        return ""
    lines = ["", "Its values on each task; the defaults are those on the first:"]
    for number, label in enumerate(suite.labels):
        values = program.in_use(number).values
        lines.append(f"  {label}: {', '.join(f'{name} {values[name]:.4g}' for name in names)}")
    return "\n".join([*lines, ""])


def _optax_source(program: Program) -> str:
    """Return the file for Optax; where there is none, one that says why.

    Such are programs with a primitive of a plug-in that only the plug-in can compute: their run
    ends as any other.
    """
    try:
        return tried_optax_source(program)
    except ProgramError as fault:
        return f"raise ImportError({str(fault)!r})\n"


def _name(entry: Entry) -> str:
    return f"found_{entry.number}"


def _note(verdict: Verdict, seeds: int) -> str:
    return (
        f"Confirmed on the test part in {seeds} fresh seeds: {verdict.score:+.4f} "
        f"(95 % interval {verdict.low:+.4f} to {verdict.high:+.4f}).\n"
    )
