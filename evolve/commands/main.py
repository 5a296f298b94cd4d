"""The command line: read, call the library, print.

Exit codes: 0, 1 a failed run, 2 wrong input, 130/143 stopped.
"""

from __future__ import annotations

from evolve.environment import pin

pin()  # before anything imports jax

import contextlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import shlex  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any, get_args  # noqa: E402

import click  # noqa: E402

import evolve  # noqa: E402
from evolve.config.errors import ConfigError  # noqa: E402
from evolve.config.presets import load_config, load_suite, preset_names  # noqa: E402
from evolve.config.schema import WorkerSettings  # noqa: E402
from evolve.config.validation import overridden, validated  # noqa: E402
from evolve.record.journal import JournalError, RunIsLive  # noqa: E402
from evolve.workers.local import WorkerFailure  # noqa: E402
from primitives import Program, ProgramError  # noqa: E402

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class Commands(click.Group):
    """Turns the errors of the library into one clear message and an exit code, never a
    traceback.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ProgramError, ConfigError, RunIsLive) as fault:
            fail(str(fault), 2)
        except (JournalError, WorkerFailure) as fault:
            fail(str(fault), 1)
        except KeyboardInterrupt:
            sys.exit(130)
        except BrokenPipeError:
            sys.exit(1)
        except OSError as fault:
            fail(f"{fault.filename or 'the disk'}: {fault.strerror or fault}", 1)
        finally:
            for stream in filter(None, (sys.stdout, sys.stderr)):
                try:
                    stream.flush()
                except (
                    OSError
                ):  # nobody reads it any more; at exit Python would try again, and end with 120
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        from primitives.errors import nearest

        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as fault:
            near = nearest(args[0], self.commands) if args else ""
            if (
                near and "Did you mean" not in fault.format_message()
            ):  # newer clicks say it themselves
                fault.message += f" Did you mean {near!r}?"
            raise


def fail(message: str, code: int) -> None:
    say(message)
    sys.exit(code)


def say(message: str) -> None:
    """A line about the progress of things, whether or not somebody hears it; results go to standard
    output.
    """
    with contextlib.suppress(OSError):  # the terminal was closed, or the disk of a log is full
        click.echo(message, err=True)


def facts(content: Any) -> None:
    click.echo(json.dumps(content, indent=1))


def example(text: str) -> dict[str, str]:
    return {"epilog": f"Example:  {text}"}


json_flag = click.option("--json", "as_json", is_flag=True, help="Print facts for machines.")
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key, such as search.population=200. Repeatable.",
)
workers_option = click.option(
    "--workers",
    metavar="KIND|N",
    help="auto, inline, local, devices, ray, or a number of local workers.",
)
address_option = click.option(
    "--address",
    metavar="auto|HOST:PORT",
    help="Ray cluster of --workers ray; without it, one on this machine.",
)
output_option = click.option(
    "--output",
    "root",
    default="runs",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder for run folders.",
)


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(evolve.__version__, prog_name="pride")
def main() -> None:
    """Pride finds optimizers: it mutates programs, scores them on proxy tasks and exports what it
    finds to Optax.
    """


def _worker_overrides(workers: str | None, address: str | None) -> tuple[str, ...]:
    """The keys of a config that the options stand for. Raises `ConfigError`."""
    if address is not None and workers not in (None, "ray"):
        raise ConfigError(f"--address {address} is for --workers ray, not for --workers {workers}")
    where = (
        () if address is None else ("workers.kind=ray", f"workers.address={json.dumps(address)}")
    )
    if workers is None:
        return where
    if workers.isdecimal() and int(workers) > 0:
        return ("workers.kind=local", f"workers.count={workers}")
    kinds = get_args(WorkerSettings.model_fields["kind"].annotation)
    if workers not in kinds:
        raise ConfigError(
            f"--workers {workers}: write {', '.join(kinds)}, or a number of local workers"
        )
    return (f"workers.kind={workers}", *where)


@main.command(**example("evolve run quickstart --set budget.seconds=60 --seed 1"))
@click.argument("config")
@set_option
@click.option(
    "--seed", type=int, help="Seed of the run; the same config and seed give the same run."
)
@workers_option
@address_option
@output_option
def run(
    config: str,
    overrides: tuple[str, ...],
    seed: int | None,
    workers: str | None,
    address: str | None,
    root: Path,
) -> None:
    """Search for optimizers as CONFIG says: the name of a preset, or a YAML file.

    The last line printed is the run's folder. Ctrl-C stops and says how to go on.
    """
    from evolve.record.folder import RunFolder
    from evolve.running.life import resolve

    more = () if seed is None else (f"seed={seed}",)
    settings = load_config(config, (*overrides, *more, *_worker_overrides(workers, address)))
    resolved, inputs = resolve(settings)
    folder = RunFolder.create(root, resolved, settings.model_dump(mode="json"), inputs)
    say(
        f"run {resolved.name}: {resolved.search.kind} from {', '.join(resolved.search.initial)}, "
        f"seed {resolved.seed}"
    )
    _live(folder, resolved)


@main.command(
    **example("evolve resume runs/quickstart-20261122T101500Z-1a2b --set budget.candidates=100000")
)
@click.argument("folder", metavar="RUN")
@set_option
@workers_option
@address_option
@click.option(
    "--allow-different-machine",
    is_flag=True,
    help="Go on although machine or software differ; recorded.",
)
def resume(
    folder: str,
    overrides: tuple[str, ...],
    workers: str | None,
    address: str | None,
    allow_different_machine: bool,
) -> None:
    """Go on with a run that was stopped or killed. Budgets are totals; only budget and workers
    can change.
    """
    from evolve.record.folder import RunFolder

    opened = RunFolder.open(folder)
    config = opened.config()
    changed = _apply(config, (*overrides, *_worker_overrides(workers, address)))
    if changed.decisive() != config.decisive() or changed.confirm != config.confirm:
        raise ConfigError(
            f"{folder}: only the budget and the workers of a run can change, so that it stays "
            f"one run. "
            "Start another one with `evolve run`."
        )
    _live(
        opened,
        changed,
        allow_different_machine,
        "".join(f" --set {shlex.quote(o)}" for o in overrides),
    )


def _apply(config: Any, overrides: tuple[str, ...]) -> Any:
    return validated(overridden(config.model_dump(mode="json"), overrides), "--set")


def _live(
    folder: Any, config: Any, allow_different_machine: bool = False, options: str = ""
) -> None:
    from evolve.interrupt import Interrupted, StopSignal
    from evolve.reporting.progress import command
    from evolve.reporting.tables import print_result
    from evolve.running.life import execute

    def how_to_go_on() -> None:
        path = shlex.quote(str(folder.path))
        say(
            f"stopped; everything up to here is recorded. Go on with:\n  {command()} resume "
            f"{path}{options}"
        )
        with contextlib.suppress(OSError):
            click.echo(str(folder.path))

    stop = StopSignal(how_to_go_on)
    try:
        with stop.watching():
            result = execute(folder, config, say, stop, allow_different_machine)
    except Interrupted:
        how_to_go_on()
        sys.exit(128 + stop.number)
    print_result(result, config)
    click.echo(str(folder.path))


@main.command(**example("evolve status runs/quickstart-20261122T101500Z-1a2b --json"))
@click.argument("folder", metavar="RUN")
@json_flag
def status(folder: str, as_json: bool) -> None:
    """Say how far a run is, while it runs or later."""
    from evolve.record.folder import RunFolder
    from evolve.record.status import status as status_of
    from evolve.reporting.progress import print_status

    found = status_of(RunFolder.open(folder))
    facts(found) if as_json else print_status(found)


def find_program(name_or_file: str) -> Program:
    """A known name, a program file, or the best program of a run folder. Raises `ProgramError`."""
    import baselines
    from baselines import handwritten
    from evolve.record.folder import RunFolder
    from primitives import load

    if name_or_file not in baselines.names() and Path(name_or_file).is_dir():
        program = load(RunFolder.open(name_or_file).best())
        title = program.doc.split(":")[0]
        from dataclasses import replace

        return replace(program, name=title if title.isidentifier() else "found")
    if name_or_file in handwritten.names():
        raise ProgramError(
            f"{name_or_file} is written by hand and has no program",
            hint="`evolve score` takes it too.",
        )
    return baselines.find(name_or_file)


@main.command(**example("evolve show lion"))
@click.argument("program", metavar="NAME|FILE|RUN")
@click.option("--live", is_flag=True, help="Leave out what is dead.")
@click.option("--latex", is_flag=True, help="Print the rule alone, as LaTeX (amsmath).")
@json_flag
def show(program: str, live: bool, latex: bool, as_json: bool) -> None:
    """Print a program, its rule as mathematics, its hyperparameters and what a step of it costs.

    An optimizer that is written by hand has no program: its description is printed.
    """
    from baselines import handwritten
    from evolve.reporting.tables import print_handwritten, print_program, program_facts
    from primitives.canonical.liveness import prune
    from primitives.writing.mathematics import latex_rule

    if program in handwritten.names():
        print_handwritten(handwritten.get(program), as_json)
        return
    found = find_program(program)
    if live:
        found = prune(found)
    if latex:
        click.echo(latex_rule(found))
        return
    facts(program_facts(found)) if as_json else print_program(found)


@main.command(**example("evolve score adamw lion my_program.py --suite quickstart"))
@click.argument("programs", metavar="NAME|FILE|RUN...", nargs=-1, required=True)
@click.option(
    "--suite",
    "suite_name",
    default="quickstart",
    show_default=True,
    help="Tasks: a preset's name, or a YAML file.",
)
@click.option(
    "--seeds",
    default=10,
    show_default=True,
    type=click.IntRange(2, 1000),
    help="Fresh seeds; the same for all.",
)
@click.option(
    "--schedule", default="", metavar="TEXT", help="Learning rate of all: `evolve list schedules`."
)
@workers_option
@address_option
@json_flag
def score(
    programs: tuple[str, ...],
    suite_name: str,
    seeds: int,
    schedule: str,
    workers: str | None,
    address: str | None,
    as_json: bool,
) -> None:
    """Score optimizers side by side, as a run confirms its finalists: fresh seeds, the test part, 0
    is tuned AdamW.

    Known names have their hyperparameters tuned on each task where the references know them; a file
    is scored as it stands, with its own `learning_rate` as the peak of the schedule (0.001 if it
    states none). `clip_by_norm+lion` puts a prologue before a program. A schedule such as
    "step_decay(factor=0.5, every=0.25)" replaces that of the tasks for all that are scored; the
    reference, 0, keeps its own.
    """
    from evolve.comparison.contest import Contestant, confirm, known_label
    from evolve.config.schema import checked_schedule
    from evolve.reporting.tables import print_verdicts
    from evolve.scoring.suite import known, known_names, make_suite, reference
    from evolve.scoring.trial import check_fit
    from evolve.workers.executor import make_executor
    from primitives.program import LEARNING_RATE

    try:
        schedule = checked_schedule(schedule)
    except ValueError as fault:
        raise ConfigError(f"--schedule: {fault}") from None
    name, tasks = load_suite(suite_name)
    suite = make_suite(name, tasks)
    for task in suite.tasks:
        reference(task)
    contestants = []
    for given in programs:
        by_name = given in known_names()
        optimizer = known(given) if by_name else find_program(given)
        for task in suite.tasks:
            check_fit(optimizer, task)
        label = known_label(given, suite) if by_name else optimizer.name
        if not by_name and LEARNING_RATE not in optimizer.values and "lr" in optimizer.inputs:
            say(f"{given} states no learning_rate; 0.001 is used as the peak of the schedule")
        contestants.append(Contestant(label, optimizer, known=given if by_name else ""))
    settings = _worker_settings(workers, address, len(contestants))
    executor = make_executor(settings, tasks)
    try:
        executor.ready()
        verdicts = confirm(executor, contestants, seeds, schedule=schedule)
    finally:
        executor.close()
    if as_json:
        verdicts_facts = [v.facts() for v in verdicts]
        facts(
            {
                "suite": suite.name,
                "seeds": seeds,
                "part": "test",
                "schedule": schedule,
                "verdicts": verdicts_facts,
            }
        )
    else:
        under = f", {schedule}" if schedule else ""
        print_verdicts(verdicts, f"{suite.name}: {seeds} fresh seeds, test part{under}")


def _worker_settings(workers: str | None, address: str | None, most: int) -> WorkerSettings:
    """Who scores outside a run: no more processes than there is to do."""
    from evolve.environment import available_cores

    given = overridden({"workers": {}}, _worker_overrides(workers, address))["workers"]
    if not given:
        given["count"] = min(2, most, available_cores())
    return WorkerSettings(**given)


@main.command(**example("evolve export lion --to optax -o lion.py"))
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
@json_flag
def export(
    program: str, target: str, output: Path | None, name: str | None, force: bool, as_json: bool
) -> None:
    """Write an optimizer as one file that needs only jax and optax."""
    from primitives.export.optax import to_optax_source

    found = find_program(program)
    source = to_optax_source(found, name=name)
    alias = name or found.name
    about = {"alias": alias, "scale_by": f"scale_by_{alias}", "target": target}
    if output is None:
        facts(about | {"source": source}) if as_json else click.echo(source, nl=False)
        return
    if output.exists() and not force:
        raise ConfigError(
            f"{output}: exists already. Choose another name, or write over it with --force."
        )
    try:
        output.write_text(source)
    except OSError as fault:
        raise ConfigError(
            f"{output}: cannot be written: {fault.strerror}. Choose another place with -o."
        ) from None
    if as_json:
        facts({"file": str(output)} | about)
    else:
        click.echo(
            f"{output}: {alias}(learning_rate, ...) and scale_by_{alias}(...), as optax optimizers"
        )


@main.command("list", **example("evolve list primitives"))
@click.argument(
    "what",
    type=click.Choice(
        ["optimizers", "prologues", "primitives", "schedules", "tasks", "presets", "suites"]
    ),
)
@json_flag
def list_(what: str, as_json: bool) -> None:
    """List what there is; with --json, all that is known of each."""
    from evolve.reporting.tables import listing, print_listing

    rows = listing(what)
    facts(rows) if as_json else print_listing(what, rows)


@main.command(**example("evolve validate my_program.py my_config.yaml"))
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@json_flag
def validate(files: tuple[str, ...], as_json: bool) -> None:
    """Check programs (.py) and configurations (.yaml, or the name of a preset) without running
    anything.
    """
    from evolve.running.life import resolve

    results = []
    for given in files:
        error = ""
        try:
            if given.endswith((".yaml", ".yml")) or given in preset_names():
                resolve(load_config(given))
            else:
                find_program(given)
        except (ProgramError, ConfigError) as fault:
            error = str(fault)
        results.append({"file": given, "valid": not error, "error": error})
    if as_json:
        facts(results)
    else:
        for result in results:
            click.echo(f"{result['file']}: fine" if result["valid"] else result["error"])
    if not all(r["valid"] for r in results):
        sys.exit(2)


@main.command(**example("evolve reference quickstart --trials 256"))
@click.argument("suites", metavar="SUITE...", nargs=-1, required=True)
@click.option(
    "--trials",
    default=128,
    show_default=True,
    type=click.IntRange(8),
    help="Points per optimizer; equal for all.",
)
@click.option(
    "--seeds", default=4, show_default=True, type=click.IntRange(1), help="Seeds per point."
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
def reference(
    suites: tuple[str, ...], trials: int, seeds: int, optimizers: str, into: Path
) -> None:
    """Tune known optimizers on the tasks of suites, with equal budgets: what scores are relative
    to.

    Optimizers that a reference file has already, and that are not named, stay in it as they are.
    """
    from evolve.scoring.suite import known, suite
    from evolve.scoring.trial import check_fit
    from evolve.tuning.reference import tune_task, write_reference

    names = tuple(dict.fromkeys(name.strip() for name in optimizers.split(",") if name.strip()))
    tasks = [task for name in suites for task in suite(name).tasks]
    for task in tasks:
        for name in names:
            check_fit(known(name), task)
    for task in tasks:
        content = tune_task(task, names, trials, seeds, say)
        click.echo(str(write_reference(into, content)))


@main.command(
    "tune", **example("evolve tune my_program.py --suite quickstart --trials 128 --into my_tuning")
)
@click.argument("program", metavar="NAME|FILE|RUN")
@click.option(
    "--suite",
    "suite_name",
    default="quickstart",
    show_default=True,
    help="Tasks: a preset's name, or a YAML file.",
)
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
def tune_(program: str, suite_name: str, trials: int, seeds: int, into: Path, resume: bool) -> None:
    """Tune the hyperparameters for which a program declares a range, by Ray Tune; one set of values
    for a whole suite.

    What does badly early is trained no further. The best few, and the program as it stands, are
    scored again on fresh seeds, which decides. Ctrl-C stops and says how to go on.
    """
    from evolve.comparison.contest import LEVEL, interval
    from evolve.environment import available_cores
    from evolve.interrupt import Interrupted, StopSignal
    from evolve.reporting.progress import command
    from evolve.tuning.asha import Plan, tune

    def how_to_go_on() -> None:
        given = [
            program,
            "--suite",
            suite_name,
            "--trials",
            trials,
            "--seeds",
            seeds,
            "--into",
            into,
            "--resume",
        ]
        say(
            f"stopped; what was finished is recorded. Go on with:\n  {command()} tune "
            f"{shlex.join(map(str, given))}"
        )

    _, tasks = load_suite(suite_name)
    optimizer = find_program(program)
    plan = Plan.of(optimizer, tasks, trials, seeds)
    stop = StopSignal(how_to_go_on)
    try:
        with stop.watching():
            found = tune(plan, into, resume, available_cores(), stop)
    except Interrupted:
        how_to_go_on()
        sys.exit(128 + stop.number)
    click.echo(
        f"{optimizer.name}: "
        f"{', '.join(f'{count} {status}' for status, count in found['trials'].items())}"
    )
    for name, value in found["values"].items():
        click.echo(f"  {name} = {value:g}  (was {optimizer.values[name]:g})")
    scores = found["test"]
    low, high = interval(scores, LEVEL)
    click.echo(
        f"{sum(scores) / len(scores):+.4f} ({low:+.4f} to {high:+.4f}) on the test part, in "
        f"{len(scores)} fresh seeds; "
        "0 is tuned AdamW"
    )
    click.echo(str(into / "program.py"))


if __name__ == "__main__":
    main()
