"""The value graph: what a program computes, with everything that does not matter left out.

Names, order, dead statements, copies, repeated work, folded constants and the
order of commutative arguments are gone; two states that always hold the same
value are one. The machine runs this graph and the identity of a program is its
serialisation, so programs with equal keys run the same instructions.

The laws applied here are exact in floating point (`laws.py`). What holds only
up to rounding is left to the probe (`probe.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from primitives.canonical.nodes import STATE, Graph, Node, Recurrence
from primitives.canonical.values import (
    LOCK,
    ProgramValues,
    Table,
    hash_of_call,
    hash_of_state,
    table_of,
)
from primitives.program import Program
from primitives.registry import PRIMITIVES


def graph(program: Program, dtype: type = np.float32) -> Graph:
    """Return the value graph of a program whose constants have this dtype."""
    with LOCK:
        table = table_of(dtype)
        values = ProgramValues(program, table)
        said = values.said()
        if said not in table.graphs:
            table.graphs[said] = _canonical(values)
        return table.graphs[said]


def _canonical(program: ProgramValues) -> Graph:
    """Keep what reaches the update, merge equal states, and number everything independently of
    names.
    """
    table = program.table
    colour, hashes = _refined(program)
    representative: dict[int, int] = {}  # colour -> the first live state that has it
    for state, its in colour.items():
        representative.setdefault(its, state)

    places = _Places(table, hashes, {state: representative[its] for state, its in colour.items()})
    roots = [places[root] for root in program.roots]
    states = []
    for state in places.order:  # which grows
        start = table.start(program.states[state])
        states.append(Recurrence(program.states[state].kind, start, places[program.next[state]]))
    evaluation = roots[1] if len(roots) > 1 else None
    return Graph(tuple(places.nodes), roots[0], tuple(states), evaluation, program.kernels)


def _refined(program: ProgramValues) -> tuple[dict[int, int], dict[int, int]]:
    """Colour the live states, so that two have one colour only if they always hold the same value.

    Starts from their initial values and splits colours by what the states become, until nothing
    splits any more. Returns also hashes of the values that read states, by the last colours but
    one.
    """
    table, after = program.table, program.next
    hashes: dict[int, int] = {}
    colour = {
        n: table.colour(state) for n, state in enumerate(program.states) if program.live >> n & 1
    }
    classes = 0
    while True:
        old, colour = colour, {}
        for n, its in old.items():
            colour[n] = hash((its, hashes.get(after[n], table.hashes[after[n]])))
        before, classes = classes, len(set(colour.values()))
        # not by the number of states: one state and two equal ones must stop at the same round
        if classes in (0, 1, before):
            return colour, hashes

        for number in _dependents(program):
            op, args, value, _ = table.nodes[number]
            if op == STATE:
                hashes[number] = hash_of_state(colour[int(value)])
            else:
                parts = [hashes.get(a, table.hashes[a]) for a in args]
                hashes[number] = hash_of_call(PRIMITIVES[op], value, parts)


def _dependents(program: ProgramValues) -> list[int]:
    """Return the values that read states and that are needed, each after its arguments.

    It is `liveness.reached`, written out: a call for each value makes a graph 4 % dearer.
    """
    nodes, reads = program.table.nodes, program.table.reads
    waiting = [*program.roots, *(n for s, n in enumerate(program.next) if program.live >> s & 1)]
    found = set()
    while waiting:
        number = waiting.pop()
        if reads[number] and number not in found:
            found.add(number)
            waiting += nodes[number].args
    return sorted(found)


class _Places(dict[int, int]):
    """The nodes of values by number; a value that has none yet is given one, after its arguments.

    A function within another that calls itself would be a cycle: it would keep the table until
    Python looks for them.
    """

    def __init__(self, table: Table, hashes: dict[int, int], representative: dict[int, int]):
        """hashes: of values whose states are told apart; representative: of the equal states,
        one.
        """
        self.table, self.hashes, self.representative = table, hashes, representative
        self.nodes: list[Node] = []
        self.index: dict[Any, int] = {}  # of values that differ by equal states only, one is kept
        self.order: list[int] = []  # states as they are met

    def __missing__(self, old: int) -> int:
        node = self.table.nodes[old]
        op, args, value, kind = node
        if args:
            if PRIMITIVES[op].commutative:
                x, y = args
                hashes, known = self.hashes, self.table.hashes
                if hashes.get(x, known[x]) > hashes.get(y, known[y]):
                    args = (y, x)
            new = []
            for a in args:
                new.append(self[a])
            said = (op, args := tuple(new), value)
            node = Node(op, args, value, kind)
        elif op == STATE:
            state = self.representative[int(value)]
            if state not in self.order:
                self.order.append(state)
            node = Node(op, args, float(self.order.index(state)), kind)
            said = (op, state)
        else:
            said = old
        if said not in self.index:
            self.index[said] = len(self.nodes)
            self.nodes.append(node)
        self[old] = self.index[said]
        return self[old]
