"""The whole system on one page: a program, a task, a search, an export. Run before each commit."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import pytest

import evolve
from proxy_tasks import TASKS, Task

PROGRAM = '''"""Signed momentum: the sign of an average of gradients."""
learning_rate = tunable(0.05, low=0.001, high=1.0, scale="log")
decay = 0.9
m = zeros_like(w)

def step(w, g, lr):
    m = interp(g, m, decay)
    return lr * sign(m)
'''


@pytest.fixture
def bowl():
    """A task of ten lines, which enters the list of tasks by being defined."""

    @dataclass(frozen=True)
    class Bowl(Task):
        """Minimise 0.01 + |x|² from a random place."""

        steps: int = 30

        def init(self, key):
            return {"point": {"x": jax.random.normal(key, (8,))}}

        def evaluate(self, params, data, part):
            return 0.01 + jnp.sum(params["point"]["x"] ** 2)

    yield Bowl
    del TASKS["bowl"]


def test_a_program_a_task_a_search_and_an_export(bowl, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program = evolve.parse(PROGRAM, name="signed_momentum")
    assert "sign" in evolve.show(program).facts["primitives"]

    # What 0 means on the task: AdamW, tuned there.
    evolve.reference("bowl", ["adamw"], trainings=32, say=lambda line: None)
    scores = evolve.score(["adamw", program], "bowl", seeds=2, workers="inline")
    assert scores["adamw"].score == 0.0
    assert scores["signed_momentum"].status == "ok"

    # Fifty candidates from it; the same config and seed give the same run.
    (tmp_path / "signed_momentum.py").write_text(PROGRAM)
    config = {
        "name": "tiny",
        "suite": "bowl",
        "search": {"initial": ["signed_momentum.py"], "population": 10, "lag": 4},
        "scoring": {"seeds": 1, "select_seeds": 2},
        "budget": {"candidates": 50},
        "confirm": {"seeds": 2, "baselines": ["adamw"]},
        "workers": {"kind": "inline"},
    }
    study, again = (evolve.run(config, say=lambda line: None) for _ in range(2))
    assert (study.state, study.facts["candidates"]) == ("finished", 50)
    assert study.chain == again.chain

    # What was found trains with Optax at once.
    optimizer = evolve.to_optax(study.best or program)
    params = {"w": jnp.ones((2, 3))}
    updates, _ = optimizer.update({"w": jnp.ones((2, 3))}, optimizer.init(params), params)
    assert updates["w"].shape == (2, 3)
    assert "def scale_by_" in evolve.export(study.best or program).source
