"""The command line: every command says how it is used, every mistake gets one clear message,
nothing is left behind.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import baselines
from baselines import handwritten
from evolve.commands.main import main
from evolve.commands.programs import LISTS
from evolve.config.errors import ConfigError
from evolve.config.presets import load_config, load_suite, preset_names, presets_folder
from evolve.config.validation import validated
from evolve.config.yaml import read_yaml, write_yaml
from evolve.reporting.lists import KINDS, MEASURED
from primitives import PRIMITIVES, parse
from proxy_tasks import TASKS
from proxy_tasks.schedules import CURVES

CONFIG = """
name: tiny
suite: [{kind: noisy_quadratic, dim: 32, steps: 60}]
search: {initial: [adamw], population: 10, tournament: 3, lag: 8, repeats: 1, phase: 100}
budget: {candidates: 120}
scoring: {seeds: 2, select_seeds: 2, hall_of_fame: 4}
confirm: {seeds: 2, finalists: 2, baselines: [adamw]}
workers: {kind: inline}
"""


def call(*args: object) -> Result:
    """A command in this process. What escapes as an exception would be a traceback."""
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def fine(*args: object) -> str:
    result = call(*args)
    assert result.exit_code == 0, result.stderr
    return result.stdout


@pytest.fixture(autouse=True)
def desk(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in, with one config."""
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(CONFIG)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, str, list[str]]:
    """A run: its folder, what `run` printed, and what lay beside the folder afterwards."""
    home = tmp_path_factory.mktemp("home")
    (home / "tiny.yaml").write_text(CONFIG)
    before = os.getcwd()
    os.chdir(home)
    try:
        out = fine("run", "tiny.yaml")
    finally:
        os.chdir(before)
    beside = sorted(str(p.relative_to(home)) for p in home.rglob("*"))
    return home / out.splitlines()[-1], out, beside


# --- help and lists -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", sorted(main.commands))
def test_the_help_of_every_command_ends_with_an_example_of_it(command):
    out = fine(command, "--help")
    assert f"Example: evolve {command} " in " ".join(out.split())


def test_the_first_help_names_all_commands_and_version_and_h_work():
    assert all(name in fine("-h") for name in main.commands)
    assert fine("--version").startswith("pride, version ")


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("optimizers", [*baselines.names(), *handwritten.names()]),
        ("prologues", baselines.prologues()),
        ("primitives", list(PRIMITIVES)),
        ("schedules", list(CURVES)),
        ("tasks", sorted(TASKS)),
        ("presets", preset_names()),
        ("suites", preset_names("suites")),
    ],
)
def test_lists_hold_everything_there_is_for_people_and_for_machines(what, names):
    rows = json.loads(fine("list", what, "--json"))
    assert sorted(row.get("name") or row["kind"] for row in rows) == sorted(names)
    if what != "optimizers":  # of those written by hand there is less to say
        said = [(key, value) for row in rows for key, value in row.items() if key not in MEASURED]
        assert all(value not in ("", None) for _, value in said)
    out = fine("list", what)
    assert all(name in out for name in names)


def test_the_command_offers_every_list_that_there_is():
    """It names them itself, because the lists import jax and `--help` must not."""
    assert LISTS == KINDS


# --- mistakes -------------------------------------------------------------------------------------

