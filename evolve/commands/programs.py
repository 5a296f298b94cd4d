"""Commands about what there is: show, export, list, validate."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from evolve.commands.group import example, json_flag, plugin_option, trust_option
from evolve.reporting.printing import facts, tell

LISTS = (
    "optimizers", "prologues", "primitives", "schedules", "tasks", "presets", "suites",
    "references", "mutations", "plugins",
)  # fmt: skip


@click.command(epilog=example("evolve show lion"))
@click.argument("program", metavar="NAME|FILE|RUN")
@click.option("--live", is_flag=True, help="Leave out what is dead.")
@click.option("--latex", is_flag=True, help="Print the rule alone, as LaTeX (amsmath).")
@plugin_option
@trust_option
@json_flag
def show(
    program: str, live: bool, latex: bool, plugins: tuple[str, ...], trust: bool, as_json: bool
) -> None:
    """Print a program, its rule as mathematics, its hyperparameters and what a step of it costs.

    An optimizer that is written by hand has no program: its description is printed.
    """
    from evolve import api

    found = api.show(program, live=live, plugins=plugins, trust=trust)
    if latex:
        tell(found.latex())
    elif as_json:
        facts(found.facts)
    else:
        tell(str(found))


@click.command(epilog=example("evolve export lion --to optax -o lion.py"))
@click.argument("program", metavar="NAME|FILE|RUN")
@click.option("--to", "target", type=click.Choice(["optax"]), default="optax", show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The file to write; standard output without it.",
)
@click.option("--name", help="Name of the optimizer; the program's own without it.")
@click.option("--force", is_flag=True, help="Write over a file that exists.")
@plugin_option
@trust_option
@json_flag
def export(
    program: str,
    target: str,
    output: Path | None,
    name: str | None,
    force: bool,
    plugins: tuple[str, ...],
    trust: bool,
    as_json: bool,
) -> None:
    """Write an optimizer as one file that needs only jax and optax."""
    from evolve import api

    exported = api.export(
        program, target, path=output, name=name, overwrite=force, plugins=plugins, trust=trust
    )
    alias = exported.name
    about = {"alias": alias, "scale_by": f"scale_by_{alias}", "target": target}
    if output is None:
        text = exported.source
        facts(about | {"source": text}) if as_json else tell(text, nl=False)
    elif as_json:
        facts({"file": str(output)} | about)
    else:
        tell(
            f"{output}: {alias}(learning_rate, ...) and scale_by_{alias}(...), as optax optimizers"
        )


@click.command("list", epilog=example("evolve list primitives"))
@click.argument("what", type=click.Choice(LISTS))
@plugin_option
@json_flag
def list_(what: str, plugins: tuple[str, ...], as_json: bool) -> None:
    """List what there is; with --json, all that is known of each."""
    from evolve import api

    found = api.list_(what, plugins=plugins)
    facts(list(found)) if as_json else found.grid().print()


@click.command(epilog=example("evolve validate my_program.py my_config.yaml"))
@click.argument("files", metavar="FILE...", nargs=-1)
@plugin_option
@json_flag
def validate(files: tuple[str, ...], plugins: tuple[str, ...], as_json: bool) -> None:
    """Check programs (.py) and configurations (.yaml, or the name of a preset) without running
    anything.

    A plug-in is executed, and what it brings is held against its contract.
    """
    from evolve import api

    if not files and not plugins:
        raise click.UsageError("Missing argument 'FILE...'.")
    results = api.validate(files, plugins=plugins)
    if as_json:
        facts([result.facts() for result in results])
    else:
        for result in results:
            tell(str(result))
    if not all(result.valid for result in results):
        sys.exit(2)
