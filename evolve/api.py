"""The front door: what the commands give, as functions. The commands call nothing else.

Whatever takes an optimizer takes a known name, the path of a program file or of a run's folder, a
`Program`, or something that was found. Whatever takes a suite takes a preset's name or a YAML file.
`plugins` are files or names of entry points; they are executed, and stay loaded in this process.
Lines about the progress of things go to `say`; without one, to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from baselines import handwritten
from evolve import plugins as guests
from evolve.comparison.contest import UNTUNED, Contestant, confirm
from evolve.config.errors import ConfigError
from evolve.config.presets import load_suite
from evolve.config.schema import Config, checked_schedule
from evolve.config.validation import overridden, validated
from evolve.environment import available_cores
from evolve.files import replace_file
from evolve.given import (
    Given,
    as_found,
    changes_of,
    check_address,
    config_from,
    entrants_of,
    find,
    listed,
    load_named,
    opened_run,
    program_of,
    with_lifted_budget,
    with_values_of_runs,
    worker_settings,
)
from evolve.record.folder import RunFolder
from evolve.record.status import status as status_of
from evolve.record.verify import Verified
from evolve.record.verify import verify as verified
from evolve.reporting.comparison import Comparison
from evolve.reporting.lists import Listing, listing
from evolve.reporting.programs import Exported, Shown, shown
from evolve.reporting.progress import COMPILING, watching
from evolve.reporting.scores import Scores
from evolve.reporting.study import Study
from evolve.reporting.tuned import Tuned, tuning_of
from evolve.running.facts import Plan
from evolve.running.life import execute
from evolve.running.listeners import Listener, Printer
from evolve.scoring.fit import check_fit
from evolve.scoring.optimizers import is_known, known, title
from evolve.scoring.references import local_line, tuned
from evolve.scoring.suite import REFERENCE, Suite, suite_of
from evolve.scoring.training import Training, watched
from evolve.scoring.trial import Trials
from evolve.tuning.effort import LEAST, TRAININGS, Effort
from evolve.validation import Checked, check_file, check_plugin
from evolve.workers.executor import make_executor
from primitives import Program, ProgramError
from primitives.canonical.liveness import prune
from primitives.errors import plain
from primitives.export.optax import SHADOWED, to_optax_source, tried_optax_source
from primitives.export.optax import to_optax as optax_of
from primitives.statements import LEARNING_RATE

Say = Callable[[str], None]
Stop = Callable[[], bool]
Began = Callable[[Path], object]


def _to_stderr(line: str) -> None:
    print(plain(line), file=sys.stderr)


def _never() -> bool:
    return False


def _ignore(path: Path) -> None:
    pass


# --- searching ------------------------------------------------------------------------------------


def run(
    config: str | Path | Mapping[str, Any] | Config = "quickstart",
    *,
    seed: int | None = None,
    budget: Mapping[str, float] | None = None,
    overrides: Sequence[str] = (),
    workers: Any = None,
    plugins: Sequence[str | Path] = (),
    root: str | Path = "runs",
    listeners: Sequence[Listener] | None = None,
    say: Say | None = None,
    stop: Stop = _never,
    began: Began = _ignore,
) -> Study:
    """Search for optimizers, confirm what was found on fresh seeds, and export the best.

    config: a preset's name, a YAML file, or what such a file says, as a mapping; seed, budget
    ({"candidates": ..., "seconds": ...}) and overrides ("search.population=200") change it.
    workers: a kind ("local", "inline", "ray", ...), a number of local ones, or a mapping.
    listeners: hear what happens; without any, the lines that the command prints go to `say`.
    stop: asked again and again; once it says True, the run ends, and can be resumed.
    began: hears of the run's folder when that is there.

    The same config and seed give the same run, whatever the workers. Ctrl-C stops it.
    Raises `ConfigError`, `ProgramError`, `PluginError` before anything runs; `Interrupted`.

    >>> import evolve
    >>> study = evolve.run("smoke", budget={"candidates": 40})  # doctest: +SKIP
    >>> study.best.program.name, study.chain[:8]  # doctest: +SKIP
    ('found_31', '5c2a91f0')
    """
    say = say or _to_stderr
    given = config_from(config, seed, budget, overrides, workers, plugins)
    plan = Plan.of(given)
    if line := local_line(plan.suite):
        say(line)
    for plugin in guests.loaded():
        check_plugin(plugin, plan.suite)
    folder = RunFolder.create(
        Path(root), plan.config, given.model_dump(mode="json"), plan.inputs, guests.loaded()
    )
    how = f"{plan.config.search.kind} from {', '.join(plan.config.search.initial)}"
    say(f"run {plan.config.name}: {how}, seed {plan.config.seed}")
    began(folder.path)
    return _lived(folder, plan, listeners, say, stop)


def resume(
    folder: str | Path | Study,
    *,
    budget: Mapping[str, float] | None = None,
    overrides: Sequence[str] = (),
    workers: Any = None,
    allow_different_machine: bool = False,
    trust: bool = False,
    plugins: Sequence[str | Path] = (),
    listeners: Sequence[Listener] | None = None,
    say: Say | None = None,
    stop: Stop = _never,
    began: Began = _ignore,
) -> Study:
    """Go on with a run that was stopped or killed.

    Budgets are totals; only budget and workers can change. A longer budget in candidates lifts one
    in seconds that is not given too, and the other way round. trust: execute the plug-ins that the
    run's folder names, which is done without asking only where this user has named them before,
    and connect to the Ray cluster that it names. For the rest, see `run`.

    Raises `ConfigError`, `RunIsLive`, `JournalError`, `PluginError`, `Interrupted`.

    >>> study = evolve.resume("runs/quickstart-20261122T101500Z-1a2b")  # doctest: +SKIP
    """
    say = say or _to_stderr
    opened = opened_run(folder, trust, plugins)
    config = opened.config()
    changes = (*overrides, *changes_of(None, budget, workers))
    changed = validated(
        overridden(config.model_dump(mode="json"), changes), str(opened.path), changes
    )
    changed = with_lifted_budget(config, changed, changes, say)
    if changed.decisive() != config.decisive() or changed.confirm != config.confirm:
        raise ConfigError(
            f"{opened.path}: only the budget and the workers of a run can change, so that it stays "
            "one run. Start another one with `evolve run`."
        )
    if not trust:
        check_address(opened, changed, changes)
    plan = Plan.from_folder(opened, changed)
    began(opened.path)
    return _lived(opened, plan, listeners, say, stop, allow_different_machine)


def open_run(folder: str | Path | Study, *, trust: bool = False) -> Study:
    """Read what a run has found so far, while it runs or later; changes nothing.

    trust: see `resume`; programs made of a plug-in's primitives cannot be read without it.
    Raises `ConfigError` where the folder is no run, `JournalError` where it is damaged.

    >>> evolve.open_run("runs/quickstart-20261122T101500Z-1a2b").state  # doctest: +SKIP
    'finished'
    """
    opened = opened_run(folder, trust)
    return Study.read(opened)


def status(folder: str | Path) -> dict[str, Any]:
    """Tell how far a run is, as facts for machines; executes and changes nothing.

    Raises `ConfigError` where the folder is no run, `JournalError` where it is damaged.

    >>> evolve.status("runs/quickstart-20261122T101500Z-1a2b")["candidates"]  # doctest: +SKIP
    24000
    """
    return status_of(RunFolder.open(folder))


def verify(folder: str | Path) -> Verified:
    """Check that a run is as it was written: rows, chain, checkpoints, configs, plug-ins, results.

    Executes and changes nothing, and takes some seconds for a hundred thousand candidates.
    Raises `ConfigError` where the folder is no run; whatever else is wrong is in what it gives.

    >>> evolve.verify("runs/quickstart-20261122T101500Z-1a2b").sound  # doctest: +SKIP
    True
    """
    return verified(RunFolder.open(folder))


def _lived(
    folder: RunFolder,
    plan: Plan,
    listeners: Sequence[Listener] | None,
    say: Say,
    stop: Stop,
    allow_different_machine: bool = False,
) -> Study:
    if listeners is None:
        say(f"{plan.suite.name}: starting workers and {COMPILING}")
        listeners = (Printer(say),)
    return Study.of(execute(folder, plan, listeners, stop, allow_different_machine))


# --- comparing ------------------------------------------------------------------------------------


def score(
    optimizers: Given | Sequence[Given],
    suite: str = "quickstart",
    seeds: int = 10,
    *,
    schedule: str = "",
    workers: Any = None,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
    say: Say | None = None,
) -> Scores:
    """Score optimizers side by side, as a run confirms its finalists: fresh seeds, the test part.

    Known names have their hyperparameters tuned on each task where the references know them;
    anything else is scored as it stands, with its own `learning_rate` as the peak of the schedule
    (0.001 if it states none). schedule: of the learning rate, for all that are scored, such as
    "step_decay(factor=0.5, every=0.25)"; empty for that of each task. seeds: 2 to 1000. Of a run
    among them, the tuned values that it began with are used on its tasks.

    Unit    log(loss of the reference / loss): 0 is the tuned reference, 0.1 is 10 % less loss.
    Raises `ConfigError`, `ProgramError`, `PluginError`: one sentence each, ready to be shown.

    >>> import evolve
    >>> scores = evolve.score(["adamw", "lion"], suite="smoke", seeds=2, workers="inline")
    >>> scores["adamw"].score, scores["lion"].score > -1
    (0.0, True)
    """
    say = say or _to_stderr
    if not 2 <= seeds <= 1000:
        raise ConfigError(f"seeds: {seeds} is not from 2 to 1000")
    try:
        schedule = checked_schedule(schedule)
    except ValueError as fault:
        raise ConfigError(f"--schedule: {fault}") from None
    load_named(plugins)
    tasks = suite_of(suite)
    if line := local_line(tasks):
        say(line)
    here, tasks = tasks, with_values_of_runs(tasks, listed(optimizers))
    if here.references != tasks.references:
        say("on the tasks of the runs given, the tuned values that they began with are used")
    for task in tasks:
        tasks.reference_on(task)

    contestants = [_contestant(given, tasks, trust, say) for given in listed(optimizers)]
    say(f"{tasks.name}: {COMPILING}")
    executor = make_executor(worker_settings(workers, len(contestants)), tasks)
    try:
        executor.ready()
        with watching(f"scoring in {seeds} seeds", len(contestants), say) as done:
            verdicts = confirm(executor, tasks, contestants, seeds, schedule=schedule, done=done)
    finally:
        executor.close()
    return Scores(
        tuple(verdicts), tasks.name, seeds, tasks.reference_label, schedule, suite_given=suite
    )


def _contestant(given: Given, suite: Suite, trust: bool, say: Say) -> Contestant:
    """Find an optimizer that is to be scored, and see that it can run on all tasks."""
    name = given if isinstance(given, str) and is_known(given) else ""
    optimizer = known(name) if name else find(given, trust=trust)
    for task in suite:
        check_fit(optimizer, task)
    if name:
        return Contestant(name, optimizer, known=name)
    found_on: tuple[str, ...] = ()
    if isinstance(optimizer, Program):
        optimizer, found_on = as_found(given, optimizer, suite)
    if (
        isinstance(optimizer, Program)
        and LEARNING_RATE not in optimizer.values
        and "lr" in optimizer.inputs
    ):
        said = given if isinstance(given, str) else optimizer.name
        say(f"{said} states no learning_rate; 0.001 is used as the peak of the schedule")
    if isinstance(given, str) and is_known(given.rpartition("+")[2]):
        # A prologue before a known program: nobody has tuned the two together.
        return Contestant(given, optimizer, tuning=UNTUNED)
    if isinstance(given, str | Path) and isinstance(optimizer, Program):
        tuning = tuning_of(Path(given), optimizer)
        return Contestant(optimizer.name, optimizer, tuning=tuning, found_on=found_on)
    return Contestant(optimizer.name, optimizer, found_on=found_on)


def compare(
    optimizers: Given | Sequence[Given],
    suite: str = "search",
    *,
    trainings: int = 128,
    tunings: int = 2,
    seeds: int = 10,
    one: bool = False,
    scramble: int = 0,
    workers: int = 1,
    into: str | Path | None = None,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
    say: Say | None = None,
    stop: Stop = _never,
) -> Comparison:
    """Compare optimizers as the field asks for it: all tuned alike, several times, on every task.

    Everybody is tuned by racing with the same budget of trainings, `tunings` times independently;
    the better one is chosen on seeds of its own, and all are trained on the seeds of the table, so
    that the intervals hold the luck of tuning too. Tuned AdamW is 0 and takes part whether it is
    named or not. one: one configuration for all tasks of the suite. scramble: another number gives
    an independent comparison. All that is trained, and the tables and figures, lie in the folder
    `into`, "comparisons/SUITE" if None; the same call goes on where it was interrupted. workers:
    processes; with more than one, a script calls this behind `if __name__ == "__main__":`.

    Unit    log(loss of tuned AdamW / loss): 0.1 is 10 % less loss.
    Raises `ConfigError`, `ProgramError`, `PluginError`, `Interrupted`.

    >>> evolve.compare(["lion", "my_program.py"], "screen")["lion"].score  # doctest: +SKIP
    0.0213
    """
    from evolve.comparison.compare import Design
    from evolve.comparison.compare import compare as compared

    if tunings < 2:
        raise ConfigError(f"tunings: {tunings} is below 2, and one says nothing of its luck")
    if not 2 <= seeds <= 1000:
        raise ConfigError(f"seeds: {seeds} is not from 2 to 1000")
    if trainings < LEAST:
        raise ConfigError(f"trainings: {trainings} is below {LEAST}, too few for a race")
    load_named(plugins)
    say, tasks = say or _to_stderr, suite_of(suite)
    given = [REFERENCE, *(g for g in listed(optimizers) if g != REFERENCE)]
    entrants = entrants_of(given, tasks, trust)
    folder = Path("comparisons", tasks.name) if into is None else Path(into)
    design = Design(trainings, tunings, seeds, one, scramble)
    watched = partial(watching, say=say)
    found, notes = compared(tasks, entrants, design, folder, workers, say, watched, stop)
    against = f"{'' if one else 'tuned '}{title(known(REFERENCE))}"
    result = Comparison(found, tasks.name, against, tuple(notes), folder)
    result.write()
    return result


def tune(
    optimizer: Given,
    suite: str = "quickstart",
    *,
    trials: int = 64,
    seeds: int = 2,
    into: str | Path = "tuned",
    resume: bool = False,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
    say: Say | None = None,
    stop: Stop = _never,
) -> Tuned:
    """Tune the hyperparameters for which a program declares a range, by Ray Tune.

    One set of values serves the whole suite. What does badly early is trained no further; the best
    few, and the program as it stands, are scored again on fresh seeds, which decides. All that is
    found lies in the folder `into`; with `resume` it goes on with what that holds.
    trials: points in the declared ranges; seeds: of each point.

    Raises `ConfigError`, `ProgramError`, `TuningFailed`, `Interrupted`.

    >>> evolve.tune("lion", "smoke", trials=32).values  # doctest: +SKIP
    {'learning_rate': 0.0121, 'beta1': 0.87, 'beta2': 0.98, 'weight_decay': 0.3}
    """
    from evolve.tuning.asha import tune as tuned_by_ray  # imports Ray
    from evolve.tuning.trials import Plan as Tuning

    load_named(plugins)
    _, tasks = load_suite(suite)
    program = find(optimizer, trust=trust)
    if not isinstance(program, Program):
        raise ProgramError(
            f"{program.name} is no program, and only a program's ranges are tuned here",
            hint="`evolve reference` tunes what is written by hand.",
        )
    plan = Tuning.of(program, tasks, trials, seeds)
    say = say or _to_stderr
    if line := local_line(plan.suite()):
        say(line)
    say(f"{plan.name}: starting Ray and {COMPILING}")
    bar = partial(watching, say=say)
    found = tuned_by_ray(plan, Path(into), resume, available_cores(), stop, bar)
    return Tuned.of(program, found, Path(into), plan.suite().reference_label)


def reference(
    suites: str | Sequence[str],
    optimizers: Sequence[str] = ("adamw", "lion"),
    *,
    trainings: int = TRAININGS,
    scramble: int = 0,
    workers: int = 1,
    again: bool = False,
    into: str | Path = "references",
    plugins: Sequence[str | Path] = (),
    say: Say | None = None,
    written: Callable[[Path], None] = lambda path: None,
    stop: Stop = _never,
) -> list[Path]:
    """Tune known optimizers on the tasks of suites by racing, all with the same budget.

    What they reach is what scores are relative to.
    optimizers: known names; AdamW is what 0 means; `adamw_one` is its one best configuration for a
    whole suite. trainings: of each optimizer on each task, 32 at least. scramble: another number
    gives an independent tuning. workers: processes; with more than one, a script calls this behind
    `if __name__ == "__main__":`. Each optimizer on a task is written into a file of the folder
    `into` as it is done; what lies there already, tuned in the same way, is not tuned again, unless
    `again`. Gives a file per task; `written` hears of each that was written when it is complete.
    Other optimizers that a file has stay in it as they are.

    Raises `ConfigError`, `ProgramError`, `Interrupted`.

    >>> evolve.reference("my_suite.yaml", ["adamw"], trainings=256)  # doctest: +SKIP
    [PosixPath('references/noisy_quadratic-55d7d1dd48e662ab.json')]
    """
    from evolve.tuning.pieces import pieces_of, tune_pieces

    load_named(plugins)
    names = tuple(dict.fromkeys(optimizers))
    pieces = pieces_of(
        [suite_of(name) for name in ([suites] if isinstance(suites, str) else suites)], names
    )
    for piece in pieces:
        for task in piece.tasks:
            check_fit(known(piece.name), task)
    say = say or _to_stderr
    effort = Effort(trainings, scramble)
    watched = partial(watching, say=say)
    return tune_pieces(pieces, effort, Path(into), workers, again, say, watched, written, stop)


def train(
    optimizer: Given,
    suite: str = "quickstart",
    *,
    seed: int = 0,
    every: int = 10,
    patience: int | None = None,
    schedule: str = "",
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
) -> tuple[Training, ...]:
    """Train on every task of a suite and watch: a record every so many steps, for plots.

    A record is the loss, the validation loss, the norm of the gradient, and for each leaf the size
    of the update over that of the weights. patience: end after so many records without a better
    validation loss; None trains to the end. A known name has the values tuned on each task, where
    there are some.

    Raises `ConfigError`, `ProgramError`, `PluginError`.

    >>> import evolve
    >>> dense, bowl = evolve.train("lion", "smoke", every=20)  # doctest: +SKIP
    >>> dense.step.tolist(), dense.ended, min(dense.update_ratio)  # doctest: +SKIP
    ([0, 20, 40], 'ok', 'head.bias')
    """
    if every < 1 or (patience is not None and patience < 1):
        raise ConfigError("every and patience are whole numbers of at least 1")
    try:
        schedule = checked_schedule(schedule)
    except ValueError as fault:
        raise ConfigError(f"schedule: {fault}") from None
    load_named(plugins)
    tasks, name = suite_of(suite), optimizer if isinstance(optimizer, str) else ""
    found = known(name) if is_known(name) else find(optimizer, trust=trust)
    for task in tasks:
        check_fit(found, task)
    return tuple(
        watched(
            Trials(task),
            (tasks.tuned(name, task) if is_known(name) else None) or found,
            f"train:{seed}",
            every,
            patience,
            schedule,
        )
        for task in tasks
    )


def power(
    suites: str | Sequence[str],
    *,
    seeds: int = 16,
    mutants: int = 4,
    into: str | Path = "references/power",
    again: bool = False,
    plugins: Sequence[str | Path] = (),
    say: Say | None = None,
    written: Callable[[Path], None] = lambda path: None,
) -> list[Path]:
    """Measure what a training on each task of suites is worth: power = spread / noise / sqrt(s).

    noise: of one seed, between programs that are nearly the same; spread: how far apart tuned
    optimizers of ten families end; `evolve.list_tasks` shows both. Optimizers that nobody has tuned
    on a task are left out, and its file names them; so is a task on which nobody has tuned AdamW.
    A task that has a file in the folder `into` is left as it is, unless `again`. Gives a file per
    task.

    Raises `ConfigError`, `PluginError`.

    >>> evolve.power("smoke", seeds=8)  # doctest: +SKIP
    [PosixPath('references/power/digits_dense-55d7d1dd48e662ab.json'), ...]
    """
    from evolve.tuning.measured import path_of, stored_power, write_power
    from evolve.tuning.power import FEWEST_SEEDS, measure

    load_named(plugins)
    if seeds < FEWEST_SEEDS:
        raise ConfigError(f"seeds: {seeds} is below {FEWEST_SEEDS}, too few for a deviation")
    tasks = dict.fromkeys(
        task
        for name in ([suites] if isinstance(suites, str) else suites)
        for task in suite_of(name)
    )
    paths, say = [], say or _to_stderr
    for task in tasks:
        if tuned(REFERENCE, task) is None:
            say(f"{task.kind} is left out: nobody has tuned {REFERENCE} on it (evolve reference)")
            continue
        if again or stored_power(Path(into), task) is None:
            facts = measure(task, seeds, mutants, watching=partial(watching, say=say))
            write_power(Path(into), facts)
        paths.append(path_of(Path(into), task))
        written(paths[-1])
    return paths


# --- taking home ----------------------------------------------------------------------------------


def export(
    optimizer: Given,
    to: str = "optax",
    *,
    path: str | Path | None = None,
    name: str | None = None,
    overwrite: bool = False,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
) -> Exported:
    """Write an optimizer as one file that needs only jax and optax.

    path: where to write it, None for nowhere; name: of the optimizer there, its own if None.
    Raises `ProgramError` where it cannot be exported, `ConfigError` where it cannot be written.

    >>> import evolve
    >>> "def scale_by_lion(" in evolve.export("lion").source
    True
    """
    if to != "optax":
        raise ConfigError(f"nothing is exported to {to!r}; there is: optax")
    load_named(plugins)
    program = program_of(optimizer, trust)
    if path is None:
        return Exported(name or program.name, to_optax_source(program, name=name))
    output = Path(path)
    if output.is_dir():
        file = output / f"{name or program.name}.py"
        raise ConfigError(f"{output}: is a folder. Name a file in it, such as {file}")
    if output.exists() and not overwrite:
        raise ConfigError(
            f"{output}: exists already. Choose another name, or write over it with --force."
        )
    if output.exists() and not output.is_file():  # a device
        raise ConfigError(f"{output}: is no file. Choose another name.")
    if output.name.removesuffix(".py") in SHADOWED:
        raise ConfigError(
            f"{output}: Python would import it in place of the module of that name. "
            "Choose another name."
        )
    exported = Exported(name or program.name, tried_optax_source(program, name=name))
    try:
        replace_file(output.resolve(), exported.source)
    except OSError as fault:
        raise ConfigError(
            f"{output}: cannot be written: {fault.strerror}. Choose another place with -o."
        ) from None
    return exported


def to_optax(
    optimizer: Given,
    learning_rate: Any = None,
    *,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
    **hyperparameters: Any,
) -> Any:
    """Make an optimizer that Optax's users can train with at once, without a file.

    learning_rate: a number or a schedule of Optax; None for the program's own, at which it was
    found or tuned. hyperparameters: as of the exported file, such as weight_decay=0.01, and
    by name what else it takes: mask, layout, state_dtype, seed.

    Gives an `optax.GradientTransformation`. Raises `ProgramError`.

    >>> import evolve, jax.numpy as jnp
    >>> lion = evolve.to_optax("lion", learning_rate=0.1, weight_decay=0.0)
    >>> updates, state = lion.update(jnp.ones(2), lion.init(jnp.zeros(2)), jnp.zeros(2))
    >>> updates.tolist()
    [-0.10000000149011612, -0.10000000149011612]
    """
    load_named(plugins)
    program = program_of(optimizer, trust)
    make = optax_of(program).optimizer
    rate = () if learning_rate is None else (learning_rate,)
    return make(*rate, **hyperparameters)


# --- looking --------------------------------------------------------------------------------------


def show(
    optimizer: Given,
    *,
    live: bool = False,
    plugins: Sequence[str | Path] = (),
    trust: bool = False,
) -> Shown:
    """Tell what is known of an optimizer: its program, the rule, hyperparameters, what it costs.

    live: leave out what is dead. Raises `ProgramError`.

    >>> import evolve
    >>> evolve.show("sgd").facts["operations_per_parameter"]
    2.0
    """
    load_named(plugins)
    if isinstance(optimizer, str) and optimizer in handwritten.names():
        return shown(handwritten.get(optimizer))
    program = program_of(optimizer, trust)
    return shown(prune(program) if live else program)


def validate(
    files: str | Path | Sequence[str | Path] = (), *, plugins: Sequence[str | Path] = ()
) -> list[Checked]:
    """Check programs (.py), configurations (.yaml, or a preset's name) and plug-ins.

    Programs and configurations are read, and nothing in them is executed. A plug-in is executed,
    and what it brings is held against its contract: a task is initialised and takes a step, a
    primitive is computed on awkward numbers.

    >>> import evolve
    >>> evolve.validate("quickstart")[0].valid
    True
    """
    names = [files] if isinstance(files, str | Path) else list(files)
    checked = [_checked_plugin(name) for name in plugins]  # first: the files may speak of them
    return [*(check_file(str(name)) for name in names), *checked]


def _checked_plugin(name: str | Path) -> Checked:
    try:
        (plugin,) = load_named([name])
        check_plugin(plugin)
    except (guests.PluginError, ConfigError, ProgramError) as fault:
        return Checked(str(name), str(fault))
    return Checked(str(name))


def list_(what: str, *, plugins: Sequence[str | Path] = ()) -> Listing:
    """List what there is of a kind, by the kind's name: "optimizers", "tasks", "suites", ...

    plugins: loaded first. The functions below are the same, one a kind.

    >>> import evolve
    >>> len(evolve.list_("tasks")) == len(evolve.list_tasks())
    True
    """
    load_named(plugins)
    return listing(what)


def list_optimizers() -> Listing:
    """List every known optimizer: name, year, class, state, error against a second opinion.

    >>> import evolve
    >>> evolve.list_optimizers()["lion"]["year"]
    '2023'
    """
    return listing("optimizers")


def list_prologues() -> Listing:
    """List what can stand before a program, as in `clip_by_norm+lion`.

    >>> import evolve
    >>> "clip_by_norm" in [row["name"] for row in evolve.list_prologues()]
    True
    """
    return listing("prologues")


def list_primitives() -> Listing:
    """List what a program can say.

    >>> import evolve
    >>> evolve.list_primitives()["interp"]["signature"]
    'interp(x, y, a: scalar)'
    """
    return listing("primitives")


def list_mutations() -> Listing:
    """List the mutations of a search, with their weights.

    >>> import evolve
    >>> [row["name"] for row in evolve.list_mutations()][:3]
    ['insert', 'delete', 'modify']
    """
    return listing("mutations")


def list_schedules() -> Listing:
    """List the schedules of a learning rate.

    >>> import evolve
    >>> "cosine" in [row["name"] for row in evolve.list_schedules()]
    True
    """
    return listing("schedules")


def list_tasks() -> Listing:
    """List the proxy tasks: what each measures and what it cannot, and what it is worth.

    >>> import evolve
    >>> "digits_dense" in [row["kind"] for row in evolve.list_tasks()]
    True
    """
    return listing("tasks")


def list_suites() -> Listing:
    """List the suites that have a name, with their tasks.

    >>> import evolve
    >>> evolve.list_suites()["quickstart"]["tasks"]
    'digits_dense'
    """
    return listing("suites")


def list_presets() -> Listing:
    """List the configs that have a name, with their budgets.

    >>> import evolve
    >>> evolve.list_presets()["quickstart"]["search"]
    'evolution'
    """
    return listing("presets")


def list_plugins() -> Listing:
    """List the plug-ins that are loaded here, and those that installed packages announce.

    >>> import evolve
    >>> all(set(row) == {"name", "sha256", "what"} for row in evolve.list_plugins())
    True
    """
    return listing("plugins")