SET = ("run", "tiny.yaml", "--set")
MISTAKES = [
    (("run", "quickstrt"), "no preset is called 'quickstrt'. Did you mean 'quickstart'?"),
    (("run", "zzz"), "There are: matrices, overnight, quickstart, smoke; a file ends in .yaml."),
    (
        ("run", "missing.yaml"),
        "missing.yaml: cannot be read: No such file or directory. Check the path.",
    ),
    (("run", "./"), "./: is a folder; give a preset or a file."),
    (
        (*SET, "search.populaton=5"),
        "--set search.populaton=5: no key is called 'search.populaton'; did you mean 'population'?",
    ),
    (
        (*SET, "sarch.population=5"),
        "--set sarch.population=5: no key is called 'sarch'; did you mean 'search'?",
    ),
    (
        (*SET, "search.population=0"),
        "search.population: Input should be greater than or equal to 1, not 0",
    ),
    (
        (*SET, "search.population=-3"),
        "search.population: Input should be greater than or equal to 1, not -3",
    ),
    (
        (*SET, "search.population=1.5"),
        "search.population: Input should be a valid integer, not 1.5",
    ),
    (
        (*SET, "search.population=many"),
        "search.population: Input should be a valid integer, not 'many'",
    ),
    (
        (*SET, "search.population=true"),
        "search.population: Input should be a valid integer, not True",
    ),
    (
        (*SET, "search.population.x=1"),
        "--set search.population.x=1: 'population' has no keys of its own",
    ),
    (
        (*SET, "search.max_statements=8"),
        "search.max_statements: 8 is less than the 15 statements of adamw, which the search starts",
    ),
    ((*SET, "search={1: 2}"), "no key is called 'search.1'"),
    ((*SET, "search.initial=[]"), "search.initial: List should have at least 1 item"),
    ((*SET, "search.initial=adamw"), "search.initial: Input should be a valid list, not 'adamw'"),
    ((*SET, "search.initial=[adamww]"), "no optimizer is called 'adamww'\nDid you mean 'adamw'?"),
    ((*SET, "search.initial=[nowhere.py]"), "nowhere.py: there is no such file\nCheck the path."),
    (
        (*SET, "search.families=[lionn]"),
        "no family of primitives is called 'lionn'; there are: arithmetic, lion, logic, matrix",
    ),
    (
        (*SET, "search.initial=[lbfgs_zoom]"),
        "search.initial: lbfgs_zoom is written by hand; a search starts from pro",
    ),
    (
        (*SET, "search.initial=[demon_sgd]"),
        "search.initial: demon_sgd reads the progress of the run, from which its children would "
        "learn when they are looked at; start from a program without it",
    ),
    (
        (*SET, "search.initial=[clip+adam]"),
        "no prologue is called 'clip'\nThere are: clip_by_norm, clip_by_value.",
    ),
    (
        (
            *SET,
            "search.initial=[muon]",
            "--set",
            "budget.candidates=1",
            "--set",
            "confirm.baselines=[lionn]",
        ),
        "'lionn'",
    ),
    ((*SET, "schedule=cosin"), "schedule: no schedule is called 'cosin' (did you mean 'cosine'?)"),
    (
        ("score", "lion", "--schedule", "step_decay"),
        "--schedule: step_decay needs factor and every; write step_decay(",
    ),
    (
        ("export", "kfac"),
        "kfac is written by hand and has no program\n`evolve score` takes it too.",
    ),
    (
        ("reference", "smoke", "--optimizers", "adamw,muno"),
        "no optimizer is called 'muno'\nDid you mean 'muon'?",
    ),
    (
        (*SET, "search.kind=annealing"),
        "search.kind: Input should be 'evolution', 'random' or 'constants'",
    ),
    ((*SET, "confirm.baselines=[lio]"), "no optimizer is called 'lio'\nDid you mean 'lion'?"),
    (
        (*SET, "scoring.hurdle_percentile=no"),
        "scoring.hurdle_percentile: Input should be a valid number, not 'no'",
    ),
    (
        (*SET, "scoring.hurdle_percentile=100"),
        "scoring.hurdle_percentile: Input should be less than 100",
    ),
    ((*SET, "budget.seconds=1e999"), "budget.seconds: Input should be a finite number, not inf"),
    ((*SET, "budget={}"), "budget: give candidates, seconds, or both"),
    ((*SET, "seed=-1"), "seed: Input should be greater than or equal to 0, not -1"),
    ((*SET, "suite=smok"), "no suite is called 'smok'. Did you mean 'smoke'?"),
    ((*SET, "suite=5"), "suite: Input should be a valid string, not 5"),
    ((*SET, "suite=[]"), "suite tiny has no task: give at least one"),
    ((*SET, "suite=[{width: 5}]"), "--set suite=[{width: 5}]: the key 'suite.1.kind' is missing"),
    ((*SET, "suite=[digits_dense]"), "--set suite=[digits_dense]: suite.1: a mapping of keys"),
    (
        (*SET, "suite=[{kind: digits_dens}]"),
        "suite tiny, task 1: no task is called 'digits_dens' (did you mean",
    ),
    (
        (*SET, "suite=[{kind: digits_dense, widht: 5}]"),
        "has no field 'widht' (did you mean 'width'?)",
    ),
    (
        (*SET, "suite=[{kind: digits_dense, width: true}]"),
        "suite.1.width: Input should be a valid integer, not True",
    ),
    (
        (*SET, "suite=[{kind: digits_dense, width: 0}]"),
        "digits_dense: width must be at least 1, not 0",
    ),
    (
        (*SET, "suite=[{kind: digits_dense, width: 7}]"),
        "so it has no score. Run `evolve reference ",
    ),
    ((*SET, "name=../x"), "name: '../x' is no name for a run; use letters, digits"),
    ((*SET, 'name="x\\n"'), "is no name for a run"),
    ((*SET, "name=NUL.txt"), "is no name for a run"),
    ((*SET, "nonsense"), "--set nonsense: write --set "),
    ((*SET, "=5"), "--set =5: write --set "),
    ((*SET, "seed=!!int 5"), "--set seed:1: anchors, aliases and tags are not allowed"),
    (
        ("run", "tiny.yaml", "--workers", "nonsense"),
        "--workers nonsense: write auto, inline, local, devices, ray, or",
    ),
    (
        ("run", "tiny.yaml", "--workers", "0"),
        "--workers 0: write auto, inline, local, devices, ray, or a number of",
    ),
    (
        ("run", "tiny.yaml", "--workers", "2", "--address", "auto"),
        "--address auto is for --workers ray, not for",
    ),
    (
        ("run", "tiny.yaml", "--address", "ray://head:10001"),
        "'ray://head:10001' is Ray's client; run on a node of",
    ),
    (
        ("run", "tiny.yaml", "--address", "head"),
        "'head' is no address of a Ray cluster: write auto, or HOST:PORT",
    ),
    ((*SET, "workers.gpus=0.5"), "address, cpus, gpus and tpus are for workers of kind ray"),
    (("run", "tiny.yaml", "--seed", "x"), "Invalid value for '--seed': 'x' is not a valid integer"),
    (
        ("run", "tiny.yaml", "--output", "tiny.yaml"),
        "cannot be written: Not a directory. Choose another folder",
    ),
    (("resume", "nowhere"), "nowhere: there is no such folder."),
    (
        ("status", "."),
        ".: is no run: it has no meta.json. Give the folder that `evolve run` printed.",
    ),
    (("show", "adamww"), "no optimizer is called 'adamww'\nDid you mean 'adamw'?"),
    (("show", "nowhere.py"), "nowhere.py: there is no such file\nCheck the path."),
    (("score", "adamww"), "no optimizer is called 'adamww'"),
    (("score", "lion", "--suite", "smok"), "no suite is called 'smok'. Did you mean 'smoke'?"),
    (
        ("score", "lion", "--suite", "smoke", "--workers", "²"),
        "--workers ²: write auto, inline, local, devices, ray, or a number",
    ),
    (
        ("score", "lion", "--suite", "smoke", "--workers", "-1"),
        "--workers -1: write auto, inline, local, devices, ray, or a number",
    ),
    (("score", "lion", "--suite", "smoke", "--seeds", "1"), "1 is not in the range 2<=x<=1000"),
    (("score", "."), ".: is no run"),
    (
        ("export", "lion", "-o", "tiny.yaml"),
        "tiny.yaml: exists already. Choose another name, or write over it with",
    ),
    (
        ("export", "lion", "-o", "no/where.py"),
        "no/where.py: cannot be written: No such file or directory. Choose",
    ),
    (("export", "lion", "--name", "bad name"), "'bad name' cannot name a Python function"),
    (("export", "lion", "--to", "keras"), "'keras' is not 'optax'"),
    (
        ("list", "things"),
        "'things' is not one of 'optimizers', 'prologues', 'primitives', 'schedules', 'tasks', "
        "'presets', 'suites'",
    ),
    (("statuss", "x"), "No such command 'statuss'. Did you mean 'status'?"),
]


