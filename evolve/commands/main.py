"""The command `evolve`: all commands under one name."""

from __future__ import annotations

import click

import evolve
from evolve.commands import comparing, programs, searching, tuning
from evolve.commands.group import CONTEXT, Commands


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(evolve.__version__, prog_name="pride")
def main() -> None:
    """Pride finds optimizers: it mutates programs, scores them on proxy tasks and exports what it
    finds to Optax.
    """


for _command in (
    searching.run,
    searching.resume,
    searching.status,
    searching.verify,
    programs.show,
    comparing.score,
    comparing.compare,
    programs.export,
    programs.list_,
    programs.validate,
    tuning.reference,
    tuning.tune,
    tuning.power,
):
    main.add_command(_command)

if __name__ == "__main__":
    main()
