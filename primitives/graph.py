"""The value graph: what a program computes, with everything that does not matter left out.

Names, order, dead statements, copies, repeated work, folded constants and the
order of commutative arguments are gone; two states that always hold the same
value are one. The machine runs this graph and the identity of a program is its
serialisation, so programs with equal keys run the same instructions.

The laws applied here are exact in floating point. What holds only up to
rounding is left to the probe (`identity.py`).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from primitives.kinds import SCALAR, Kind
from primitives.program import INPUTS, Program
from primitives.registry import ELEMENTWISE, PRIMITIVES

CONSTANT = "constant"
STATE = "state"


class Node(NamedTuple):
    """A value: an input, a constant, a state at its old value, or a primitive applied to earlier nodes.

    `value` is the number of a constant, the peak of the learning rate for "lr", the number of a state.
    """

    op: str
    args: tuple[int, ...]
    value: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A state: where it starts ("w" or a number) and the node that it becomes."""

    kind: Kind
    start: float | str
    next: int


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can be computed; `update` is the node that is subtracted from w."""

    nodes: tuple[Node, ...]
    update: int
    states: tuple[Recurrence, ...]

    def uses(self, leaf: str) -> bool:
        """Whether an input reaches the update, now or in a later step."""
        return any(node.op == leaf for node in self.nodes)

    def serial(self) -> bytes:
        """Equal for programs that say the same."""
        parts = [f"{n.op}{n.args}{n.value!r}" for n in self.nodes]
        parts += [f"{s.kind}{s.start!r}>{s.next}" for s in self.states]
        parts.append(str(self.update))
        return "\n".join(parts).encode()


def graph(program: Program, dtype: type = np.float32) -> Graph:
    """The value graph of a program whose constants have this dtype."""
    return _canonical(*_Builder(program, dtype).result())


class _Builder:
    """Symbolic execution with hash-consing: equal nodes are made once."""

    def __init__(self, program: Program, dtype: type):
        self.program, self.dtype = program, dtype
        self.nodes: list[Node] = []
        self.index: dict[Node, int] = {}

    def result(self) -> tuple[list[Node], int, list[Recurrence]]:
        program = self.program
        env: dict[str, int] = {}
        for name in program.inputs:
            env[name] = self.make(Node(name, (), program.learning_rate if name == "lr" else 0.0, INPUTS[name]))
        for h in program.hyperparameters:
            env[h.name] = self.constant(h.value)
        for number, state in enumerate(program.states):
            env[state.name] = self.make(Node(STATE, (), float(number), state.kind))
            if state.start == "g":  # the first gradient: state at 0, read as `where(t == 1, g, state)`
                t, g = (self.make(Node(name, (), 0.0, INPUTS[name])) for name in ("t", "g"))
                first = self.call("equal", (t, self.constant(1.0)))
                env[state.name] = self.call("where", (first, g, env[state.name]))
        for instruction in program.body:
            args = tuple(env[a] if isinstance(a, str) else self.constant(a) for a in instruction.args)
            env[instruction.target] = self.call(instruction.op, args)
        states = [Recurrence(s.kind, self.start(s.start), env[s.name]) for s in program.states]
        return self.nodes, env[program.output], states

    def make(self, node: Node) -> int:
        if node not in self.index:
            self.index[node] = len(self.nodes)
            self.nodes.append(node)
        return self.index[node]

    def start(self, start: float | str) -> float | str:
        """An initial value, rounded as constants are; the first gradient starts at 0 (see above)."""
        return {"w": "w", "g": 0.0}[start] if isinstance(start, str) else float(self.dtype(start))

    def constant(self, value: float) -> int:
        return self.make(Node(CONSTANT, (), float(self.dtype(value)), SCALAR))

    def call(self, op: str, args: tuple[int, ...]) -> int:
        """The node of one call, after the laws."""
        primitive = PRIMITIVES[op]
        if op == "copy":
            return args[0]
        if primitive.mirror:
            return self.call(primitive.mirror, args[::-1])
        given = [self.nodes[a] for a in args]
        if primitive.scope == ELEMENTWISE and all(n.op == CONSTANT for n in given):
            with np.errstate(all="ignore"):
                value = float(self.dtype(primitive.apply(np, *(self.dtype(n.value) for n in given))))
            if np.isfinite(value):
                return self.constant(value)
        if op == "multiply" and args[0] == args[1]:
            return self.call("square", args[:1])
        if op == "subtract" and given[1].op == CONSTANT:
            return self.call("add", (args[0], self.constant(-given[1].value)))
        if op == "where" and args[1] == args[2] and given[1].kind is primitive.kind(*(n.kind for n in given)):
            return args[1]
        if primitive.idempotent and primitive.arity == 2 and args[0] == args[1]:
            return args[0]
        if primitive.arity == 1 and given[0].op == op:
            if primitive.idempotent:
                return args[0]
            if primitive.involution:
                return given[0].args[0]
        if primitive.commutative:
            args = tuple(sorted(args))
            given = [self.nodes[a] for a in args]
        if primitive.identity is not None:
            for unit, other in ((1, 0), (0, 1)) if primitive.commutative else ((1, 0),):
                if given[unit].op == CONSTANT and given[unit].value == primitive.identity:
                    return args[other]
        return self.make(Node(op, args, 0.0, primitive.kind(*(n.kind for n in given))))


def _canonical(nodes: list[Node], update: int, states: list[Recurrence]) -> Graph:
    """Keep what reaches the update, merge equal states, and number everything independently of names."""
    live = _live_states(nodes, update, states)
    colour, hashes = _refine(nodes, states, live)
    representative = {}  # colour -> the first live state that has it
    for number in live:
        representative.setdefault(colour[number], number)

    new_nodes: list[Node] = []
    new_number: dict[tuple, int] = {}  # what a node says -> its new number
    place: dict[int, int] = {}  # old node -> new node
    state_number: dict[int, int] = {}  # representative -> new state number
    waiting: list[int] = []

    def visit(root: int) -> int:
        stack = [root]
        while stack:
            old = stack[-1]
            if old in place:
                stack.pop()
                continue
            node = nodes[old]
            args = node.args
            if args and node.op in PRIMITIVES and PRIMITIVES[node.op].commutative:
                args = tuple(sorted(args, key=hashes.__getitem__))
            missing = [a for a in args if a not in place]
            if missing:
                stack.extend(reversed(missing))
                continue
            value = node.value
            if node.op == STATE:
                first = representative[colour[int(value)]]
                if first not in state_number:
                    state_number[first] = len(state_number)
                    waiting.append(first)
                value = float(state_number[first])
            said = Node(node.op, tuple(place[a] for a in args), value, node.kind)
            if said not in new_number:
                new_number[said] = len(new_nodes)
                new_nodes.append(said)
            place[old] = new_number[said]
            stack.pop()
        return place[root]

    new_update = visit(update)
    new_states = []
    while len(new_states) < len(waiting):
        old = states[waiting[len(new_states)]]
        new_states.append(Recurrence(old.kind, old.start, visit(old.next)))
    return Graph(tuple(new_nodes), new_update, tuple(new_states))


def _live_states(nodes: list[Node], update: int, states: list[Recurrence]) -> list[int]:
    """Numbers of the states that reach the update, through any number of steps."""
    seen, live, stack = set(), set(), [update]
    while stack:
        at = stack.pop()
        if at in seen:
            continue
        seen.add(at)
        node = nodes[at]
        stack.extend(node.args)
        if node.op == STATE:
            live.add(int(node.value))
            stack.append(states[int(node.value)].next)
    return sorted(live)


def _refine(nodes: list[Node], states: list[Recurrence], live: list[int]) -> tuple[dict[int, int], list[int]]:
    """Colour states so that two have one colour only if they always hold the same value.

    Starts from their initial values and splits colours by what the states become, until nothing
    splits any more. Hashes are of tuples of integers, which Python computes alike in every process.
    """
    colour = {s: hash((SCALAR is states[s].kind, _bits(states[s].start))) for s in live}
    hashes: list[int] = []
    classes = 0
    while True:
        hashes = []
        for node in nodes:
            if node.op == STATE:
                hashes.append(hash((1, colour.get(int(node.value), 0))))
            elif node.op in PRIMITIVES:
                parts = [hashes[a] for a in node.args]
                if PRIMITIVES[node.op].commutative:
                    parts.sort()
                hashes.append(hash((2, PRIMITIVES[node.op].code, *parts)))
            else:
                hashes.append(hash((3, int.from_bytes(node.op.encode(), "little"), _bits(node.value))))
        colour = {s: hash((colour[s], hashes[states[s].next])) for s in live}
        before, classes = classes, len(set(colour.values()))
        if classes in (0, 1, before):  # not by len(live): one state and two equal ones must stop at the same round
            return colour, hashes


def _bits(value: float | str) -> int:
    """A float as an integer: hashes of floats confuse -0.0 with 0.0, and -1.0 with -2.0."""
    if isinstance(value, str):
        return int.from_bytes(value.encode(), "little")
    return struct.unpack("<q", struct.pack("<d", value))[0] ^ 0x5DEECE66D