@pytest.mark.parametrize(
    ("command", "message"), MISTAKES, ids=lambda v: " ".join(v) if isinstance(v, tuple) else ""
)
def test_a_mistake_gets_one_clear_message_and_exit_code_2_and_nothing_is_written(
    command, message, desk
):
    result = call(*command)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("Did you mean") <= 1
    assert "Traceback" not in result.stderr
    assert not any(
        word in result.stderr for word in ("constrained-int", "literal[", "list[", "Value error")
    )
    assert result.stdout == ""
    assert [p.name for p in desk.iterdir()] == ["tiny.yaml"]


TRAPS = {
    "a: 1\na: 2": "x.yaml:2: the key 'a' is given twice",
    "{a: {b: 1, b: 2}}": "x.yaml:1: the key 'b' is given twice",
    "a: &x 1": "x.yaml:1: anchors, aliases and tags are not allowed",
    "b: *x": "x.yaml:1: anchors, aliases and tags are not allowed",
    "a: !!python/object/apply:os.system [ls]": "x.yaml:1: anchors, aliases and tags are not "
    "allowed",
    'a: !!float ".nan"': "x.yaml:1: anchors, aliases and tags are not allowed",
    '[{kind: a, "\\ud800": 1}]': "x.yaml:1: a text with one half of a surrogate pair, which no "
    "file can hold",
    "a\0b": "x.yaml: not valid YAML: unacceptable character #x0000",
    b"a: \xff": "x.yaml: not valid YAML: unacceptable character #x00ff",
    "[" * 40: "x.yaml:1: nested too deeply",
    "a: [" * 5000: "x.yaml:1: nested too deeply",
    "x" * 65537: "x.yaml: larger than 65536 bytes; a configuration fits into a page",
    "? [a]\n: 1": "x.yaml:1: a key must be plain text",
    '\na: "x': "x.yaml:2: a text in quotes is not closed",
    "\ta: 1": "x.yaml:1: a tab; indent with spaces",
    "a: 1\n---\nb: 1": "x.yaml:2: a second document after ---",
    "": "x.yaml: a configuration is a mapping of keys to values",
    "[1, 2]": "x.yaml: a configuration is a mapping of keys to values",
}


