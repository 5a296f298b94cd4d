"""Identity: two programs that compute the same have the same name.

First the canonical form (`graph.py`), whose laws are exact. What it misses (laws
that hold up to rounding, such as interp(x, x, a) = x) shows on a numeric probe:
a few steps in float64 on fixed inputs that span the magnitudes a program meets.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from primitives.graph import CONSTANT, MATRIX_LEAF, STATE, Graph
from primitives.kinds import SCALAR
from primitives.layout import Layout
from primitives.program import KERNELS
from primitives.registry import PRIMITIVES

# The step numbers reach far, so that what depends on t shows early.
_STEPS = np.array([1.0, 2.0, 3.0, 40.0, 700.0])
_SHAPES = np.array([0.5, 1.0, 0.9, 0.4, 0.05])
_SWITCHES = ("sign", "invert")  # what jumps, beside comparisons and selection
_BOUNDS = ("minimum", "maximum")  # of numbers: where(t < 5, ...) by other means
_LAYOUT = Layout(shapes=((3, 3), (4,), (1,), (241,)))

_rng = np.random.Generator(np.random.Philox(key=20230213))
_BASE = np.array([0.7, -0.3, 1.2, -0.04, 0.02, -2.5, 30.0, -3e-3, 0.11, 1e-5, -0.6, 0.0, 0.09, -1.7])
_STEADY = _BASE * (1.0 + 0.4 * _rng.standard_normal((len(_STEPS), _BASE.size)))  # each coordinate keeps its sign
# In the last leaf the signs change and the magnitudes span four decades. Without it, sign(interp(g, m, a)) would be
# the same for every a, and Lion with its betas exchanged would be Lion.
_UNSTEADY = _rng.choice([-1.0, 1.0], (len(_STEPS), 241)) * 10.0 ** _rng.uniform(-3.0, 1.0, (len(_STEPS), 241))
_GRADIENTS = np.concatenate([_STEADY, _UNSTEADY], axis=1)
_WEIGHTS = 0.2 * _rng.standard_normal(_GRADIENTS.shape)
_LOSSES = np.array([2.3, 1.9, 2.05, 0.6, 0.11])
_MASKS = {rule: _LAYOUT.mask(rule).astype(float) for rule in KERNELS}
_STEEP = np.flatnonzero(np.abs(_BASE) > 0.01)
_MANTISSA = 2.0**32  # about nine and a half digits are compared


@dataclass(frozen=True)
class Probe:
    """What a program does on the fixed inputs."""

    updates: np.ndarray  # f64[step, number]
    points: np.ndarray | None = None  # f64[step, number]: where the model is evaluated, if the program says
    trusted: bool = True  # whether equal updates mean equal programs
    known: bool = True  # whether the program was run at all; matrix programs are not
    kernels: str = ""  # the rule for kernels, of which the fixed inputs have none

    @property
    def finite(self) -> bool:
        return bool(np.isfinite(self.updates).all()) and (self.points is None or bool(np.isfinite(self.points).all()))

    @property
    def key(self) -> str:
        """Equal for programs whose updates agree to about nine digits; empty where nothing can be said."""
        if not self.finite or not self.trusted:
            return ""
        said = self.updates if self.points is None else np.concatenate([self.updates, self.points])
        mantissa, exponent = np.frexp(said)
        # As a number again: 1 and 1 - 2^-53, on two sides of an exponent, get the same bits; + 0.0 drops -0.0.
        rounded = np.ldexp(np.rint(mantissa * _MANTISSA) / _MANTISSA, exponent) + 0.0
        digest = hashlib.blake2b(rounded.tobytes() + self.kernels.encode(), digest_size=16)
        return digest.hexdigest()

    @property
    def descends(self) -> bool:
        """Whether most steep coordinates move against their gradient; counted where its sign stays the same.

        True where the probe is not finite or was not made: nothing is known then.
        """
        if not self.finite or not self.known:
            return True
        moved = np.sign(self.updates[:, _STEEP].sum(axis=0)) * np.sign(_BASE[_STEEP])
        return float(moved.sum()) > 0.0


def key(graph: Graph) -> str:
    """32 hex digits: the name of what a program computes, by rules that are exact."""
    return hashlib.blake2b(graph.serial(), digest_size=16).hexdigest()


def probe(graph: Graph) -> Probe:
    """Run a graph on the fixed inputs, in float64 on the host."""
    if graph.unflat():
        return Probe(np.zeros_like(_GRADIENTS), trusted=False, known=False)
    states = [_start(s.kind, s.start) for s in graph.states]
    updates = np.empty_like(_GRADIENTS)
    points = np.zeros_like(_GRADIENTS) if graph.evaluation is not None else None
    with np.errstate(all="ignore"):
        for number in range(len(_STEPS)):
            leaves = {
                "w": _WEIGHTS[number], "g": _GRADIENTS[number], "t": _STEPS[number], "lr": _SHAPES[number],
                "loss": _LOSSES[number], MATRIX_LEAF: _MASKS.get(graph.kernels),
            }  # fmt: skip
            values = evaluate(graph, _LAYOUT, leaves, states)
            updates[number] = values[graph.update]
            if points is not None:
                points[number] = values[graph.evaluation]
            states = [values[s.next] for s in graph.states]
    return Probe(updates, points, trusted=not _may_switch(graph), kernels=graph.kernels)


def _may_switch(graph: Graph) -> bool:
    """Whether a program may change its mind at a step between those of the probe, as where(t > 50, ...) does."""
    switches = any(
        n.op in _SWITCHES
        or (n.op in _BOUNDS and n.kind is SCALAR)
        or (n.op in PRIMITIVES and PRIMITIVES[n.op].family == "logic")
        for n in graph.nodes
        if not (n.op == "where" and graph.nodes[n.args[0]].op == MATRIX_LEAF)
    )
    counts = graph.uses("t") or any(s.kind is SCALAR for s in graph.states)  # n = n + 1 is a clock too
    return switches and counts


def evaluate(graph: Graph, layout: Layout, leaves: dict, states: list) -> list:
    """The value of every node, with numpy on flat vectors. `leaves["lr"]` is the schedule's shape."""
    values: list = []
    for node in graph.nodes:
        if node.op in PRIMITIVES:
            args = (values[a] for a in node.args)
            values.append(layout.apply(PRIMITIVES[node.op], np, *args))
        elif node.op == CONSTANT:
            values.append(np.float64(node.value))
        elif node.op == STATE:
            values.append(states[int(node.value)])
        elif node.op == "lr":
            values.append(leaves["lr"] * node.value)
        else:
            values.append(leaves[node.op])
    return values


def _start(kind, start: float | str):
    if kind is SCALAR:
        return np.float64(start)
    return _WEIGHTS[0].copy() if start == "w" else np.full(_LAYOUT.size, start)
