"""The plain reading of a value graph, node after node and step after step: a second opinion on the
probe.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from primitives import SCALAR
from primitives.canonical.feed import FEED, LAYOUT
from primitives.canonical.nodes import CONSTANT, MATRIX_LEAF, STATE, Graph
from primitives.machine.layout import Layout
from primitives.registry import PRIMITIVES


def evaluate(graph: Graph, layout: Layout, leaves: dict[str, Any], states: list[Any]) -> list[Any]:
    """The value of every node in one step, on flat vectors.

    `leaves["lr"]` is the schedule's shape.
    """
    values: list[Any] = []
    for node in graph.nodes:
        if node.op in PRIMITIVES:
            values.append(layout.apply(PRIMITIVES[node.op], np, *(values[a] for a in node.args)))
        elif node.op == CONSTANT:
            values.append(np.float64(node.value))
        elif node.op == STATE:
            values.append(states[int(node.value)])
        elif node.op == "lr":
            values.append(leaves["lr"] * node.value)
        else:
            values.append(leaves[node.op])
    return values


def updates(graph: Graph) -> np.ndarray:
    """What `probe.updates` is, one step after the other."""
    layout, steps = LAYOUT, len(FEED["t"])
    roots = [graph.update] if graph.evaluation is None else [graph.update, graph.evaluation]
    states = [
        np.float64(s.start)
        if s.kind is SCALAR
        else FEED["w"][0]
        if s.start == "w"
        else np.full(layout.size, s.start)
        for s in graph.states
    ]
    walked = []
    with np.errstate(all="ignore"):
        for step in range(steps):
            leaves = {
                name: of[step] if of.shape[1] > 1 else of[step, 0] for name, of in FEED.items()
            }
            leaves[MATRIX_LEAF] = layout.mask(graph.kernels or "flatten").astype(float)
            values = evaluate(graph, layout, leaves, states)
            states = [values[s.next] for s in graph.states]
            walked.append([values[root] for root in roots])
    return np.concatenate([np.array(rows) for rows in zip(*walked, strict=True)])