@pytest.mark.parametrize("text", TRAPS, ids=lambda t: repr(t)[:24])
def test_a_trap_in_yaml_is_refused_with_its_line(text, desk):
    Path("x.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    for command in ("run", "validate"):
        result = call(command, "x.yaml")
        assert result.exit_code == 2
        assert TRAPS[text] in (result.stderr or result.stdout)
    assert len(list(desk.iterdir())) == 2


PARSER = re.compile(
    r"expected|found|mapping values|token|scalar|node|block|flow|stream|<|not allowed here"
)


def test_a_slip_in_yaml_is_told_in_words_of_the_file():
    """Each line of each preset gets each of some slips; PyYAML's words are for who knows YAML."""
    slips = [
        lambda line: "  " + line,
        lambda line: " " + line.lstrip(),
        lambda line: "\t" + line,
        lambda line: line.replace(": ", " ", 1),
        lambda line: line.replace(": ", ': "', 1),
        lambda line: line.replace("}", "", 1).replace("]", "", 1),
        lambda line: line.replace("[", "", 1).replace("{", "", 1),
        lambda line: line.replace(", ", " ", 1),
        lambda line: line + ": x",
        lambda line: "- " + line,
    ]
    tried = 0
    for preset in [*preset_names(), *(f"suites/{name}" for name in preset_names("suites"))]:
        lines = (presets_folder() / f"{preset}.yaml").read_text().splitlines()
        for number, line in enumerate(lines):
            for slip in slips:
                text = "\n".join([*lines[:number], slip(line), *lines[number + 1 :]])
                try:
                    read_yaml(text, "x.yaml")
                except ConfigError as fault:
                    place, _, words = str(fault).partition(": ")
                    assert re.fullmatch(r"x.yaml:\d+", place)
                    assert not PARSER.search(words), (text, words)
                    tried += 1
    assert tried > 100


WRONG = {
    "suite.yaml": {
        "run": "suite.yaml: is a suite, and a configuration has more to say. Search on it with: "
        "evolve run quickstart --set suite=suite.yaml",
        "show score export tune": "suite.yaml: is YAML; an optimizer is a known name or a .py file",
        "resume status": "suite.yaml: there is no such folder",
    },
    "tiny.yaml": {
        "show score export tune": "tiny.yaml: is YAML; an optimizer is a known name or a .py file",
        "resume status": "tiny.yaml: there is no such folder",
    },
    "exported.py": {
        "show score export tune validate": "exported.py: is Python that uses Optax, as `evolve "
        "export` writes it, and no program\nGive the program that was exported",
    },
    "folder": {
        "run reference": "folder: is a folder; give a ",
        "validate": "folder: is a folder; an optimizer is a known name or a .py file",
        "show score export tune resume status": "folder: is no run: it has no meta.json",
    },
    "lion": {
        "run": "lion: is an optimizer, and no preset. Search from it with: evolve run quickstart "
        "--set search.initial=[lion]",
    },
}


def test_what_is_given_to_the_wrong_command_is_called_what_it_is(desk):
    Path("suite.yaml").write_text("tasks:\n  - {kind: noisy_quadratic, dim: 32, steps: 60}\n")
    Path("folder").mkdir()
    fine("export", "lion", "-o", "exported.py")
    assert fine("validate", "suite.yaml") == "suite.yaml: fine\n"
    tried = 0
    for given, commands in WRONG.items():
        for names, words in commands.items():
            for name in names.split():
                result = call(name, given)
                assert result.exit_code == 2
                assert words in (result.stderr or result.stdout)
                tried += 1
    assert tried == 28
    result = call("export", "lion", "-o", "folder")
    assert result.stderr == "folder: is a folder. Name a file in it, such as folder/lion.py\n"
    result = call("resume", "folder", "--seed", 3)
    assert "--seed 3: the seed of a run cannot change." in result.stderr


def test_a_configuration_stands_for_its_suite(desk):
    Path("named.yaml").write_text("suite: smoke\n")
    Path("itself.yaml").write_text("suite: itself.yaml\n")
    assert load_suite("named.yaml") == load_suite("smoke")
    (task,) = load_suite("tiny.yaml")[1]
    assert (task.kind, task.fields) == ("noisy_quadratic", {"dim": 32, "steps": 60})
    with pytest.raises(ConfigError, match="a suite has one key, `tasks`"):
        load_suite("itself.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("-1.5E+2", -150.0), ("0", 0), ("-7", -7), ("true", True), ("null", None), ("~", None),
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("True", "True"), ("012", "012"), ("0x10", "0x10"),
        ("1_000", "1_000"), ("1:30", "1:30"), (".5", ".5"), (".inf", ".inf"), (".nan", ".nan"), ("=", "="),
        ("2024-01-01", "2024-01-01"), ('"5"', "5"), ("+1", "+1"),
    ],
)  # fmt: skip
def test_numbers_are_read_as_json_writes_them_and_everything_else_is_text(text, value):
    read = read_yaml(f"a: {text}", "here")["a"]
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize(
    "name", ["1e3", "1.5e3", "1E5", "12", "0.5", "no", "null", "0x1", "a.b-c_d"]
)
def test_what_we_write_is_read_back_as_it_was(name):
    content = {"name": name, "x": [1e-5, 1e20, 3, -0.5, None, True, "~", "", "a: b", "é\n"]}
    assert read_yaml(write_yaml(content), "here") == content
    config = load_config("smoke", (f'name="{name}"',))
    assert (
        validated(read_yaml(write_yaml(config.model_dump(mode="json")), "here"), "here") == config
    )


