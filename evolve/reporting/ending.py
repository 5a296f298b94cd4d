"""The end of a run on a terminal: the table, the program, and what to do next."""

from __future__ import annotations

import shlex

from evolve.record.folder import RunFolder
from evolve.reporting.printing import tell
from evolve.reporting.progress import command
from evolve.reporting.study import Study
from evolve.running.facts import CANDIDATES, ended_by


def print_ending(study: Study) -> None:
    """Print what a finished run has found."""
    folder, evolve, path = RunFolder(study.path), command(), shlex.quote(str(study.path))
    if study.scores is not None:
        tell()
        study.scores.print()
    best = study.best if study.best and study.best.confirmed else None
    if best is None:
        tell("\nNothing was found: no candidate passed the selection seeds.\n")
    else:
        tell(f"\nThe best program found:\n\n{best.program}")
        tell(f"The run:         {folder.path}")
        tell(f"The program:     {folder.best_program}")
        tell(f"As optax file:   {folder.best_optax}\n")

    budget, done = study.config.budget, study.facts["candidates"]
    end = ended_by(budget, done)
    more = 2 * done if end == CANDIDATES else 2 * (budget.seconds or 0)
    tell(f"Go on searching:       {evolve} resume {path} --set budget.{end}={more}")
    if best is None:
        return
    suite = shlex.quote(study.suite or str(folder.resolved_config))
    tell(f"Score one of yours:    {evolve} score adamw lion {path} my_program.py --suite {suite}")
    tell(f"Export:                {evolve} export {path} --to optax -o my_optimizer.py")
