"""What users bring: tasks, primitives, mutations and optimizers, in every command and worker; and
nothing is executed that the user has not named.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.forked import Evolve
from kit.traps import leave_traps

evolve: Evolve

GUESTS = '''"""One of each kind."""
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import optax

from evolve import Task, mutation, optimizer, primitive
from primitives.kinds import Tensor


@dataclass(frozen=True)
class Bowl(Task):
    """Minimise 0.01 + |x|² from a random place."""

    steps: int = 20

    def init(self, key):
        return {"point": {"x": jax.random.normal(key, (6,))}}

    def evaluate(self, params, data, part):
        return 0.01 + jnp.sum(params["point"]["x"] ** 2)


@primitive(family="mine", flops=3, source="here")
def squash(xp, x: Tensor) -> Tensor:
    """x / (1 + |x|): between -1 and 1."""
    return x / (1.0 + xp.abs(x))


@mutation(weight=1.0)
def halve_the_rate(program, space, rng):
    """Halve the learning rate; None for a program without one."""
    if "learning_rate" not in program.values:
        return None
    return program.with_values({"learning_rate": program.values["learning_rate"] / 2})


@optimizer(learning_rate=(0.1, 1e-3, 1.0, "log"))
def plain_momentum(learning_rate, momentum=0.5):
    """SGD with momentum, by Optax."""
    return optax.sgd(learning_rate, momentum=momentum)
'''

CONFIG = """
name: mine
plugins: [guests.py]
suite: bowl
search:
  initial: [adamw]
  families: [lion, mine]
  mutations: {halve_the_rate: 1.0}
  population: 10
  tournament: 3
  lag: 8
  phase: 1000
