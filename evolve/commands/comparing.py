"""Commands that compare: score, compare."""

from __future__ import annotations

from pathlib import Path

import click

from evolve.commands.group import (
    address_option,
    example,
    json_flag,
    plugin_option,
    stopped_by_signal,
    suite_option,
    trust_option,
    worker_settings,
    workers_option,
)
from evolve.reporting.printing import facts, say, tell
from evolve.tuning.effort import LEAST


@click.command(epilog=example("evolve score adamw lion my_program.py --suite quickstart"))
@click.argument("programs", metavar="NAME|FILE|RUN...", nargs=-1, required=True)
@suite_option
@click.option(
    "--seeds",
    default=10,
    show_default=True,
    type=click.IntRange(2, 1000),
    help="Fresh seeds; the same for all.",
)
@click.option(
    "--schedule",
    default="",
    metavar="TEXT",
    help="Learning rate of all: `evolve list schedules`.",
)
@workers_option
@address_option
@plugin_option
@trust_option
@json_flag
def score(
    programs: tuple[str, ...],
    suite_name: str,
    seeds: int,
    schedule: str,
    workers: str | None,
    address: str | None,
    plugins: tuple[str, ...],
    trust: bool,
    as_json: bool,
) -> None:
    """Score optimizers side by side, as a run confirms its finalists: fresh seeds, the test part,
    0 is tuned AdamW.

    Known names have their hyperparameters tuned on each task where the references know them; a file
    is scored as it stands, with its own `learning_rate` as the peak of the schedule (0.001 if it
    states none). `clip_by_norm+lion` puts a prologue before a program. A schedule such as
    "step_decay(factor=0.5, every=0.25)" replaces that of the tasks for all that are scored; the
    reference, 0, keeps its own.
    """
    from evolve import api

    scores = api.score(
        programs,
        suite_name,
        seeds,
        schedule=schedule,
        workers=worker_settings(workers, address),
        plugins=plugins,
        trust=trust,
        say=say,
    )
    facts(scores.facts()) if as_json else scores.print()


@click.command(epilog=example("evolve compare adamw lion muon my_program.py --workers 2"))
@click.argument("programs", metavar="NAME|FILE|RUN...", nargs=-1, required=True)
@click.option(
    "--suite", "suite_name", default="search", show_default=True, help="A preset, or a YAML file."
)
@click.option(
    "--trainings",
    default=128,
    show_default=True,
    type=click.IntRange(LEAST),
    help="Budget of each tuning of everybody on every task.",
)
@click.option(
    "--tunings",
    default=2,
    show_default=True,
    type=click.IntRange(2, 100),
    help="Independent ones of everybody; the better is chosen, and their spread measured.",
)
@click.option(
    "--seeds",
    default=10,
    show_default=True,
    type=click.IntRange(2, 1000),
    help="Fresh seeds of the table; the same for all.",
)
@click.option("--one", is_flag=True, help="One configuration of each for all tasks of the suite.")
@click.option(
    "--scramble",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Draws points and seeds: another number is an independent comparison.",
)
@click.option(
    "--into",
    default=None,
    type=click.Path(path_type=Path),
    help="Folder for all that is trained and found.  [default: comparisons/SUITE]",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1024),
    help="Processes; each does one optimizer on one task at a time.",
)
@plugin_option
@trust_option
@json_flag
def compare(
    programs: tuple[str, ...],
    suite_name: str,
    trainings: int,
    tunings: int,
    seeds: int,
    one: bool,
    scramble: int,
    into: Path | None,
    workers: int,
    plugins: tuple[str, ...],
    trust: bool,
    as_json: bool,
) -> None:
    """Compare optimizers so that nobody can dismiss it: all tuned alike and more than once, with
    intervals that hold the seeds and the luck of tuning.

    Tuned AdamW is 0 and takes part. What is found lies in a folder, with all figures; the same
    command goes on where it was interrupted, and one with more programs or seeds adds to it.
    `evolve score` is the quick look.
    """
    from evolve import api

    with stopped_by_signal() as stop:
        found = api.compare(
            programs,
            suite_name,
            trainings=trainings,
            tunings=tunings,
            seeds=seeds,
            one=one,
            scramble=scramble,
            workers=workers,
            into=into,
            plugins=plugins,
            trust=trust,
            say=say,
            stop=stop,
        )
    if as_json:
        facts(found.facts())
        return
    for grid in found.grids():
        grid.print()
    for sentence in found.sentences():
        tell(sentence)
    tell(str(found.path))