def test_every_preset_is_valid():
    assert fine("validate", *preset_names()).splitlines() == [f"{n}: fine" for n in preset_names()]


def test_every_key_misspelt_once_is_named_with_the_right_one():
    full = load_config("smoke").model_dump(mode="json")
    for section in [None, "search", "budget", "scoring", "confirm", "workers"]:
        for key in full if section is None else full[section]:
            given = json.loads(json.dumps(full))
            at = given if section is None else given[section]
            wrong = key[:-1] + ("x" if not key.endswith("x") else "y")
            at[wrong] = at.pop(key)
            with pytest.raises(ConfigError) as caught:
                validated(given, "here")
            path = f"{section}.{wrong}" if section else wrong
            assert f"no key is called {path!r}" in str(caught.value)
            assert f"did you mean {key!r}?" in str(caught.value)


def test_a_mistake_in_a_program_is_shown_with_its_file_and_line():
    Path("mine.py").write_text("def step(g, lr):\n    u = multiplyy(g, lr)\n    return u\n")
    for command in (
        ("show", "mine.py"),
        ("score", "mine.py"),
        ("export", "mine.py"),
        ("validate", "mine.py"),
    ):
        result = call(*command)
        assert result.exit_code == 2
        assert (result.stderr or result.stdout) == (
            "mine.py:2: no primitive is called 'multiplyy'\n"
            "    u = multiplyy(g, lr)\n"
            "Did you mean 'multiply'? `evolve list primitives` shows all of them.\n"
        )


# --- what commands do -----------------------------------------------------------------------------


def test_show_prints_a_program_that_can_be_read_again_and_what_it_costs():
    out = fine("show", "lion")
    assert parse(out) == baselines.get("lion")
    found = json.loads(fine("show", "lion", "--json"))
    assert found["name"] == "lion"
    assert parse(found["program"]) == baselines.get("lion")
    assert found["buffers_per_parameter"] == 1
    assert len(found["key"]) == 32
    Path("dead.py").write_text(
        "def step(w, g, lr):\n    x = sin(w)\n    u = g * lr\n    return u\n"
    )
    assert "sin" in fine("show", "dead.py")
    assert "sin" not in fine("show", "dead.py", "--live")