budget: {candidates: 80}
scoring: {seeds: 1, select_seeds: 2}
confirm: {seeds: 2, baselines: [adamw, plain_momentum]}
"""


@pytest.fixture(scope="module", autouse=True)
def calls() -> Iterator[None]:
    global evolve
    evolve = Evolve()
    yield
    evolve.close()


def fine(*arguments: object, place: Path, **env: str) -> str:
    done = evolve(*arguments, place=place, **env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def refused(*arguments: object, place: Path, **env: str) -> str:
    done = evolve(*arguments, place=place, **env)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """A folder with a plug-in, a config that names it, and a tuned reference on its task; and with
    files that have the names of what we import, of which none is ever executed.
    """
    place = tmp_path_factory.mktemp("desk")
    leave_traps(place)
    (place / "guests.py").write_text(GUESTS)
    (place / "mine.yaml").write_text(CONFIG)
    tuning = ("--optimizers", "adamw", "--trainings", "32")
    fine("reference", "bowl", "--plugin", "guests.py", *tuning, place=place)
    return place


@pytest.fixture(scope="module")
def finished(desk) -> Path:
    return desk / fine("run", "mine.yaml", "--workers", "inline", place=desk).splitlines()[-1]


def chain(folder: Path) -> str:
    return json.loads((folder / "summary.json").read_text())["chain"]


def test_what_a_plugin_brings_is_checked_and_listed(desk):
    assert fine("validate", "--plugin", "guests.py", place=desk) == "guests.py: fine\n"
    for what, name in (
        ("tasks", "bowl"),
        ("primitives", "squash"),
        ("mutations", "halve_the_rate"),
        ("plugins", "guests.py"),
    ):
        rows = json.loads(fine("list", what, "--plugin", "guests.py", "--json", place=desk))
        assert name in [row.get("name") or row["kind"] for row in rows], what


@pytest.mark.filterwarnings("ignore")  # Ray's own: files that it leaves open
@pytest.mark.slow
def test_a_run_uses_all_of_it_and_ends_in_one_chain_whoever_scores(desk, finished):
    """Also on Ray, which by itself would import from the folder that a command is given in."""
    journal = json.loads(fine("status", finished, "--json", place=desk))
    assert journal["candidates"] == 80
    summary = json.loads((finished / "summary.json").read_text())
    names = [verdict["name"] for verdict in summary["verdicts"]]
    assert any(name.startswith("plain_momentum") for name in names)
    assert summary["tally"]["mutations"]["halve_the_rate"] > 5
    for workers in (["2"], ["ray", "--set", "workers.count=1"]):
        other = fine("run", "mine.yaml", "--workers", *workers, place=desk).splitlines()[-1]
        assert chain(desk / other) == chain(finished)
    assert not list(desk.glob("executed-*"))


def test_a_run_goes_on_without_the_file_and_decides_by_its_hash(desk, finished, tmp_path):
    """Its text lies in the folder; the user has named it before, so nobody is asked."""
    moved = shutil.copytree(finished, tmp_path / "run")
    fine("resume", moved, "--set", "budget.candidates=100", place=tmp_path,
         XDG_STATE_HOME=str(desk / "state"))  # fmt: skip
    (plugin,) = json.loads((moved / "meta.json").read_text())["decisive"]["plugins"]
    assert plugin["file"] == "guests.py"
    assert len(plugin["sha256"]) == 64
    (moved / "plugins" / "guests.py").write_text(GUESTS + "\n# changed\n")
    said = refused("resume", moved, "--trust", place=tmp_path)
    assert "plugins/guests.py: was changed after the run began" in said


def test_a_run_is_scored_anywhere_by_the_values_that_it_began_with(desk, finished, tmp_path):
    """Nobody has tuned what is 0 in the folder that this is asked in."""
    task = ("--suite", "bowl", "--plugin", desk / "guests.py", "--workers", "inline")
    done = evolve("score", finished, "adamw", *task, "--seeds", "2", place=tmp_path)
    assert "the tuned values that they began with are used" in done.stderr
    line = next(line for line in done.stdout.splitlines() if "adamw" in line)
    assert " tuned " in line
    assert "nobody has tuned adamw on bowl" in refused("score", "adamw", *task, place=tmp_path)


def test_a_strangers_plugin_is_shown_and_refused_until_the_user_says_so(desk, finished, tmp_path):
    """Here nobody has named it yet."""
    run = shutil.copytree(finished, tmp_path / "run")
    for command in (("resume", run), ("score", run, "--suite", "smoke"), ("export", run)):
        said = refused(*command, place=tmp_path)
        assert "guests.py (sha256 " in said
        assert "say so with --trust" in said
    assert "candidates" in fine("status", run, place=tmp_path), "which executes nothing"
    fine("show", run, "--trust", place=tmp_path)
    fine("export", run, place=tmp_path)  # trusted from then on


def test_a_config_is_validated_without_executing_what_it_names(desk):
    said = evolve("validate", "mine.yaml", place=desk)
    assert said.returncode == 2
    assert "names the plug-in guests.py, which would be executed" in said.stdout
    both = fine("validate", "mine.yaml", "--plugin", "guests.py", place=desk)
    assert "mine.yaml: fine" in both


FAULTS = {
    "a nan at the start": (
        GUESTS.replace("0.01 + jnp.sum", "jnp.nan * jnp.sum"), "bowl"),
    "a loss of 0 or below": (
        GUESTS.replace("0.01 + jnp.sum", "-1.0 - jnp.sum"), "bowl"),
    "a primitive that is not total": (
        GUESTS.replace("x / (1.0 + xp.abs(x))", "xp.log(x)"), "squash"),
    "a primitive that mixes elements": (
        GUESTS.replace("x / (1.0 + xp.abs(x))", "x - xp.mean(x)"), "squash"),
    "a primitive of jax alone": (
        GUESTS.replace("x / (1.0 + xp.abs(x))", "jnp.tanh(x)"), "squash"),
    "a mutation that gives no program": (
        GUESTS.replace("    return program.with_values", "    return str or program.with_values"),
        "halve_the_rate"),
    "a factory that gives no transformation": (
        GUESTS.replace("return optax.sgd(learning_rate, momentum=momentum)", "return 1"),
        "plain_momentum"),
    "a primitive whose name is taken": (GUESTS.replace("def squash", "def sign"), "sign"),
    "a mistake of Python's": (GUESTS + "\n1 / 0\n", "ZeroDivisionError"),
    "no Python at all": ("def f(:\n", "not valid Python"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_plugin_is_one_sentence_that_names_it(name, tmp_path):
    source, named = FAULTS[name]
    (tmp_path / "guests.py").write_text(source)
    done = evolve("validate", "--plugin", "guests.py", place=tmp_path)
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stdout.strip().splitlines()) == 1, done.stdout
    assert named in done.stdout


def test_an_installed_package_announces_a_plugin_under_an_entry_point(desk, tmp_path):
    """Its name is enough; and a package that was changed since is not taken for what it was."""
    (tmp_path / "guest_package.py").write_text(GUESTS)
    about = tmp_path / "guest_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: guest-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[pride.plugins]\nguests = guest_package\n")
    shutil.copytree(desk / "references", tmp_path / "references")
    (tmp_path / "mine.yaml").write_text(CONFIG.replace("guests.py", "guests"))
    path = str(tmp_path)
    rows = json.loads(fine("list", "plugins", "--json", place=tmp_path, PYTHONPATH=path))
    assert rows == [{"name": "guests", "sha256": "", "what": "installed: guest_package"}]
    run = ("run", "mine.yaml", "--workers", "1", "--set", "budget.candidates=30")
    folder = tmp_path / fine(*run, place=tmp_path, PYTHONPATH=path).splitlines()[-1]
    (tmp_path / "guest_package.py").write_text(GUESTS + "# changed\n")
    said = refused("resume", folder, place=tmp_path, PYTHONPATH=path)
    assert "the installed package guest_package has another text" in said


def test_mistakes_in_naming_a_plugin_get_one_clear_message(tmp_path):
    (tmp_path / "guests.py").write_text(GUESTS)
    for arguments, said in (
        (("validate", "--plugin", "missing.py"), "missing.py: cannot be read: No such file"),
        (("validate", "--plugin", "nobody"), "no installed package announces a plug-in"),
        (("run", "smoke", "--plugin", "guests.py", "--set", "search.mutations={halve_rate: 1}"),
         "Did you mean 'halve_the_rate'?"),
        (("run", "smoke", "--set", "suite=bowl"), "no suite is called 'bowl'"),
    ):  # fmt: skip
        done = evolve(*arguments, place=tmp_path)
        assert done.returncode == 2
        assert said in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
