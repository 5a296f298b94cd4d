"""The facts of a run: its plan, found out once before it begins, and its summary at the end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import baselines
from baselines import handwritten
from evolve.comparison.contest import Verdict
from evolve.config.errors import ConfigError
from evolve.config.presets import load_suite
from evolve.config.schema import Budget, Config
from evolve.record.folder import RunFolder
from evolve.scoring.fit import check_fit
from evolve.scoring.job import EARLY, MACHINE
from evolve.scoring.optax_optimizer import OPTIMIZERS
from evolve.scoring.optimizers import known
from evolve.scoring.references import References
from evolve.scoring.suite import Suite, make_suite
from evolve.search.candidate import CACHED
from evolve.search.hurdles import foresight
from evolve.search.mutation import space_of, with_all_mutations
from evolve.search.search import Search
from primitives import Program, parse


@dataclass(frozen=True)
class Plan:
    """All that a run is made of.

    config: with its tasks, and the weights of all mutations, written out. suite: of these tasks.
    initial: what the search starts from, tuned on each task where that is known. references:
    tuned values of known optimizers by the fingerprint of a task; scores depend on them.
    suite_given: what a user called the suite, the name of a preset or a file; empty for tasks that
    stand in the config.
    """

    config: Config
    suite: Suite
    initial: tuple[Program, ...]
    references: References
    suite_given: str

    @classmethod
    def of(cls, config: Config) -> Plan:
        """Find out everything for a new run; all that can be checked is checked.

        Raises `ConfigError`, `ProgramError`.
        """
        given, name, settings = "", config.name, config.suite
        if isinstance(settings, str):
            given = settings
            name, settings = load_suite(settings)
        suite = make_suite(name, settings, config.reference)
        for task in suite.tasks:
            suite.reference_on(task)

        initial = _initial_programs(config, suite)
        for optimizer in (*initial, *map(known, config.confirm.baselines)):
            for task in suite.tasks:
                check_fit(optimizer, task)

        search = with_all_mutations(config.search)
        space_of(search)  # every name in it is known
        config = config.model_copy(update={"suite": settings, "search": search})
        return cls(config, suite, initial, suite.references, given)

    @classmethod
    def from_folder(cls, folder: RunFolder, config: Config | None = None) -> Plan:
        """Find out what a run goes on with that has begun.

        config: that of the folder, with another budget or other workers; None for just that.
        Raises `ConfigError`; `NotARun` for a damaged folder.
        """
        config = folder.config() if config is None else config
        inputs, given = folder.meta.inputs, folder.suite_given()
        # A config that somebody changed by hand may name a suite again.
        settings = load_suite(config.suite)[1] if isinstance(config.suite, str) else config.suite
        name = Path(given).stem if given else config.name
        suite = make_suite(name, settings, config.reference, folder.references())
        return cls(
            config.model_copy(update={"suite": settings}),
            suite,
            tuple(parse(text, name=name) for name, text in inputs.initial),
            suite.references,
            given,
        )

    @property
    def inputs(self) -> dict[str, Any]:
        """What the run depends on beside its config, for `meta.json` of its folder."""
        return {
            "suite": self.suite_given,
            "initial": [[program.name, str(program)] for program in self.initial],
            "references": dict(self.references),
        }


def _initial_programs(config: Config, suite: Suite) -> tuple[Program, ...]:
    """Return what the search starts from, tuned on each task where that is known."""
    programs = []
    for name in config.search.initial:
        if name in handwritten.names():
            raise ConfigError(
                f"search.initial: {name} is written by hand; a search starts from programs"
            )
        if name in OPTIMIZERS:
            raise ConfigError(
                f"search.initial: {name} is written with Optax; a search starts from programs"
            )
        program = _tuned(name, suite)
        size, most = len(program.body), config.search.max_statements
        if size > most and config.search.kind != "random":  # which draws programs of its own
            raise ConfigError(
                f"search.max_statements: {most} is less than the {size} statements of {name}, "
                f"which the search starts from; write {size} or more, or start from a shorter one"
            )
        if "run_progress" in program.needs:
            raise ConfigError(
                f"search.initial: {name} reads the progress of the run, from which its children "
                "would learn when they are looked at; start from a program without it"
            )
        programs.append(program)
    return tuple(programs)


def _tuned(name: str, suite: Suite) -> Program:
    """Return a program as it is tuned on each task; on the first, where on some nobody has."""
    tuned = [suite.tuned(name, task) for task in suite.tasks]
    program = tuned[0] or baselines.find(name)
    assert isinstance(program, Program)
    if len(tuned) == 1 or None in tuned:
        return program
    declared = {h.name for h in program.hyperparameters if h.low is not None}
    return program.for_uses(
        [{n: value for n, value in t.values.items() if n in declared} for t in tuned if t]
    )


@dataclass(frozen=True)
class Result:
    """What a run that came to its end has found.

    verdicts: the table of the confirmation; best: the best finalist, under the name that it has
    there, None where nothing was found; chain: 64 hex digits, equal for runs that decided the same;
    facts: what became of the candidates, in how many seconds; tally: the same in one line.
    """

    folder: RunFolder
    plan: Plan
    verdicts: tuple[Verdict, ...]
    best: Program | None
    chain: str
    facts: dict[str, Any]
    tally: str

    @property
    def suite(self) -> str:
        """The name of the suite."""
        return self.plan.suite.name


# --- the summary ----------------------------------------------------------------------------------


def summary(
    search: Search, chain: str, verdicts: list[Verdict], best: Program | None
) -> dict[str, Any]:
    """Return what `summary.json` says of a run that came to its end."""
    settings, budget = search.settings, search.config.budget
    return {
        "chain": chain,
        "repeatable": settings.order == "number" and not outcomes_of_the_machine(search),
        "kind": settings.kind,
        "tally": tally_facts(search),
        "budget": budget.model_dump() | {"ended_by": ended_by(budget, search.commits)},
        "early": early_facts(search),
        "verdicts": [v.facts() for v in verdicts],
        "best": best.name if best else None,
    }


CANDIDATES, SECONDS = "candidates", "seconds"  # the ends that a budget may have


def ended_by(budget: Budget, candidates: int) -> str:
    """Tell which end of its budget a search came to that is over after so many candidates."""
    most = budget.candidates
    return CANDIDATES if most is not None and candidates >= most else SECONDS


def outcomes_of_the_machine(search: Search) -> int:
    """Return how many outcomes config and seed alone do not decide."""
    return sum(search.tally.statuses[status] for status in MACHINE)


def tally_facts(search: Search) -> dict[str, Any]:
    """Return what became of the candidates, by kind."""
    tally = search.tally
    return {
        "candidates": tally.candidates,
        "evaluated": tally.evaluated,
        "cached": tally.statuses[CACHED],
        "rejected": dict(sorted(tally.reasons.items())),
        "statuses": dict(sorted(tally.statuses.items())),
        "mutations": dict(sorted(tally.mutations.items())),
    }


def early_facts(search: Search) -> dict[str, Any]:
    """Return what the first hurdle did, and how well it could know; empty where there is none."""
    config = search.config
    if not config.scoring.early:
        return {}
    assert not isinstance(config.suite, str)
    ranks = [
        {"task": task.kind, "rank": round(foresight(search.population, k), 2)}
        for k, task in enumerate(config.suite)
    ]
    return {
        "at": config.scoring.early,
        "stopped": search.tally.statuses[EARLY],
        "foresight": ranks,
    }
