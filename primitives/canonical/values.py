"""The values of programs: symbolic execution with hash-consing, so equal values have one number."""

from __future__ import annotations

import functools
import math
import struct
import threading
from collections.abc import Callable

import numpy as np

from primitives.canonical.laws import Call, Letters, Pattern, matchers_of
from primitives.canonical.nodes import CONSTANT, MATRIX_LEAF, STATE, Graph, Node
from primitives.kinds import KINDS, SCALAR, TENSOR, Kind
from primitives.program import Program
from primitives.registry import (
    ELEMENTWISE,
    MODEL,
    PRIMITIVES,
    Primitive,
    when_registry_changes,
)
from primitives.statements import INPUTS, Argument, State

_UPDATE, _EVALUATION = "return[0]", "return[1]"  # what a body returns; no state has these names


class Table:
    """The values of all programs seen of late.

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
        """Return the value of a number, rounded to the dtype of the table."""
        number = self.numbers.get(value)
        if number is None:
            number = self.leaf(CONSTANT, float(self.dtype(value)), SCALAR)
            if value:  # to a dictionary, 0.0 and -0.0 are one number
                self.numbers[value] = number
        return number

    def leaf(self, op: str, value: float, kind: Kind) -> int:
        """Return the value of an input or of a rounded constant."""
        said = (op, value or repr(value))
        if said not in self.known:
            self.known[said] = self.add(
                Node(op, (), value, kind), 0, hash((3, _letters(op), _bits(value)))
            )
        return self.known[said]

    def state(self, number: int, state: State) -> int:
        """Return the value of a state before the step."""
        said = (STATE, number, state.kind, state.start or repr(state.start))
        if said not in self.known:
            node = Node(STATE, (), float(number), state.kind)
            self.known[said] = self.add(node, 1 << number, hash_of_state(self.colour(state)))
        return self.known[said]

    def start(self, state: State) -> float | str:
        """Return where a state starts, rounded as constants are.

        A state that starts at the first gradient starts at 0 here (see `ProgramValues.body`).
        """
        if isinstance(state.start, str):
            return 0.0 if state.start == "g" else state.start
        return float(self.dtype(state.start))

    def colour(self, state: State) -> int:
        """Return what tells states apart before it is known what they become."""
        start = self.start(state)
        return hash(
            (_KIND_NUMBER[state.kind], _letters(start) if isinstance(start, str) else _bits(start))
        )

    def call(self, op: str, args: tuple[int, ...], group: float = 0.0) -> int:
        """Return the value of one call, after the laws.

        group: which leaves the call sees, 1 or 2, where the program has a fallback.
        """
        said = (op, args, group)
        value = self.known.get(said)
        if value is None:
            value = self.known[said] = self.lawful(op, args, group)
        return value

    def lawful(self, op: str, args: tuple[int, ...], group: float) -> int:
        """Return the value of a call that was not made before."""
        primitive = PRIMITIVES[op]
        if group and primitive.scope != MODEL:  # an operation on one leaf does not ask which others
            return self.call(op, args)

        nodes = self.nodes
        given = [nodes[a] for a in args]
        constants = [n.op for n in given].count(CONSTANT)
        if primitive.scope == ELEMENTWISE and constants == len(given):
            value = self.folded(primitive, given)
            if math.isfinite(value):
                return self.constant(value)

        kind = primitive.kind(*[n.kind for n in given])
        assert kind is not None  # a program that exists is legal
        for matches, result in matchers_of(primitive, constants > 0):
            letters = matches(nodes, args)
            if letters is not None:
                value = self.written(result, letters, group)
                if nodes[value].kind is kind:
                    return value
        if primitive.commutative and list(args) != sorted(args):
            return self.call(op, tuple(sorted(args)), group)

        reads = 0
        for a in args:
            reads |= self.reads[a]
        hashed = hash_of_call(primitive, group, [self.hashes[a] for a in args])
        return self.add(Node(op, args, group, kind), reads, hashed)

    def folded(self, primitive: Primitive, given: list[Node]) -> float:
        """Return what a call of constants comes to."""
        with np.errstate(all="ignore"):
            return float(self.dtype(primitive.apply(np, *(self.dtype(n.value) for n in given))))

    def written(self, side: Pattern, letters: Letters, group: float) -> int:
        """Return the value of one side of a law."""
        if isinstance(side, str):
            return letters[side]
        if isinstance(side, Call):
            args = tuple([self.written(argument, letters, group) for argument in side.args])
            return self.call(side.op, args, group)
        return self.constant(side)

    def add(self, node: Node, reads: int, hashed: int) -> int:
        """Give a new value its number."""
        self.nodes.append(node)
        self.reads.append(reads)
        self.hashes.append(hashed)
        return len(self.nodes) - 1


LOCK = threading.Lock()
"""Held by those who read or fill a table."""
TABLES: dict[type, Table] = {}
when_registry_changes(TABLES.clear)
_MANY = 2**16  # values; with its share of the graphs, one takes about 700 bytes


def table_of(dtype: type) -> Table:
    """Return the table for constants of a dtype; a new one where it has grown large."""
    if dtype not in TABLES or len(TABLES[dtype].nodes) > _MANY:
        TABLES[dtype] = Table(dtype)
    return TABLES[dtype]


class _Env(dict[Argument, int]):
    """The values of names; and of literals, which are looked up alike."""

    def __init__(self, constant: Callable[[float], int]):
        self.constant = constant

    def __missing__(self, literal: float) -> int:
        return self.constant(literal)


class ProgramValues:
    """A program as values.

    roots: what it returns; next: what its states become;
    live: the states that reach what is returned, through any number of steps, as the bits of an
    integer.
    """

    def __init__(self, program: Program, table: Table):
        self.table = table
        parts = program.parts
        self.kernels = (
            program.kernels if len(parts) > 1 or program.matrix_statement is not None else ""
        )
        self.states = list({s.name: s for part in parts for s in part.states}.values())
        self.number = {state.name: n for n, state in enumerate(self.states)}

        if len(parts) == 1:
            env = self.body(parts[0])
        else:  # each leaf belongs to one of the two bodies
            mask = table.leaf(MATRIX_LEAF, 0.0, SCALAR)
            results = [self.body(part, float(group)) for group, part in enumerate(parts, 1)]
            first, second = map(self.reached, results)
            env = results[1] | results[0] | second | first  # what only one of them knows is its own
            for name in (n for n in first if n in second):
                env[name] = table.call("where", (mask, first[name], second[name]))

        self.roots = _returned(env)
        self.live = self.live_states(env)
        self.next = [env[s.name] for s in self.states]

    def said(self) -> tuple:
        """Return what is equal for programs that come to the same values.

        How their states start is part of the values.
        """
        becomes = [n for s, n in enumerate(self.next) if self.live >> s & 1]
        return (self.kernels, self.live, *self.roots, *becomes)

    def body(self, program: Program, group: float = 0.0) -> dict[str, int]:
        """Return the values that one body returns and that its states become."""
        # asked for in every statement
        table, constant, call = self.table, self.table.constant, self.table.call
        env = _Env(constant)
        for name in program.inputs:
            if name in INPUTS:  # the others are oracles, which are called
                env[name] = table.leaf(
                    name, program.learning_rate if name == "lr" else 0.0, INPUTS[name]
                )
        for h in program.hyperparameters:
            env[h.name] = constant(h.value)
        for state in program.states:
            env[state.name] = table.state(self.number[state.name], state)
            if state.start == "g":  # a state at 0, read as `where(t == 1, g, state)`
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
        """Return the values that one body returns, and those of its states that reach it; others
        may end as anything.
        """
        live = self.live_states(env)
        dead = {s.name for n, s in enumerate(self.states) if not live >> n & 1}
        return {name: node for name, node in env.items() if name not in dead}

    def live_states(self, env: dict[str, int]) -> int:
        """Return the states that reach what is returned, through any number of steps, as the bits
        of an integer.

        `liveness.py` asks the same of statements. Here every value knows already which states it
        reads, so that a few operations on integers answer for all states at once; it is asked of
        every program of a search.
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


