"""The probe: what a program does on fixed inputs. Programs that do the same get the same name.

The value graph (`graph.py`) merges programs by laws that are exact. What it misses
(laws that hold up to rounding, such as interp(x, x, a) = x) shows here: in a few
steps in float64 on inputs that span the magnitudes a program meets.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from primitives.canonical.feed import BASE, FEED, LAYOUT, MASKS, STEPS
from primitives.canonical.nodes import CONSTANT, MATRIX_LEAF, STATE, Graph, Node
from primitives.kinds import SCALAR
from primitives.registry import (
    ELEMENTWISE,
    PRIMITIVES,
    Primitive,
    per_registry,
    when_registry_changes,
)

_BOUNDS = ("minimum", "maximum")  # of numbers: where(t < 5, ...) by other means
_DOWNHILL = np.where(np.abs(BASE) > 0.01, np.sign(BASE), 0.0)  # where it is steep
_MANTISSA = 2.0**32


@dataclass(frozen=True, slots=True)
class Probe:
    """What a program does on the fixed inputs.

    key: 16 bytes, equal for programs whose updates agree to about nine digits; empty where nothing
    can be said.
    finite: whether all updates are, and all points at which the model is evaluated.
    descends: whether most steep coordinates move against their gradient; counted where its sign
    stays the same.
    known: whether the program was run at all; matrix programs are not.
    Where the probe is not finite or was not made, `descends` is True: nothing is known then.
    """

    key: bytes
    finite: bool = True
    descends: bool = True
    known: bool = True


@lru_cache(2048)
def probe(graph: Graph) -> Probe:
    """Run a graph on the fixed inputs, in float64 on the host."""
    if graph.unflat():
        return Probe(b"", known=False)
    values = _values(graph)
    moves = _moves(graph, values)
    if not np.isfinite(moves).all():
        return Probe(b"", finite=False)
    way = np.add.reduce(moves[: len(STEPS), : BASE.size])
    trusted = not (_may_switch(graph) or _one_sided(graph, values))
    return Probe(
        digest(moves, graph.kernels) if trusted else b"",
        descends=bool(np.sign(way) @ _DOWNHILL > 0),
    )


when_registry_changes(probe.cache_clear)


def updates(graph: Graph) -> np.ndarray:
    """Return the updates on the fixed inputs, f64[step, number], of a graph that is flat.

    Below them stand the points at which the model is evaluated, where the program says so. To be
    read only: the array may serve other programs.
    """
    return _moves(graph, _values(graph))


def _values(graph: Graph) -> list[_Value]:
    with _lock, np.errstate(all="ignore"):
        return _walk(graph)


def _moves(graph: Graph, values: list[_Value]) -> np.ndarray:
    moves = values[graph.update].array
    return (
        moves
        if graph.evaluation is None
        else np.concatenate([moves, values[graph.evaluation].array])
    )


def digest(moves: np.ndarray, kernels: str = "") -> bytes:
    """Return a name of 16 bytes for some numbers, by about nine and a half digits of each."""
    rounded, exponent = np.frexp(moves)
    rounded *= _MANTISSA
    np.rint(rounded, out=rounded)
    # As a number again: 1 and 1 - 2^-53, on two sides of an exponent, get the same bits; + 0.0
    # drops -0.0.
    rounded *= 1.0 / _MANTISSA
    np.ldexp(rounded, exponent, out=rounded)
    rounded += 0.0
    digest = hashlib.blake2b(rounded.data, digest_size=16)
    digest.update(kernels.encode())  # the fixed inputs have no kernels
    return digest.digest()


@per_registry
def _jumps() -> frozenset[str]:
    return frozenset((*_BOUNDS, *(p.name for p in PRIMITIVES.values() if p.jumps)))


def _may_switch(graph: Graph) -> bool:
    """Tell whether a program may change its mind at a step between those of the probe.

    where(t > 50, ...) does.
    """
    jumps = _jumps()
    if graph.ops.isdisjoint(jumps):
        return False
    switches = any(
        n.op in jumps and (n.kind is SCALAR or n.op not in _BOUNDS)
        for n in graph.nodes
        if not (n.op == "where" and graph.nodes[n.args[0]].op == MATRIX_LEAF)
    )
    counts = graph.uses("t") or any(
        s.kind is SCALAR for s in graph.states
    )  # n = n + 1 is a clock too
    return switches and counts


def _one_sided(graph: Graph, values: list[_Value]) -> bool:
    """Tell whether a minimum or a maximum chose the same argument everywhere.

    Then nothing was learnt about the other.
    """
    if graph.ops.isdisjoint(_BOUNDS):
        return False
    return any(
        bool((values[a].array == values[number].array).all())
        for number, node in enumerate(graph.nodes)
        if node.op in _BOUNDS
        for a in node.args
    )


class _Value:
    """What a node is worth.

    Shape   f64[step, number]; f64[step, 1] of one number for the model; f64[] of a constant.

    It is equal to itself alone, so that it can stand in what is said of others.
    """

    __slots__ = ("array",)

    def __init__(self, array: Any):
        self.array = array


_lock = threading.Lock()
KNOWN: OrderedDict[tuple, Any] = OrderedDict()
"""Values of the programs probed of late, by what is said of them: a child shares most of them with
its parent.