def test_show_prints_the_rule_as_mathematics_and_as_latex():
    assert "mₜ = (1 - β₁)·gₜ + β₁·mₜ₋₁" in fine("show", "adam")
    assert "from 3e-05 to 0.3 (log)" in fine("show", "adam")
    assert fine("show", "muon", "--latex").startswith("\\begin{align*}")
    assert "Line searches" not in fine("show", "lbfgs_zoom")
    assert "zoom line search" in fine("show", "lbfgs_zoom")


RULELESS = """learning_rate = 0.1

def step(w, g, lr):
    size = norm_over_rows(g)
    x = g / size
    update = x * lr
    return update
"""


def test_a_matrix_primitive_on_a_leaf_without_a_rule_is_said_before_anything_runs(desk):
    Path("ruleless.py").write_text(RULELESS)
    wanted = (
        "ruleless.py:4: norm_over_rows needs a matrix, and head.bias has the shape (10,)\n"
        "    size = norm_over_rows(g)\n"
        "Say what becomes of such leaves: write `def fallback(w, g, lr): ...` after step.\n"
    )
    for command in (
        ("score", "ruleless.py", "--suite", "smoke"),
        ("run", "smoke", "--set", "search.initial=[ruleless.py]"),
    ):
        result = call(*command)
        assert (result.exit_code, result.stderr) == (2, wanted)
    assert not Path("runs").exists()


def test_a_program_that_asks_for_what_a_task_does_not_offer_is_said_before_anything_runs(
    desk, monkeypatch
):
    task = TASKS["noisy_quadratic"]
    monkeypatch.setattr(task, "offers", task.offers - {"hvp"})
    result = call("score", "newton_cg", "--suite", "smoke")
    assert result.exit_code == 2
    assert "newton_cg.py:" in result.stderr
    assert (
        "newton_cg asks for 'hvp', and the task noisy_quadratic does not offer it\n    def step("
        in result.stderr
    )
    assert (
        "noisy_quadratic offers gnvp, loss, noise, rademacher, run_progress: use another program, or a suite"
        in result.stderr
    )


def test_score_takes_prologues_handwritten_optimizers_matrix_programs_and_schedules():
    out = fine(
        "score", "clip_by_norm+lion", "gradient_descent_armijo", "shampoo", "--suite", "smoke",
        "--seeds", "2", "--schedule", "step_decay(factor=0.5, every=0.25)", "--workers", "inline",
        "--json",
    )  # fmt: skip
    found = json.loads(out)
    assert found["schedule"] == "step_decay(factor=0.5, every=0.25)"
    names = [v["name"] for v in found["verdicts"]]
    assert names == [
        "clip_by_norm+lion",
        "gradient_descent_armijo",
        "shampoo",
    ]
    assert all(v["status"] == "ok" for v in found["verdicts"])


MATRICES = """
name: matrices
suite: [{kind: digits_dense, width: 8, batch: 32, steps: 60}]
schedule: linear_warmup
search: {initial: [muon], families: [lion, matrix], population: 4, tournament: 2, lag: 2, max_statements: 48}
budget: {candidates: 8}
scoring: {seeds: 1, select_seeds: 1, hall_of_fame: 2}
confirm: {seeds: 2, finalists: 1, baselines: [muon]}
workers: {kind: inline}
"""


def test_a_search_over_matrix_programs_mutates_matrix_statements_and_exports_what_it_finds(desk):
    Path("matrices.yaml").write_text(MATRICES)
    folder = Path(fine("run", "matrices.yaml").splitlines()[-1])
    start = {str(i) for i in baselines.get("muon").body}
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        texts = [row[0] for row in journal.execute("SELECT program FROM candidate")]
    changed = {i for text in texts for i in parse(text).body if str(i) not in start}
    assert any(PRIMITIVES[i.op].family == "matrix" for i in changed)
    assert all(parse(text).fallback for text in texts)
    compile((folder / "best" / "optax.py").read_text(), "optax.py", "exec")


