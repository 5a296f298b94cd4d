"""What must not change when code moves: hash chains, the order of primitives, what `--help` says.

`golden/pins.json` holds chains of two sorts. With scores from a hash (`promises.synthetic`) a chain
says how programs are bred, on any machine. With trained scores it says what every bit came out as,
on one kind of processor: on another kind, whose last bits may differ, that test is skipped and says
so. To make the file again, after a change that is meant to change a chain:

    PYTHONPATH=tests python tests/search/test_pins.py
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
from collections import deque
from pathlib import Path
from unittest import mock

if __name__ == "__main__":
    import conftest  # noqa: F401  (the environment that scores are made in)

import click
import pytest
from promises.synthetic import scored

from evolve.commands import main as cli
from evolve.config.presets import load_config
from evolve.config.schema import Config
from evolve.config.validation import validated
from evolve.environment import processor
from evolve.record.folder import RunFolder
from evolve.record.journal import Journal
from evolve.running.drive import Clock, Driver
from evolve.running.facts import Plan
from evolve.running.life import execute
from evolve.scoring import references
from evolve.search.search import Search
from evolve.workers.executor import make_executor
from primitives import PRIMITIVES

GOLDEN = Path(__file__).parents[1] / "golden"
FAMILIES = {
    "name": "families",
    "suite": [{"kind": "noisy_quadratic", "dim": 32, "steps": 60}],
    "search": {
        "initial": ["adamw", "adahessian", "lamb"],
        "families": ["lion", "arithmetic", "logic", "reduction", "oracle"],
        "population": 30,
        "tournament": 2,
        "phase": 100,
        "repeats": 1000,
    },
    "scoring": {"seeds": 2, "select_seeds": 2, "hall_of_fame": 4},
    "confirm": {"seeds": 2, "finalists": 1, "baselines": ["adamw"]},
}
TRAINED = {"quickstart": 1500, "matrices": 40, "families": 250}
SUITE = {
    "quickstart": 100
}  # what is trained here; `make pins` trains all of the above, for minutes
HASHED = {"quickstart": 6000, "matrices": 400, "families": 1500}


class Hashed:
    """An executor whose scores come out of a hash."""

    def __init__(self):
        self.asked = deque()

    def submit(self, number, job):
        self.asked.append((number, scored(job)))

    def arrivals(self, timeout):
        found, self.asked = list(self.asked), deque()
        return found


def config_of(name: str, candidates: int) -> Config:
    if name == "families":
        return validated(FAMILIES | {"budget": {"candidates": candidates}}, name)
    return load_config(name, (f"budget={{candidates: {candidates}}}",))


@contextlib.contextmanager
def references_of_then():
    """With the tuned values that the chains were recorded with, whatever is shipped today."""
    with mock.patch.object(references, "SHIPPED", GOLDEN / "references"):
        references.tuned_values.cache_clear()
        yield
    references.tuned_values.cache_clear()


def chain(name: str, candidates: int, trained: bool) -> str:
    """The hash chain of a search, whose candidates are trained by workers or scored by a hash."""
    with references_of_then():
        plan = Plan.of(config_of(name, candidates))
    config, search = plan.config, Search(plan.config, plan.initial)
    with tempfile.TemporaryDirectory() as place:
        journal = Journal(Path(place) / "journal.sqlite")
        executor = make_executor(config.workers, plan.suite) if trained else Hashed()
        try:
            driver = Driver(search, executor, journal, config.budget, Clock())
            if trained:
                executor.ready()
            for _ in driver.run():
                pass
            return driver.chain.hex()
        finally:
            if trained:
                executor.close()
            journal.close()


def helps() -> str:
    """What `--help` says of every command, at the width of a page."""
    said = []
    for name, command in [("", cli.main), *sorted(cli.main.commands.items())]:
        context = click.Context(
            command,
            info_name=f"evolve {name}".strip(),
            **(cli.CONTEXT | {"terminal_width": 100, "max_content_width": 100}),
        )
        said.append(f"$ evolve {name} --help\n{command.get_help(context)}\n")
    return "\n".join(said)


def pins() -> dict:
    return json.loads((GOLDEN / "pins.json").read_text())


@pytest.mark.parametrize("name", HASHED)
def test_a_search_breeds_the_programs_that_it_bred_before(name):
    assert chain(name, HASHED[name], trained=False) == pins()["hashed"][name]


TRAINED_HERE = TRAINED if "PINS" in os.environ else SUITE


@pytest.mark.parametrize(("name", "candidates"), TRAINED_HERE.items())
def test_a_search_ends_in_the_hash_that_it_ended_in_before(name, candidates):
    known = pins()["trained"].get(processor())
    if known is None:
        pytest.skip(f"no chain was recorded on a processor of this kind: {processor()}")
    assert chain(name, candidates, trained=True) == known[f"{name} {candidates}"]


def test_primitives_register_in_the_order_that_mutations_draw_in():
    assert list(PRIMITIVES) == pins()["primitives"]


def test_every_command_says_what_it_said():
    assert helps() == (GOLDEN / "help.txt").read_text()


@pytest.mark.parametrize("form", [1, 2])
def test_a_run_of_an_older_software_goes_on_to_the_end_that_it_had_there(form, tmp_path):
    kept = Path(__file__).parents[1] / "data" / f"run-format-{form}"
    folder = RunFolder(Path(shutil.copytree(kept, tmp_path / "run")))
    for part in ("best", "logs"):  # git keeps no empty folders
        (folder.path / part).mkdir()
    with contextlib.closing(Journal(folder.journal)) as journal:
        begun, theirs = list(journal.rows()), journal.get("machine")
    result = execute(folder, Plan.from_folder(folder), allow_different_machine=True)
    with contextlib.closing(Journal(folder.journal, read_only=True)) as journal:
        assert list(journal.rows())[: len(begun)] == begun
        ours = journal.get("machine")
    # Other versions of jax or numpy may score otherwise; ours does not matter.
    if all(ours[name] == said for name, said in theirs.items() if name != "pride"):
        assert result.chain == (kept / "chain").read_text().strip()


def write(trained: bool = True) -> None:
    path = GOLDEN / "pins.json"
    said = pins() if path.is_file() else {"trained": {}}
    said["primitives"] = list(PRIMITIVES)
    said["hashed"] = {name: chain(name, count, trained=False) for name, count in HASHED.items()}
    if trained:
        said["trained"][processor()] = {
            f"{name} {count}": chain(name, count, trained=True)
            for name, count in (*SUITE.items(), *TRAINED.items())
        }
    path.write_text(json.dumps(said, indent=1) + "\n")
    (GOLDEN / "help.txt").write_text(helps())


if __name__ == "__main__":
    os.chdir(Path(__file__).parents[2])
    write(trained="--hashed" not in sys.argv)
