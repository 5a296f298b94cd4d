"""Commands that search: run, resume, status, verify."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from evolve.commands.group import (
    address_option,
    example,
    json_flag,
    output_option,
    plugin_option,
    set_option,
    trust_option,
    worker_settings,
    workers_option,
)
from evolve.reporting.printing import facts, say, tell

if TYPE_CHECKING:
    from evolve.reporting.study import Study


@click.command(epilog=example("evolve run quickstart --set budget.seconds=60 --seed 1"))
@click.argument("config")
@set_option
@click.option(
    "--seed", type=int, help="Seed of the run; the same config and seed give the same run."
)
@workers_option
@address_option
@plugin_option
@output_option
def run(
    config: str,
    overrides: tuple[str, ...],
    seed: int | None,
    workers: str | None,
    address: str | None,
    plugins: tuple[str, ...],
    root: Path,
) -> None:
    """Search for optimizers as CONFIG says: the name of a preset, or a YAML file.

    The last line printed is the run's folder. Ctrl-C stops and says how to go on.
    """
    from evolve import api

    _live(
        lambda more: api.run(
            config,
            seed=seed,
            overrides=overrides,
            workers=worker_settings(workers, address),
            plugins=plugins,
            root=root,
            say=say,
            **more,
        ),
        _cluster(address),
    )


def no_other_seed(ctx: click.Context, option: click.Parameter, given: str | None) -> None:
    """Say that the seed of a run stays what it is."""
    if given is not None:
        raise click.UsageError(
            f"--seed {given}: the seed of a run cannot change. Another one is another run: evolve "
            f"run CONFIG --seed {given}"
        )


@click.command(
    epilog=example(
        "evolve resume runs/quickstart-20261122T101500Z-1a2b --set budget.candidates=100000"
    )
)
@click.argument("folder", metavar="RUN")
@set_option
@workers_option
@address_option
@click.option("--seed", hidden=True, expose_value=False, callback=no_other_seed)
@click.option(
    "--allow-different-machine",
    is_flag=True,
    help="Go on although machine or software differ; recorded.",
)
@plugin_option
@trust_option
def resume(
    folder: str,
    overrides: tuple[str, ...],
    workers: str | None,
    address: str | None,
    allow_different_machine: bool,
    plugins: tuple[str, ...],
    trust: bool,
) -> None:
    """Go on with a run that was stopped or killed. Budgets are totals; only budget and workers
    can change.
    """
    from evolve import api

    _live(
        lambda more: api.resume(
            folder,
            overrides=overrides,
            workers=worker_settings(workers, address),
            allow_different_machine=allow_different_machine,
            trust=trust,
            plugins=plugins,
            say=say,
            **more,
        ),
        "".join(f" --set {shlex.quote(o)}" for o in overrides) + _cluster(address),
    )


def _cluster(address: str | None) -> str:
    """Write the option that a resume needs where the cluster was named: a folder's word is none."""
    return "" if address is None else f" --address {shlex.quote(address)}"


def _live(life: Callable[[dict[str, Any]], Study], options: str = "") -> None:
    """Live a run to its end, or until a signal; then say what was found, or how to go on."""
    from evolve.interrupt import Interrupted, StopSignal
    from evolve.reporting.ending import print_ending
    from evolve.reporting.progress import command

    lived: list[Path] = []

    def how_to_go_on() -> None:
        if not lived:
            return
        path = shlex.quote(str(lived[0]))
        say(
            "stopped; everything up to here is recorded. Go on with:\n"
            f"  {command()} resume {path}{options}"
        )
        with contextlib.suppress(OSError):
            tell(str(lived[0]))

    stop = StopSignal(how_to_go_on)
    try:
        with stop.watching():
            study = life({"stop": stop, "began": lived.append})
    except Interrupted:
        how_to_go_on()
        sys.exit(128 + stop.number)
    print_ending(study)
    tell(str(study.path))


@click.command(epilog=example("evolve status runs/quickstart-20261122T101500Z-1a2b --json"))
@click.argument("folder", metavar="RUN")
@json_flag
def status(folder: str, as_json: bool) -> None:
    """Say how far a run is, while it runs or later."""
    from evolve import api
    from evolve.reporting.progress import print_status

    found = api.status(folder)
    facts(found) if as_json else print_status(found)


@click.command(epilog=example("evolve verify runs/quickstart-20261122T101500Z-1a2b"))
@click.argument("folder", metavar="RUN")
@json_flag
def verify(folder: str, as_json: bool) -> None:
    """Check that a run is as it was written: every row, the chain of hashes, every file.

    Nothing is executed. What is wrong is said with its row or its file, and the exit code is 1.
    """
    from evolve import api

    found = api.verify(folder)
    facts(found.facts()) if as_json else tell(str(found))
    if not found.sound:
        sys.exit(1)
