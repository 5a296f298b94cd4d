"""Commands that tune and measure: reference, tune, power."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from evolve.commands.group import (
    example,
    plugin_option,
    stopped_by_signal,
    suite_option,
    trust_option,
)
from evolve.reporting.printing import say, tell
from evolve.tuning.effort import LEAST, TRAININGS


@click.command(epilog=example("evolve reference quickstart --optimizers adamw,muon --workers 2"))
@click.argument("suites", metavar="SUITE...", nargs=-1, required=True)
@click.option(
    "--trainings",
    default=TRAININGS,
    show_default=True,
    type=click.IntRange(LEAST),
    help="Budget of every optimizer on every task.",
)
@click.option(
    "--optimizers",
    default="adamw,lion",
    show_default=True,
    help="Known names, with commas; AdamW is what 0 means.",
)
@click.option(
    "--into",
    default="references",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for the reference files.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1024),
    help="Processes; each tunes one optimizer on one task at a time.",
)
@click.option(
    "--scramble",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Draws points and seeds: another number is an independent tuning.",
)
@click.option("--again", is_flag=True, help="Tune also what the folder holds, tuned in this way.")
@plugin_option
def reference(
    suites: tuple[str, ...],
    trainings: int,
    optimizers: str,
    into: Path,
    workers: int,
    scramble: int,
    again: bool,
    plugins: tuple[str, ...],
) -> None:
    """Tune known optimizers on the tasks of suites by racing, with equal budgets: what scores are
    relative to.

    Each is written as it is done, and the same command goes on where it was interrupted. Optimizers
    that a reference file has already, and that are not named, stay in it as they are. A name with
    _one, as in adamw_one, is the best single configuration for a whole suite.
    """
    from evolve import api

    with stopped_by_signal() as stop:
        api.reference(
            suites,
            [name.strip() for name in optimizers.split(",") if name.strip()],
            trainings=trainings,
            scramble=scramble,
            workers=workers,
            again=again,
            into=into,
            plugins=plugins,
            say=say,
            written=lambda path: tell(str(path)),
            stop=stop,
        )


@click.command(epilog=example("evolve power quickstart --seeds 32"))
@click.argument("suites", metavar="SUITE...", nargs=-1, required=True)
@click.option(
    "--seeds", default=16, show_default=True, type=click.IntRange(4, 1000), help="Seeds of each."
)
@click.option(
    "--mutants",
    default=4,
    show_default=True,
    type=click.IntRange(0, 100),
    help="Mutants of AdamW whose noise is measured too.",
)
@click.option("--again", is_flag=True, help="Measure also what the folder has already.")
@click.option(
    "--into",
    default="references/power",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for the files, one a task.",
)
@plugin_option
def power(
    suites: tuple[str, ...],
    seeds: int,
    mutants: int,
    again: bool,
    into: Path,
    plugins: tuple[str, ...],
) -> None:
    """Measure what a training on each task of suites is worth to a search.

    That is how far apart tuned optimizers end, over the noise of one seed, over the root of the
    seconds that a training takes. `evolve list tasks` shows it. Stopped, it goes on where it was.
    """
    from evolve import api

    api.power(
        suites,
        seeds=seeds,
        mutants=mutants,
        into=into,
        again=again,
        plugins=plugins,
        say=say,
        written=lambda path: tell(str(path)),
    )


@click.command(
    epilog=example("evolve tune my_program.py --suite quickstart --trials 128 --into my_tuning")
)
@click.argument("program", metavar="NAME|FILE|RUN")
@suite_option
@click.option(
    "--trials",
    default=64,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Points in the declared ranges.",
)
@click.option(
    "--seeds", default=2, show_default=True, type=click.IntRange(1, 1000), help="Seeds per point."
)
@click.option(
    "--into",
    default="tuned",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for all that is found.",
)
@click.option(
    "--resume", is_flag=True, help="Go on with what the folder holds, if it holds anything."
)
@plugin_option
@trust_option
def tune(
    program: str,
    suite_name: str,
    trials: int,
    seeds: int,
    into: Path,
    resume: bool,
    plugins: tuple[str, ...],
    trust: bool,
) -> None:
    """Tune the hyperparameters for which a program declares a range, by Ray Tune; one set of values
    for a whole suite.

    What does badly early is trained no further. The best few, and the program as it stands, are
    scored again on fresh seeds, which decides. Ctrl-C stops and says how to go on.
    """
    from evolve import api
    from evolve.reporting.progress import command

    def how_to_go_on() -> str:
        given = [program, "--suite", suite_name, "--trials", trials, "--seeds", seeds]
        given += ["--into", into, "--resume", *(x for p in plugins for x in ("--plugin", p))]
        words = shlex.join(map(str, given))
        return f"stopped; what was finished is recorded. Go on with:\n  {command()} tune {words}"

    with stopped_by_signal(how_to_go_on) as stop:
        found = api.tune(
            program,
            suite_name,
            trials=trials,
            seeds=seeds,
            into=into,
            resume=resume,
            plugins=plugins,
            trust=trust,
            say=say,
            stop=stop,
        )
    tell(repr(found))
    tell(str(found.path))