def test_validate_judges_programs_and_configs_and_exits_with_2_when_one_is_bad():
    Path("good.py").write_text("def step(g, lr):\n    u = g * lr\n    return u\n")
    Path("bad.yaml").write_text("suite: smoke\n")
    assert (
        fine("validate", "good.py", "tiny.yaml", "lion")
        == "good.py: fine\ntiny.yaml: fine\nlion: fine\n"
    )
    result = call("validate", "good.py", "bad.yaml", "nowhere.py", "--json")
    assert result.exit_code == 2
    rows = json.loads(result.stdout)
    assert [(r["file"], r["valid"]) for r in rows] == [
        ("good.py", True),
        ("bad.yaml", False),
        ("nowhere.py", False),
    ]
    assert rows[1]["error"] == "bad.yaml: the key 'budget' is missing"


def test_export_names_the_optimizer_and_its_transformation_after_the_program():
    source = fine("export", "lion")
    assert "\ndef lion(" in source
    assert "\ndef scale_by_lion(" in source
    found = json.loads(fine("export", "lion", "-o", "out.py", "--name", "tiger", "--json"))
    assert found == {
        "file": "out.py",
        "alias": "tiger",
        "scale_by": "scale_by_tiger",
        "target": "optax",
    }
    written = Path("out.py").read_text()
    assert "\ndef tiger(" in written
    assert call("export", "sgd", "-o", "out.py").exit_code == 2
    assert Path("out.py").read_text() == written
    fine("export", "sgd", "-o", "out.py", "--force")
    assert "\ndef sgd(" in Path("out.py").read_text()


def test_score_puts_known_names_and_files_side_by_side():
    Path("mine.py").write_text("def step(g, lr):\n    u = g * lr\n    return u\n")
    Path("small.yaml").write_text("tasks:\n  - {kind: noisy_quadratic, dim: 32, steps: 60}\n")
    result = call(
        "score",
        "adamw",
        "lion",
        "mine.py",
        "--suite",
        "small.yaml",
        "--seeds",
        3,
        "--workers",
        "inline",
        "--json",
    )
    assert result.exit_code == 0, result.stderr
    assert (
        "mine.py states no learning_rate; 0.001 is used as the peak of the schedule"
        in result.stderr
    )
    found = json.loads(result.stdout)
    assert (found["suite"], found["seeds"], found["part"]) == ("small", 3, "test")
    adamw, lion, mine = found["verdicts"]
    assert [v["name"] for v in found["verdicts"]] == ["adamw", "lion", "mine"]
    assert adamw["scores"] == [0.0, 0.0, 0.0]
    assert (adamw["low"], adamw["high"], adamw["beats_reference"]) == (0.0, 0.0, False)
    assert len(lion["scores"]) == 3
    assert mine["score"] < -0.5


def test_workers_find_references_in_the_folder_of_the_user():
    """They are processes that start elsewhere."""
    task = {"kind": "noisy_quadratic", "dim": 3, "steps": 5}
    from proxy_tasks import make_task

    fingerprint = make_task("noisy_quadratic", dim=3, steps=5).fingerprint
    Path("references").mkdir()
    values = {"learning_rate": 0.01}
    file = {"fingerprint": fingerprint, "optimizers": {"adamw": {"values": values}}}
    Path(f"references/{fingerprint}.json").write_text(json.dumps(file))
    Path("small.yaml").write_text(json.dumps({"tasks": [task]}))
    found = json.loads(
        fine("score", "adamw", "--suite", "small.yaml", "--seeds", 2, "--workers", 1, "--json")
    )
    assert found["verdicts"][0]["scores"] == [0.0, 0.0]


# --- a run ----------------------------------------------------------------------------------------


def test_a_run_prints_its_folder_last_and_writes_what_is_documented_and_nothing_elsewhere(finished):
    folder, out, beside = finished
    assert out.splitlines()[-1] == str(folder.relative_to(folder.parent.parent))
    name = f"runs/{folder.name}"
    files = [
        "config.yaml",
        "config.resolved.yaml",
        "meta.json",
        "journal.sqlite",
        "hall_of_fame.json",
    ]
    files += ["summary.json", "best", "best/program.py", "best/optax.py", "logs", "run.lock"]
    assert beside == sorted(["tiny.yaml", "runs", name, *(f"{name}/{f}" for f in files)])
    import evolve.record.folder

    assert all(f.split("/")[-1] in evolve.record.folder.__doc__ for f in files)


