"""What is too large, or not there, is said in a sentence before anything runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evolve.config.errors import ConfigError
from evolve.config.presets import load_config, preset_names
from evolve.config.schema import Config, TaskSettings, planned_lag
from evolve.config.validation import overridden, validated
from evolve.running.sentences import size_lines

ROOT = Path(__file__).parents[2]


def numbers(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every number that a schema allows, with its place."""
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number"):
            yield path, schema
        for key, inner in schema.items():
            yield from numbers(inner, f"{path}.{key}")
    elif isinstance(schema, list):
        for inner in schema:
            yield from numbers(inner, path)


def test_every_number_of_a_config_has_a_least_and_a_most():
    """Those of a task have the bounds of the task."""
    schema = Config.model_json_schema()
    del schema["$defs"][TaskSettings.__name__]
    found = list(numbers(schema))
    for place, number in found:
        assert {"minimum", "exclusiveMinimum"} & set(number), place
        assert {"maximum", "exclusiveMaximum"} & set(number), place
    assert len(found) == 27


def keys(said: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in said.items():
        if isinstance(value, dict):
            yield from keys(value, f"{path}{key}.")
        elif isinstance(value, int | float) or f"{path}{key}" in UNSAID:
            yield path + key


UNSAID = ("budget.seconds", "workers.count", "workers.memory")


def test_a_number_that_is_too_large_is_refused_by_its_key():
    cases = 0
    for key in keys(load_config("smoke").model_dump(mode="json")):
        for value in ("10000000000000000000", "9300000000000000000", "1e300", "-1"):
            with pytest.raises(ConfigError) as refused:
                load_config("smoke", (f"{key}={value}",))
            assert f" {key}: " in str(refused.value)
            cases += 1
    assert cases >= 100


def test_what_people_have_configured_is_within_the_bounds():
    for name in preset_names():
        assert load_config(name)
    config = load_config("quickstart").model_dump(mode="json")
    changes = (
        "workers.count=4096", f"search.lag={planned_lag(4096)}", "search.population=100000",
        "search.phase=1000000000", "budget.candidates=1000000000", "budget.seconds=31536000",
        "scoring.seeds=1000", "workers.deadline=86400", "workers.memory=1024",
    )  # fmt: skip
    assert validated(overridden(config, changes), "large")


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"candidates": 1000}, []),
        ({"seconds": 3600.0}, []),
        ({"seconds": 864_000.0}, ["this run may take 10.0 days or more"]),
        (
            {"candidates": 10**9, "seconds": 60.0},
            ["a record of 1,000,000,000 candidates takes"],
        ),
        ({"candidates": 10**9}, ["a record of 1,000,000,000", "this run may take 23.1 days"]),
    ],
)
def test_a_run_that_will_be_long_or_large_says_so(budget, said):
    tasks = [{"kind": "noisy_quadratic", "steps": 400}]
    config = validated({"suite": tasks, "budget": budget}, "config")
    lines = list(size_lines(config, 4))
    assert all(line.startswith(start) for line, start in zip(lines, said, strict=True))


def test_a_platform_that_is_not_there_is_one_sentence():
    command = [sys.executable, "-m", "evolve", "validate", "smoke"]
    env = os.environ | {"JAX_PLATFORMS": "cuda"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("JAX_PLATFORMS=cuda: jax finds no such device")
    assert "Traceback" not in done.stderr


def test_python_without_docstrings_and_asserts_shows_what_there_is():
    code = """
from click.testing import CliRunner
from evolve.commands.main import main
from evolve.commands.programs import LISTS
for arguments in (*(["list", what] for what in LISTS if what != "optimizers"), ["show", "lion"]):
    result = CliRunner().invoke(main, arguments)
    print(result.exit_code, result.exception)
"""
    command = [sys.executable, "-OO", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["0 None"] * 10, done.stderr
