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

from primitives.kinds import COLUMN, KINDS, LEFT, RIGHT, ROW, SCALAR, TENSOR, Kind
from primitives.program import INPUTS, ORACLES, Program, State
from primitives.registry import ELEMENTWISE, MACHINE, MODEL, PRIMITIVES

CONSTANT = "constant"
STATE = "state"
MATRIX_LEAF = "matrix leaf"  # 1 on a leaf that is read as a matrix, 0 on one that is the fallback's

FLAT = frozenset(("w", "g", "lr", "t", "loss", MATRIX_LEAF, CONSTANT, STATE))
"""Nodes that a reading on flat vectors has from the start; noise would be drawn in every step, for any program."""


class Node(NamedTuple):
    """A value: an input, a constant, a state at its old value, or a primitive applied to earlier nodes.

    `value` is the number of a constant, the peak of the learning rate for "lr", the number of a state; of a
    reduction over the model it is the group of leaves, 1 or 2, where the program has a fallback.
    """

    op: str
    args: tuple[int, ...]
    value: float
    kind: Kind


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A state: where it starts ("w", "identity" or a number) and the node that it becomes."""

    kind: Kind
    start: float | str
    next: int


@dataclass(frozen=True)
class Graph:
    """Nodes in an order in which they can be computed; `update` is the node that is subtracted from w.

    evaluation: the node at which the model is evaluated, None for the new w; kernels: how leaves of more than
    two axes are read, empty where it does not matter.
    """

    nodes: tuple[Node, ...]
    update: int
    states: tuple[Recurrence, ...]
    evaluation: int | None = None
    kernels: str = ""

    def uses(self, leaf: str) -> bool:
        """Whether an input reaches the update, now or in a later step."""
        return any(node.op == leaf for node in self.nodes)

    def unflat(self) -> str:
        """Why the graph cannot run on flat vectors, as the machine and the probe do; empty where it can."""
        grouped = self.uses(MATRIX_LEAF)
        for node in self.nodes:
            if node.op in PRIMITIVES:
                primitive = PRIMITIVES[node.op]
                if MACHINE not in primitive.readings or _is_square(node.kind):
                    return f"{node.op} is no operation of the machine"
                if primitive.scope == MODEL and grouped:
                    return f"{node.op} reduces over the matrices alone, or over the other leaves"
            elif node.op not in FLAT:
                return f"{node.op} is no input of the machine"
        if any(_is_square(s.kind) for s in self.states):
            return "a square state does not fit into a register"
        return "stacked matrices are not flat" if self.kernels == "stack" else ""

    def serial(self) -> bytes:
        """Equal for programs that say the same."""
        parts = [f"{n.op}{n.args}{n.value!r}" for n in self.nodes]
        parts += [f"{s.kind}{s.start!r}>{s.next}" for s in self.states]
        parts.append(str(self.update))
        if self.evaluation is not None or self.kernels:
            parts.append(f"{self.evaluation} {self.kernels}")
        return "\n".join(parts).encode()


def _said(node: Node) -> tuple:
    """What distinguishes a node: to a dictionary, 0.0 and -0.0 are one number. Other nodes have no -0.0."""
    return (*node, repr(node.value)) if node.value == 0.0 and node.op in (CONSTANT, "lr") else node


def _is_square(kind: Kind) -> bool:
    return kind in (LEFT, RIGHT)


def graph(program: Program, dtype: type = np.float32) -> Graph:
    """The value graph of a program whose constants have this dtype."""
    return _canonical(*_Builder(program, dtype).result())


_UPDATE, _EVALUATION = "return[0]", "return[1]"  # what a body returns; no state has these names


class _Builder:
    """Symbolic execution with hash-consing: equal nodes are made once."""

    def __init__(self, program: Program, dtype: type):
        self.program, self.dtype = program, dtype
        self.nodes: list[Node] = []
        self.index: dict[tuple, int] = {}
        self.group = 0.0

    def result(self) -> tuple[list[Node], list[int], list[Recurrence], str]:
        """Nodes, the update (and the value to evaluate at), states, and the rule for kernels where it matters."""
        parts = self.program.parts
        names = list({s.name: s for part in parts for s in part.states}.values())
        number = {state.name: n for n, state in enumerate(names)}
        results = [self.part(part, number, float(n if len(parts) > 1 else 0)) for n, part in enumerate(parts, 1)]
        if len(parts) == 1:
            (env,) = results
        else:  # each leaf belongs to one of the two; a state that only one of them knows is seen there alone
            mask = self.make(Node(MATRIX_LEAF, (), 0.0, SCALAR))
            first, second = (self.live(env, names) for env in results)
            env = results[1] | results[0] | second | first
            for name in (n for n in first if n in second):
                env[name] = self.call("where", (mask, first[name], second[name]))
        states = [Recurrence(s.kind, self.start(s.start), env[s.name]) for s in names]
        roots = [env[name] for name in (_UPDATE, _EVALUATION) if name in env]
        matters = len(parts) > 1 or self.program.matrix_statement is not None
        return self.nodes, roots, states, self.program.kernels if matters else ""

    def live(self, env: dict[str, int], states: list[State]) -> dict[str, int]:
        """The nodes of what one body returns, and of its states that reach it; other names may end as anything."""
        roots = [env[name] for name in (_UPDATE, _EVALUATION) if name in env]
        after = [Recurrence(s.kind, 0.0, env.get(s.name, 0)) for s in states]
        reached = {states[n].name for n in _live_states(self.nodes, roots, after)} | {_UPDATE, _EVALUATION}
        return {name: node for name, node in env.items() if name in reached}

    def part(self, program: Program, number: dict[str, int], group: float) -> dict[str, int]:
        """The nodes of what one body returns and of what its states become."""
        self.group = group
        env: dict[str, int] = {}
        for name in program.inputs:
            if name not in ORACLES:
                env[name] = self.make(Node(name, (), program.learning_rate if name == "lr" else 0.0, INPUTS[name]))
        for h in program.hyperparameters:
            env[h.name] = self.constant(h.value)
        for state in program.states:
            env[state.name] = self.make(Node(STATE, (), float(number[state.name]), state.kind))
            if state.start == "g":  # the first gradient: state at 0, read as `where(t == 1, g, state)`
                t, g = (self.make(Node(name, (), 0.0, INPUTS[name])) for name in ("t", "g"))
                first = self.call("equal", (t, self.constant(1.0)))
                env[state.name] = self.call("where", (first, g, env[state.name]))
        for instruction in program.body:
            args = tuple(env[a] if isinstance(a, str) else self.constant(a) for a in instruction.args)
            env[instruction.target] = self.call(instruction.op, args)
        found = {state.name: env[state.name] for state in program.states} | {_UPDATE: env[program.output]}
        return found | ({_EVALUATION: env[program.evaluate_at]} if program.evaluate_at else {})

    def make(self, node: Node) -> int:
        said = _said(node)
        if said not in self.index:
            self.index[said] = len(self.nodes)
            self.nodes.append(node)
        return self.index[said]

    def start(self, start: float | str) -> float | str:
        """An initial value, rounded as constants are; the first gradient starts at 0 (see above)."""
        if isinstance(start, str):
            return 0.0 if start == "g" else start
        return float(self.dtype(start))

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
        if op == "matmul" and given[0].kind is COLUMN and given[1].kind is ROW:  # the outer product
            return self.call("multiply", args)
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
        group = self.group if primitive.scope == MODEL else 0.0
        return self.make(Node(op, args, group, primitive.kind(*(n.kind for n in given))))


def _canonical(nodes: list[Node], roots: list[int], states: list[Recurrence], kernels: str) -> Graph:
    """Keep what reaches the update, merge equal states, and number everything independently of names."""
    live = _live_states(nodes, roots, states)
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
            new = Node(node.op, tuple(place[a] for a in args), value, node.kind)
            said = _said(new)
            if said not in new_number:
                new_number[said] = len(new_nodes)
                new_nodes.append(new)
            place[old] = new_number[said]
            stack.pop()
        return place[root]

    new_roots = [visit(root) for root in roots]
    new_states = []
    while len(new_states) < len(waiting):
        old = states[waiting[len(new_states)]]
        new_states.append(Recurrence(old.kind, old.start, visit(old.next)))
    evaluation = new_roots[1] if len(new_roots) > 1 else None
    return Graph(tuple(new_nodes), new_roots[0], tuple(new_states), evaluation, kernels)


def _live_states(nodes: list[Node], roots: list[int], states: list[Recurrence]) -> list[int]:
    """Numbers of the states that reach the update, through any number of steps."""
    seen, live, stack = set(), set(), list(roots)
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


_KIND_NUMBER = {kind: n for n, kind in enumerate([TENSOR, *(k for k in KINDS.values() if k is not TENSOR)])}


def _refine(nodes: list[Node], states: list[Recurrence], live: list[int]) -> tuple[dict[int, int], list[int]]:
    """Colour states so that two have one colour only if they always hold the same value.

    Starts from their initial values and splits colours by what the states become, until nothing
    splits any more. Hashes are of tuples of integers, which Python computes alike in every process.
    """
    colour = {s: hash((_KIND_NUMBER[states[s].kind], _bits(states[s].start))) for s in live}
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
                parts += [_bits(node.value)] if node.value else []
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