def test_a_run_says_what_it_found_and_what_to_do_next(finished):
    folder, out, _ = finished
    program = parse((folder / "best" / "program.py").read_text())
    assert str(program) in out
    assert "Candidate" in program.doc
    relative = folder.relative_to(folder.parent.parent)
    assert f"evolve resume {relative} --set budget.candidates=240\n" in out
    assert f"evolve export {relative} --to optax" in out
    suite = next(line for line in out.splitlines() if "--suite" in line).split()[-1]
    (task,) = load_suite(str(folder.parent.parent / suite))[1]  # that of the run, which is inline
    assert task.kind == "noisy_quadratic"
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["command"][0] == "evolve"
    assert meta["packages"]["jax"]


def test_status_holds_the_facts_of_a_run(finished):
    folder, _, _ = finished
    before = {
        p: p.stat().st_mtime_ns for p in folder.rglob("*") if not p.name.startswith("journal")
    }
    found = json.loads(fine("status", folder, "--json"))
    assert found["state"] == "finished"
    assert found["candidates"] == 120
    assert found["candidates"] == found["evaluated"] + found["cached"] + sum(
        found["rejected"].values()
    )
    assert set(found["rejected"]) <= {"no_gradient", "ascent"}
    (best,) = (
        v for v in json.loads((folder / "summary.json").read_text())["verdicts"]
        if v["name"] == json.loads(fine("show", folder, "--json"))["name"]
    )  # fmt: skip
    assert found["best"]["score"] == best["score"]
    assert best["name"] == f"found_{found['best']['candidate']}"
    assert f"def {best['name']}(" in fine("export", folder)
    assert found["hash_chain"] == json.loads((folder / "summary.json").read_text())["chain"]
    out = fine("status", folder)
    assert f"hash chain: {found['hash_chain']}" in out
    assert "120 candidates" in out
    assert f"best: candidate {found['best']['candidate']}, {best['score']:+.4f} (" in out
    after = {p: p.stat().st_mtime_ns for p in folder.rglob("*") if not p.name.startswith("journal")}
    assert before == after, "looking changes nothing"


def test_status_of_a_run_that_recorded_nothing_has_the_same_keys(finished, desk):
    import shutil

    folder, _, _ = finished
    shutil.copytree(folder, desk / "young", ignore=shutil.ignore_patterns("journal*"))
    found = json.loads(fine("status", "young", "--json"))
    assert set(found) == set(json.loads(fine("status", folder, "--json")))
    assert (found["state"], found["candidates"]) == ("stopped", 0)
    assert "no candidate yet" in fine("status", "young")


def test_a_run_stands_for_its_best_program(finished):
    folder, _, _ = finished
    found = json.loads(fine("show", folder, "--json"))
    assert found["name"].startswith("found_")
    exported = fine("export", folder)
    assert f"def scale_by_{found['name']}(" in exported
    compile(exported, "exported", "exec")


def test_a_run_with_nobody_to_confirm_ends_as_finished(desk):
    """A random search of two programs finds nothing."""
    changes = (
        "search.kind=random",
        "budget.candidates=2",
        "confirm.baselines=[]",
        "scoring.seeds=1",
    )
    args = [word for change in changes for word in ("--set", change)]
    result = call("run", "tiny.yaml", *args)
    assert result.exit_code == 0, result.stderr
    assert (
        json.loads(fine("status", result.stdout.splitlines()[-1], "--json"))["state"] == "finished"
    )


def test_a_run_that_found_nothing_offers_nothing_that_needs_a_find(desk):
    out = fine("run", "tiny.yaml", "--set", "budget.candidates=1")
    assert "Nothing was found" in out
    assert not any(word in out for word in ("evolve export", "evolve score"))
    hint = next(line for line in out.splitlines() if "evolve resume" in line)
    assert hint.endswith("--set budget.candidates=2")


def test_the_command_is_installed_and_pins_the_environment_before_jax():
    code = (
        "import sys, evolve.commands.main, os; "
        "print('jax' in sys.modules, os.environ['NPROC'], os.environ['XLA_FLAGS'])"
    )
    env = {k: v for k, v in os.environ.items() if k not in ("NPROC", "XLA_FLAGS")}
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True
    ).stdout
    assert said.split()[1] == "1"
    assert "xla_cpu_max_isa=" in said or os.uname().machine != "x86_64"
    own = env | {"XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2"}
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=own, check=True
    ).stdout
    assert said.count("xla_cpu_max_isa") == 1
    assert "SSE4_2" in said