No value depends on what else is known.
"""
when_registry_changes(KNOWN.clear)
_MANY = 2048  # values that are kept, of ten kilobytes at most


def _walk(graph: Graph) -> list[_Value]:
    """Return the value of every node.

    What depends on a state and is needed for what a state becomes runs step by step, the rest for
    all steps at once.
    """
    nodes = graph.nodes
    values: list = []
    recurrent: set[int] = set()  # depends on a state
    for number, node in enumerate(nodes):
        if node.op == STATE or not recurrent.isdisjoint(node.args):
            recurrent.add(number)
            values.append(None)
        else:
            values.append(_found(_said(graph, node, values), _at_once))

    if recurrent:
        needed = {s.next for s in graph.states}
        for number in sorted(recurrent, reverse=True):
            if number in needed:
                needed.update(nodes[number].args)
        within = [n for n in sorted(recurrent) if n in needed or nodes[n].op == STATE]
        for number, value in zip(within, _step_by_step(graph, within, values), strict=True):
            values[number] = value
        for number in sorted(recurrent.difference(within)):
            values[number] = _found(_said(graph, nodes[number], values), _at_once)

    while len(KNOWN) > _MANY:
        KNOWN.popitem(last=False)
    return values


def _found(said: tuple, work_out: Callable) -> Any:
    """Return what is known under a name, or work it out from the name."""
    known = KNOWN.get(said)
    if known is None:
        known = KNOWN[said] = work_out(*said)
    else:
        KNOWN.move_to_end(said)
    return known


def _said(graph: Graph, node: Node, values: list[_Value | None]) -> tuple:
    """Return all that the value of a node depends on."""
    op, args, value, _ = node
    if args:
        return (op, *[values[a] for a in args])
    if op == MATRIX_LEAF:
        return (op, graph.kernels)
    return (op, value or repr(value))  # to a dictionary, 0.0 and -0.0 are one number


def _at_once(op: str, *of: Any) -> _Value:
    """Work out one node, in all steps at once."""
    if op in PRIMITIVES:
        return _Value(_applied(PRIMITIVES[op], [x.array for x in of]))
    if op == CONSTANT:
        return _Value(np.asarray(float(of[0])))
    if op == MATRIX_LEAF:
        return _Value(MASKS[of[0]])
    if op == "lr":
        return _Value(FEED[op] * float(of[0]))
    return _Value(FEED[op])


def _applied(primitive: Primitive, args: list) -> np.ndarray:
    if primitive.scope == ELEMENTWISE:
        return primitive.apply(np, *args)
    steps = range(len(STEPS))
    return _stacked(
        [LAYOUT.apply(primitive, np, *[_in_step(a, step) for a in args]) for step in steps]
    )


def _step_by_step(graph: Graph, within: list[int], values: list[_Value | None]) -> list[_Value]:
    """Work out states and the nodes that make them, one step after the other."""
    place = {
        number: at for at, number in enumerate(within)
    }  # what is said is free of the graph's numbers
    lines = []
    for number in within:
        op, args, value, _ = graph.nodes[number]
        if op == STATE:
            state = graph.states[int(value)]
            after = place.get(state.next, values[state.next])
            lines.append((STATE, state.kind, state.start, repr(state.start), after))
        else:
            lines.append((op, *[place.get(a, values[a]) for a in args]))
    return _found(tuple(lines), _walked)


def _walked(*lines: tuple) -> list[_Value]:
    given = {x for line in lines for x in line if isinstance(x, _Value)}
    held = {at: _start(*line[1:3]) for at, line in enumerate(lines) if line[0] == STATE}
    calls = [(at, PRIMITIVES[line[0]], line[1:]) for at, line in enumerate(lines) if at not in held]
    walked = []
    for step in range(len(STEPS)):
        now = {x: _in_step(x.array, step) for x in given} | held
        for at, primitive, args in calls:
            now[at] = LAYOUT.apply(primitive, np, *[now[a] for a in args])
        held = {at: now[lines[at][-1]] for at in held}
        walked.append(now)
    return [_Value(_stacked([now[at] for now in walked])) for at in range(len(lines))]


def _in_step(value, step: int):
    """Return a value in one step: a vector, or one number that holds for the whole model."""
    if value.ndim == 0:
        return value
    return value[step] if value.shape[1] > 1 else value[step, 0]


def _stacked(rows: list) -> np.ndarray:
    """Return the values of one node in all steps as one array.

    It holds vectors if one of the values is a vector: a state may start as a number.
    """
    stacked = np.empty((len(rows), max([row.size for row in rows])))
    for step, row in enumerate(rows):
        stacked[step] = row
    return stacked


def _start(kind, start: float | str):
    if kind is SCALAR:
        return np.float64(start)
    return FEED["w"][0].copy() if start == "w" else np.full(LAYOUT.size, start)
