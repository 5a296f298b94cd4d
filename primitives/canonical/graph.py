"""The value graph: what a program computes, with everything that does not matter left out.

Names, order, dead statements, copies, repeated work, folded constants and the
order of commutative arguments are gone; two states that always hold the same
value are one. The machine runs this graph and the identity of a program is its
serialisation, so programs with equal keys run the same instructions.

The laws applied here are exact in floating point. What holds only up to
rounding is left to the probe (`identity.py`).
"""

from __future__ import annotations

import functools
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from primitives.kinds import COLUMN, KINDS, LEFT, RIGHT, ROW, SCALAR, TENSOR, Kind
from primitives.program import INPUTS, ORACLES, Program, State
from primitives.registry import ELEMENTWISE, LEAF, MACHINE, MODEL, PRIMITIVES, Primitive

CONSTANT = "constant"
STATE = "state"
MATRIX_LEAF = "matrix leaf"  # 1 on a leaf that is read as a matrix, 0 on one that is the fallback's

FLAT = frozenset(("w", "g", "lr", "t", "loss", MATRIX_LEAF, CONSTANT, STATE))
"""Nodes that a reading on flat vectors has from the start; noise would be drawn in every step, for
any program.
"""


class Node(NamedTuple):
    """A value: an input, a constant, a state at its old value, or a primitive applied to earlier
    nodes.

    `value` is the number of a constant, the peak of the learning rate for "lr", the number of a
    state; of a reduction over the model it is the group of leaves, 1 or 2, where the program has a
    fallback.
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
    """Nodes in an order in which they can be computed; `update` is the node that is subtracted from
    w.

    evaluation: the node at which the model is evaluated, None for the new w; kernels: how leaves of
    more than two axes are read, empty where it does not matter.
    """

    nodes: tuple[Node, ...]
    update: int
    states: tuple[Recurrence, ...]
    evaluation: int | None = None
    kernels: str = ""

    def __hash__(self) -> int:
        return hash(self.serial)

    @functools.cached_property
    def ops(self) -> frozenset[str]:
        """What its nodes say."""
        return frozenset([node.op for node in self.nodes])

    def uses(self, leaf: str) -> bool:
        """Whether an input reaches the update, now or in a later step."""
        return leaf in self.ops

    def unflat(self) -> str:
        """Why the graph cannot run on flat vectors, as the machine and the probe do; empty where it
        can.
        """
        if self.ops <= _PLAINLY_FLAT and not self.kernels:  # as most are
            return ""
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

    @functools.cached_property
    def serial(self) -> bytes:
        """Equal for programs that say the same."""
        parts = [f"{op}{args}{value!r}" for op, args, value, _ in self.nodes]
        parts += [f"{s.kind}{s.start!r}>{s.next}" for s in self.states]
        parts.append(str(self.update))
        if self.evaluation is not None or self.kernels:
            parts.append(f"{self.evaluation} {self.kernels}")
        return "\n".join(parts).encode()


_PLAINLY_FLAT = (FLAT - {MATRIX_LEAF}).union(
    p.name for p in PRIMITIVES.values() if p.scope in (ELEMENTWISE, LEAF, MODEL)
)


def _is_square(kind: Kind) -> bool:
    return kind in (LEFT, RIGHT)


def graph(program: Program, dtype: type = np.float32) -> Graph:
    """The value graph of a program whose constants have this dtype."""
    with _lock:
        table = _table(dtype)
        values = _Recurrent(program, table)
        said = values.said()
        if said not in table.graphs:
            table.graphs[said] = _canonical(values)
        return table.graphs[said]


_UPDATE, _EVALUATION = "return[0]", "return[1]"  # what a body returns; no state has these names


class _Table:
    """The values of all programs seen of late: symbolic execution with hash-consing, so equal
    values have one number.

    A child computes nearly all that its parent computes, and finds it here. A value's number is
    above those of its arguments. Beside its node stand the states that it reads, itself or through
    its arguments, as the bits of an integer, and a hash of what it computes while states are told
    apart by their starts alone. Nothing of a graph depends on what else is in the table.
    """

    def __init__(self, dtype: type):
        self.dtype = dtype
        self.nodes: list[Node] = []
        self.reads: list[int] = []
        self.hashes: list[int] = []
        self.known: dict[tuple, int] = {}  # what is said -> the value that it comes to
        self.numbers: dict[float, int] = {}
        self.graphs: dict[tuple, Graph] = {}

    def constant(self, value: float) -> int:
        number = self.numbers.get(value)
        if number is None:
            number = self.leaf(CONSTANT, float(self.dtype(value)), SCALAR)
            if value:  # to a dictionary, 0.0 and -0.0 are one number
                self.numbers[value] = number
        return number

    def leaf(self, op: str, value: float, kind: Kind) -> int:
        """An input or a constant."""
        said = (op, value or repr(value))
        if said not in self.known:
            self.known[said] = self.add(
                Node(op, (), value, kind), 0, hash((3, _letters(op), _bits(value)))
            )
        return self.known[said]

    def state(self, number: int, state: State) -> int:
        """A state at its old value."""
        said = (STATE, number, state.kind, state.start or repr(state.start))
        if said not in self.known:
            node = Node(STATE, (), float(number), state.kind)
            self.known[said] = self.add(node, 1 << number, _hash_of_state(self.colour(state)))
        return self.known[said]

    def start(self, state: State) -> float | str:
        """An initial value, rounded as constants are; the first gradient starts at 0 (see
        `_Recurrent.part`).
        """
        if isinstance(state.start, str):
            return 0.0 if state.start == "g" else state.start
        return float(self.dtype(state.start))

    def colour(self, state: State) -> int:
        """What tells states apart before it is known what they become."""
        start = self.start(state)
        return hash(
            (_KIND_NUMBER[state.kind], _letters(start) if isinstance(start, str) else _bits(start))
        )

    def call(self, op: str, args: tuple[int, ...], group: float = 0.0) -> int:
        """The value of one call, after the laws."""
        said = (op, args, group)
        value = self.known.get(said)
        if value is None:
            value = self.known[said] = self.lawful(op, args, group)
        return value

    def add(self, node: Node, reads: int, hashed: int) -> int:
        self.nodes.append(node)
        self.reads.append(reads)
        self.hashes.append(hashed)
        return len(self.nodes) - 1

    def lawful(self, op: str, args: tuple[int, ...], group: float) -> int:
        primitive = PRIMITIVES[op]
        if op == "copy":
            return args[0]
        if primitive.mirror:
            return self.call(primitive.mirror, args[::-1])
        given = [self.nodes[a] for a in args]
        constants = [n.op for n in given].count(CONSTANT)
        if primitive.scope == ELEMENTWISE and constants == len(given):
            with np.errstate(all="ignore"):
                value = float(
                    self.dtype(primitive.apply(np, *(self.dtype(n.value) for n in given)))
                )
            if np.isfinite(value):
                return self.constant(value)
        if op == "multiply" and args[0] == args[1]:
            return self.call("square", args[:1])
        if op == "matmul" and given[0].kind is COLUMN and given[1].kind is ROW:  # the outer product
            return self.call("multiply", args)
        if op == "subtract" and given[1].op == CONSTANT:
            return self.call("add", (args[0], self.constant(-given[1].value)))
        kind = primitive.kind(*[n.kind for n in given])
        assert kind is not None  # a program that exists is legal
        if op == "where" and args[1] == args[2] and given[1].kind is kind:
            return args[1]
        if primitive.idempotent and primitive.arity == 2 and args[0] == args[1]:
            return args[0]
        if primitive.arity == 1 and given[0].op == op:
            if primitive.idempotent:
                return args[0]
            if primitive.involution:
                return given[0].args[0]
        if primitive.identity is not None and constants:
            for unit, other in ((1, 0), (0, 1)) if primitive.commutative else ((1, 0),):
                if given[unit].op == CONSTANT and given[unit].value == primitive.identity:
                    return args[other]
        if primitive.commutative and list(args) != sorted(args):
            return self.call(op, tuple(sorted(args)), group)
        if primitive.scope != MODEL and group:
            return self.call(op, args)
        reads = 0
        for a in args:
            reads |= self.reads[a]
        hashed = _hash_of_call(primitive, group, [self.hashes[a] for a in args])
        return self.add(Node(op, args, group, kind), reads, hashed)


_lock = threading.Lock()
TABLES: dict[type, _Table] = {}
_MANY = 2**16  # values; with its share of the graphs, one takes about 700 bytes


def _table(dtype: type) -> _Table:
    """The table for constants of a dtype; a new one where it has grown large."""
    if dtype not in TABLES or len(TABLES[dtype].nodes) > _MANY:
        TABLES[dtype] = _Table(dtype)
    return TABLES[dtype]


class _Env(dict[str, int]):
    """The values of names; and of literals, which are looked up alike."""

    def __init__(self, constant: Callable[[float], int]):
        self.constant = constant

    def __missing__(self, literal: float) -> int:
        return self.constant(literal)


class _Recurrent:
    """A program as values: what it returns, and its states with what they become."""

    def __init__(self, program: Program, table: _Table):
        self.table = table
        parts = program.parts
        self.kernels = (
            program.kernels if len(parts) > 1 or program.matrix_statement is not None else ""
        )
        self.states = list({s.name: s for part in parts for s in part.states}.values())
        self.number = {state.name: n for n, state in enumerate(self.states)}
        if len(parts) == 1:
            env = self.part(parts[0])
        # Each leaf belongs to one of the two; a state that only one of them knows is seen there
        # alone
        else:
            mask = table.leaf(MATRIX_LEAF, 0.0, SCALAR)
            results = [self.part(part, float(group)) for group, part in enumerate(parts, 1)]
            first, second = map(self.reached, results)
            env = results[1] | results[0] | second | first
            for name in (n for n in first if n in second):
                env[name] = table.call("where", (mask, first[name], second[name]))
        self.roots = _returned(env)
        self.live = self.live_states(env)
        self.next = [env[s.name] for s in self.states]

    def said(self) -> tuple:
        """Equal for programs that come to the same values; how their states start is part of the
        values.
        """
        becomes = [n for s, n in enumerate(self.next) if self.live >> s & 1]
        return (self.kernels, self.live, *self.roots, *becomes)

    def part(self, program: Program, group: float = 0.0) -> dict[str, int]:
        """The values that one body returns and that its states become."""
        table, constant, call = (
            self.table,
            self.table.constant,
            self.table.call,
        )  # asked for in every statement
        env = _Env(constant)
        for name in program.inputs:
            if name not in ORACLES:
                env[name] = table.leaf(
                    name, program.learning_rate if name == "lr" else 0.0, INPUTS[name]
                )
        for h in program.hyperparameters:
            env[h.name] = constant(h.value)
        for state in program.states:
            env[state.name] = table.state(self.number[state.name], state)
            if (
                state.start == "g"
            ):  # the first gradient: state at 0, read as `where(t == 1, g, state)`
                t, g = (table.leaf(name, 0.0, INPUTS[name]) for name in ("t", "g"))
                env[state.name] = call(
                    "where", (call("equal", (t, constant(1.0))), g, env[state.name])
                )
        for instruction in program.body:
            env[instruction.target] = call(
                instruction.op, tuple(map(env.__getitem__, instruction.args)), group
            )
        found = {state.name: env[state.name] for state in program.states} | {
            _UPDATE: env[program.output]
        }
        return found | ({_EVALUATION: env[program.evaluate_at]} if program.evaluate_at else {})

    def reached(self, env: dict[str, int]) -> dict[str, int]:
        """The values that one body returns, and those of its states that reach it; others may end
        as anything.
        """
        live = self.live_states(env)
        dead = {s.name for n, s in enumerate(self.states) if not live >> n & 1}
        return {name: node for name, node in env.items() if name not in dead}

    def live_states(self, env: dict[str, int]) -> int:
        """The states that reach what is returned, through any number of steps, as the bits of an
        integer.
        """
        reads = self.table.reads
        becomes = [reads[env[s.name]] if s.name in env else 0 for s in self.states]
        live, before = 0, -1
        for root in _returned(env):
            live |= reads[root]
        while live != before:
            before = live
            for number, read in enumerate(becomes):
                if live >> number & 1:
                    live |= read
        return live

    def refined(self) -> tuple[dict[int, int], dict[int, int]]:
        """Colours of the live states, of which two have one only if they always hold the same
        value.

        Starts from their initial values and splits colours by what the states become, until nothing
        splits any more. Also hashes of the values that read states, by the last colours but one.
        """
        table, after = self.table, self.next
        hashes: dict[int, int] = {}
        colour = {
            n: table.colour(state) for n, state in enumerate(self.states) if self.live >> n & 1
        }
        classes = 0
        while True:
            old, colour = colour, {}
            for n, its in old.items():
                colour[n] = hash((its, hashes.get(after[n], table.hashes[after[n]])))
            before, classes = classes, len(set(colour.values()))
            if classes in (
                0,
                1,
                before,
            ):  # not by len(live): one state and two equal ones must stop at the same round
                return colour, hashes
            for number in self.dependents():
                op, args, value, _ = table.nodes[number]
                if op == STATE:
                    hashes[number] = _hash_of_state(colour[int(value)])
                else:
                    parts = [hashes.get(a, table.hashes[a]) for a in args]
                    hashes[number] = _hash_of_call(PRIMITIVES[op], value, parts)

    def dependents(self) -> list[int]:
        """The values that read states and that are needed, each after its arguments."""
        nodes, reads = self.table.nodes, self.table.reads
        stack = [*self.roots, *(n for s, n in enumerate(self.next) if self.live >> s & 1)]
        found = set()
        while stack:
            number = stack.pop()
            if reads[number] and number not in found:
                found.add(number)
                stack += nodes[number].args
        return sorted(found)


def _returned(env: dict[str, int]) -> list[int]:
    return [env[name] for name in (_UPDATE, _EVALUATION) if name in env]


def _canonical(program: _Recurrent) -> Graph:
    """Keep what reaches the update, merge equal states, and number everything independently of
    names.
    """
    table = program.table
    colour, hashes = program.refined()
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


class _Places(dict[int, int]):
    """The nodes of values by number; a value that has none yet is given one, after its arguments.

    A function within another that calls itself would be a cycle: it would keep the table until
    Python looks for them.
    """

    def __init__(self, table: _Table, hashes: dict[int, int], representative: dict[int, int]):
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


# Hashes are of tuples of integers, which Python computes alike in every process. They order the
# arguments of commutative primitives, so they are part of every key.

_KIND_NUMBER = {
    kind: n for n, kind in enumerate([TENSOR, *(k for k in KINDS.values() if k is not TENSOR)])
}


def _hash_of_state(colour: int) -> int:
    return hash((1, colour))


def _hash_of_call(primitive: Primitive, group: float, parts: list[int]) -> int:
    if primitive.commutative:
        parts.sort()
    if group:
        parts.append(_bits(group))
    return hash((2, primitive.code, *parts))


_PACK, _UNPACK = struct.Struct("<d").pack, struct.Struct("<q").unpack


def _bits(value: float) -> int:
    """A float as an integer: hashes of floats confuse -0.0 with 0.0, and -1.0 with -2.0."""
    return _UNPACK(_PACK(value))[0] ^ 0x5DEECE66D


@functools.cache
def _letters(word: str) -> int:
    return int.from_bytes(word.encode(), "little")
