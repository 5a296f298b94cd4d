"""The fixed inputs of the probe: five steps on a small model, at the magnitudes programs meet."""

from __future__ import annotations

import numpy as np

from primitives.machine.layout import Layout
from primitives.statements import KERNELS

# The step numbers reach far, so that what depends on t shows early.
STEPS = np.array([1.0, 2.0, 3.0, 40.0, 700.0])
LAYOUT = Layout(shapes=((3, 3), (4,), (1,), (241,)))

# The first leaves: each coordinate keeps its sign.
BASE = np.array([0.7, -0.3, 1.2, -0.04, 0.02, -2.5, 30.0, -3e-3, 0.11, 1e-5, -0.6, 0.0, 0.09, -1.7])
_rng = np.random.Generator(np.random.Philox(key=20230213))
_STEADY = BASE * (1.0 + 0.4 * _rng.standard_normal((len(STEPS), BASE.size)))

# In the last leaf the signs change and the magnitudes span four decades. Without it, sign(interp(g,
# m, a)) would be the same for every a, and Lion with its betas exchanged would be Lion.
_SIGNS = _rng.choice([-1.0, 1.0], (len(STEPS), 241))
_UNSTEADY = _SIGNS * 10.0 ** _rng.uniform(-3.0, 1.0, (len(STEPS), 241))
_UNSTEADY[_rng.random(_UNSTEADY.shape) < 0.05] = 0.0  # as of a unit that is off for a batch

# Small gradients first: of large ones beta ** dot(g, g) is 0 and every norm is clipped.
_GRADIENTS = np.array([[0.001], [0.03], [1.0], [1.0], [1.0]]) * np.concatenate(
    [_STEADY, _UNSTEADY], axis=1
)

# A weight in eight is drawn wide, because arcsin clamps beyond 1. The first leaves stay where they
# are, or what steps towards a place would run after the weights.
_WIDTHS = np.resize([0.2] * 7 + [2.0], _GRADIENTS.shape[1])
_WEIGHTS = _rng.standard_normal(_GRADIENTS.shape) * _WIDTHS
_WEIGHTS[:, : BASE.size] = _WEIGHTS[0, : BASE.size]

FEED = {
    "w": _WEIGHTS,
    "g": _GRADIENTS,
    "t": STEPS[:, None],
    "lr": np.array([0.5, 1.0, 0.9, 0.4, 0.05])[:, None],  # the shape of the schedule
    "loss": np.array([2.3, 1.9, 2.05, 0.6, 0.11])[:, None],
}
"""Inputs by name: f64[step, number], or f64[step, 1]."""

MASKS = {
    rule: np.broadcast_to(LAYOUT.mask(rule).astype(float), _GRADIENTS.shape) for rule in KERNELS
}
"""Which numbers belong to matrices, by the rule for kernels: f64[step, number]."""
