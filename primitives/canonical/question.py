"""A question back: whether a program that is legal does what its author means."""

from __future__ import annotations

from typing import Any

import numpy as np

from primitives import meaning
from primitives.program import Program
from primitives.registry import oracles

_SHAPES = ((3, 4), (5,))
_GRADIENTS = [np.linspace(-1.0, 2.0, 12).reshape(3, 4), np.linspace(0.3, -0.7, 5)]
_WEIGHTS = [np.cos(np.arange(12.0)).reshape(3, 4), np.sin(np.arange(1.0, 6.0))]
_ELSEWHERE = [w + 0.3 * np.cos(3.0 * w + 1.0) for w in _WEIGHTS]
_FORGOTTEN = 0.2  # of a way between weights: what a weight decay of 0.2 leaves at a rate of 1


def question(program: Program) -> str:
    """Return what to ask the author of a program, or an empty string.

    A program that returns new weights (`w = w - lr * g; return w`) shows in its first step: as
    `w - update` is applied, what is left does not depend on where it began.
    """
    matrices = program.matrix_statement is not None and program.fallback is None
    leaves = 1 if matrices else len(_SHAPES)
    with np.errstate(all="ignore"):
        try:
            here, there = (_after(program, w[:leaves]) for w in (_WEIGHTS, _ELSEWHERE))
        except Exception:  # of a plug-in's primitive; `conformance.py` says what is wrong with it
            return ""
        forgets = all(
            _differ(a, b) < _FORGOTTEN * _differ(first, second)  # never of nan
            and _differ(first - a, second - b) > 0  # an update may be so large that w is lost in it
            for a, b, first, second in zip(here, there, _WEIGHTS, _ELSEWHERE, strict=False)
        )
    if not forgets:
        return ""
    return (
        "Does step return new weights? It returns the update, and w - update is applied: "
        "return lr * g, not w - lr * g."
    )


def _differ(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.linalg.norm(y - x))


def _after(program: Program, weights: list[np.ndarray]) -> list[np.ndarray]:
    """Return the weights after the first step from some weights."""
    gradients = _GRADIENTS[: len(weights)]
    feed: dict[str, Any] = {
        "loss": 1.0,
        "noise": gradients,
        "rademacher": gradients,
        "run_progress": 0.0,
    }
    feed |= {name: lambda x: x for name in oracles()}
    states = meaning.init(program, weights, np)
    return meaning.step(program, weights, gradients, states, 1.0, 1, np, feed)[0]
