"""The benchmark works; how fast anything is, it says itself: `make bench`."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).with_name("bench.py")


@pytest.mark.slow
def test_the_benchmark_runs_at_a_tiny_size_and_writes_its_figures_and_its_machine(tmp_path):
    command = [sys.executable, str(BENCH), "--tiny", "--into", str(tmp_path / "new")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [
        "results.json",
        "results.md",
    ]
    results = json.loads((tmp_path / "new" / "results.json").read_text())
    table = (tmp_path / "new" / "results.md").read_text()
    assert done.stdout == table
    assert {"processor", "cores", "versions"} <= set(results["machine"])
    for name, figure in results["figures"].items():
        assert math.isfinite(figure["value"])
        assert figure["value"] >= 0
        assert (figure["met"] is None) == (not figure["bar"])
        assert f"| {name} |" in table
    assert {
        name: figure["bar"] for name, figure in results["figures"].items() if figure["bar"]
    } == {
        "digits_dense, adamw: machine / optax": "≤ 1.15 x",
        "digits_dense, lion: machine / optax": "≤ 1.15 x",
        "search, evaluated / one jax.jit each": "≥ 30 x",
        "search, generated / one jax.jit each": "≥ 100 x",
        "mutate, check, liveness, key, probe; one core": "≥ 5,000 programs/s",
        "digits_dense, children of adamw: one jax.jit each / call by call": "≥ 8 x",
    }