def _returned(env: dict[str, int]) -> list[int]:
    return [env[name] for name in (_UPDATE, _EVALUATION) if name in env]


# --- hashes ---------------------------------------------------------------------------------------

# They are of tuples of integers, which Python hashes alike in every process. They order the
# arguments of commutative primitives, so they are part of every key.

_KIND_NUMBER = {
    kind: n for n, kind in enumerate([TENSOR, *(k for k in KINDS.values() if k is not TENSOR)])
}


def hash_of_state(colour: int) -> int:
    """Return the hash of a state whose colour is known."""
    return hash((1, colour))


def hash_of_call(primitive: Primitive, group: float, parts: list[int]) -> int:
    """Return the hash of a call from the hashes of its arguments, which are sorted in place where
    their order does not matter.
    """
    if primitive.commutative:
        parts.sort()
    if group:
        parts.append(_bits(group))
    return hash((2, primitive.code, *parts))


_PACK, _UNPACK = struct.Struct("<d").pack, struct.Struct("<q").unpack


def _bits(value: float) -> int:
    """Return a float as an integer: hashes of floats confuse -0.0 with 0.0, and -1.0 with -2.0."""
    return _UNPACK(_PACK(value))[0] ^ 0x5DEECE66D


@functools.cache
def _letters(word: str) -> int:
    """Return a word as an integer."""
    return int.from_bytes(word.encode(), "little")
