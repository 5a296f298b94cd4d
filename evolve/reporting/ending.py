"""The end of a run on a terminal: the table, the program, and what to do next."""

from __future__ import annotations

import shlex

from evolve.record.folder import RunFolder
from evolve.reporting.printing import tell
from evolve.reporting.progress import command
from evolve.reporting.study import Study

MORE = 40_000  # candidates to go on with, where the budget was in seconds


def print_ending(study: Study) -> None:
    """Print what a finished run has found."""
    folder, evolve = RunFolder(study.path), command()
    if study.scores is not None:
        tell()
        study.scores.grid().print()
    if study.best is None or not study.best.confirmed:
        tell(
            "\nNothing was found: no candidate passed the selection seeds. A longer budget may "
            "help.\n"
        )
    else:
        tell(f"\nThe best program found:\n\n{study.best.program}")
        tell(f"The run:         {folder.path}")
        tell(f"The program:     {folder.best_program}")
        tell(f"As optax file:   {folder.best_optax}\n")

    candidates = 2 * study.config.budget.candidates if study.config.budget.candidates else MORE
    tell(
        f"Go on searching:       {evolve} resume {folder.path} --set budget.candidates={candidates}"
        " --set budget.seconds=null"
    )
    suite = shlex.quote(study.suite or "quickstart")
    tell(
        f"Score one of yours:    {evolve} score adamw lion {folder.path} my_program.py "
        f"--suite {suite}"
    )
    tell(f"Export:                {evolve} export {folder.path} --to optax -o my_optimizer.py")
