"""Loading: the graph of a program becomes instructions.

Every value that is still needed has a register.
"""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np

from primitives.canonical.nodes import CONSTANT, MATRIX_LEAF, STATE, Graph
from primitives.kinds import SCALAR
from primitives.machine.code import (
    COPY_W,
    FILL,
    FUSED,
    INSTRUCTIONS,
    LOSS,
    LR,
    MASK,
    NUMBERS,
    OPERANDS,
    SEGMENTS,
    STATES,
    VECTORS,
    Code,
    DoesNotFit,
    G,
    T,
    W,
    form_of,
    forms,
    opcodes,
)
from primitives.registry import ELEMENTWISE, MATRIX, MODEL, PRIMITIVES
from primitives.statements import KERNELS


def load(graph: Graph, dtype: Any = np.float32) -> Code:
    """Translate a graph into instructions. Raises `DoesNotFit`."""
    if why := graph.unflat():
        raise DoesNotFit(why)
    return _Loader(graph, dtype).code()


class _Loader:
    """Makes the instructions of one graph."""

    def __init__(self, graph: Graph, dtype: Any):
        self.graph, self.dtype = graph, np.dtype(dtype)
        self.opcodes = opcodes()
        self.roots = (
            [graph.update] if graph.evaluation is None else [graph.update, graph.evaluation]
        )
        self.is_number = _numbers(graph)
        self.times: dict[int, int] = {}  # a node that multiplies matrices -> how often it does
        self.calls = self.repeated(self.fused())

    def code(self) -> Code:
        """Give every value a register, and write the instructions in order."""
        graph = self.graph
        order, segments = self.schedule()
        place, fill, starts, constants = self.leaves()

        position = {node: n for n, node in enumerate(order)}
        end = len(order)
        last_use: dict[int, int] = {}
        for node in order:
            for argument in self.calls[node][1]:
                last_use[argument] = max(last_use.get(argument, -1), position[node])
        for root in self.roots:
            last_use[root] = end
        for state in graph.states:
            last_use[state.next] = end

        # A state can be overwritten by the instruction that computes it, once its old value is read
        # no more.
        state_node = {int(n.value): i for i, n in enumerate(graph.nodes) if n.op == STATE}
        direct: dict[int, int] = {}  # node -> the state it is written into
        for number, state in enumerate(graph.states):
            old = state_node[number]
            if (
                state.next in position
                and state.next not in direct
                and last_use[old] <= position[state.next]
            ):
                direct[state.next] = number

        rows: dict[str, list] = {"v": [], "n": []}
        free = {"v": list(range(VECTORS - 1, -1, -1)), "n": list(range(NUMBERS - 1, -1, -1))}
        for bank, register in {
            *place.values(),
            ("v", W),
            ("v", G),
            ("n", LR),
            ("n", T),
            ("n", LOSS),
        }:
            free[bank].remove(register)
        dying: dict[int, list[int]] = {}
        for node, at in last_use.items():
            dying.setdefault(at, []).append(node)
        home = {node: reg for node, reg in place.items()}

        def allocate(bank: str) -> int:
            if not free[bank]:
                raise DoesNotFit("too many values are alive at once")
            return free[bank].pop()

        bounds = []
        at = 0
        for numbers, vectors in segments:
            first = (len(rows["n"]), len(rows["v"]))
            for node in (*numbers, *vectors):
                op, given = self.calls[node]
                bank = "n" if self.is_number[node] else "v"
                table = self.opcodes.numbers if bank == "n" else self.opcodes.vectors
                form, arguments = _fit(op, [home[a] for a in given], table)
                operands, temporary = [], []
                for wanted, (where, register) in zip(form, arguments, strict=True):
                    if wanted != where:
                        wide = allocate("v")
                        spread = self.opcodes.vectors["spread", "n"]
                        rows["v"].append(_row(spread, [register], wide))
                        temporary.append(wide)
                        register = wide
                    operands.append(register)
                for dead in dying.get(
                    at, ()
                ):  # free before the result is placed: branches read first
                    if dead != node and dead not in place and dead not in direct:
                        free[home[dead][0]].append(home[dead][1])
                register = place[state_node[direct[node]]][1] if node in direct else allocate(bank)
                free["v"].extend(temporary)
                home[node] = (bank, register)
                rows[bank].append(_row(table[op, form], operands, register, self.times.get(node)))
                at += 1
            bounds.append((first[0], len(rows["n"]), first[1], len(rows["v"])))

        returned = self.finish(rows, bounds, home, place, state_node, direct, allocate)
        states = sum(bank == "v" and register >= STATES for bank, register in place.values())
        return self.tables(rows, bounds, states, fill, starts, constants, returned)

    def fused(self) -> dict[int, tuple[str | tuple, list[int]]]:
        """Return what computes each node, a primitive or a pattern of `FUSED`, and its arguments.

        Nodes within a pattern are left out.
        """
        nodes = self.graph.nodes
        uses = Counter(a for node in nodes for a in node.args)
        uses.update([*self.roots, *(s.next for s in self.graph.states)])

        def match(pattern: tuple | str, at: int) -> tuple[list[int], list[int]] | None:
            """Return the nodes at the leaves of a pattern, and those above them; or None."""
            if isinstance(pattern, str):
                return ([at], []) if (pattern == "n") == self.is_number[at] else None
            node = nodes[at]
            if node.op != pattern[0] or self.is_number[at]:
                return None
            for order in (node.args, node.args[::-1])[: 1 + PRIMITIVES[node.op].commutative]:
                found = [match(part, a) for part, a in zip(pattern[1:], order, strict=True)]
                parts = [part for part in found if part is not None]
                if len(parts) == len(found):
                    leaves = [leaf for part in parts for leaf in part[0]]
                    return leaves, [at, *(i for part in parts for i in part[1])]
            return None

        calls: dict[int, tuple[str | tuple, list[int]]] = {}
        inside: set[int] = set()
        for at in reversed(range(len(nodes))):  # the larger pattern is met first
            if nodes[at].op not in PRIMITIVES or at in inside:
                continue
            found = [
                (pattern, match(pattern, at)) for pattern in FUSED if pattern[0] == nodes[at].op
            ]
            fitting = [
                (p, m) for p, m in found if m is not None and all(uses[i] == 1 for i in m[1][1:])
            ]
            pattern, (leaves, within) = max(
                fitting,
                key=lambda fit: len(fit[1][1]),
                default=(nodes[at].op, (list(nodes[at].args), [at])),
            )
            calls[at] = pattern, leaves
            inside.update(within[1:])
        return dict(sorted(calls.items()))

    def repeated(
        self, calls: dict[int, tuple[str | tuple, list[int]]]
    ) -> dict[int, tuple[str | tuple, list[int]]]:
        """Make one call of what multiplies matrices and is applied to its own result again.

        An iteration of Newton and Schulz is five such in a row; what lies between stays where it is
        computed instead of going through a register.
        """
        uses = Counter(a for _, given in calls.values() for a in given)
        uses.update([*self.roots, *(s.next for s in self.graph.states)])
        for node in list(calls):
            op, given = calls[node]
            if isinstance(op, tuple) or PRIMITIVES[op].scope != MATRIX:
                continue
            self.times[node] = 1
            before, again = calls.get(given[0]), uses[given[0]] == 1
            if again and before is not None and (before[0], before[1][1:]) == (op, given[1:]):
                self.times[node] += self.times.pop(given[0])
                calls[node] = calls.pop(given[0])
        return dict(sorted(calls.items()))

    def schedule(self) -> tuple[list[int], list[tuple[list[int], list[int]]]]:
        """Return the nodes in the order in which they are computed, and as segments.

        A segment is all numbers that can be computed by then, and then all vectors.
        """
        graph = self.graph
        done = {i for i, n in enumerate(graph.nodes) if n.op not in PRIMITIVES}
        left = list(self.calls)
        segments = []
        while left:
            turns = []
            for wanted in (True, False):
                taken = []
                for node in left:
                    if self.is_number[node] is wanted and all(
                        a in done for a in self.calls[node][1]
                    ):
                        taken.append(node)
                        done.add(node)
                left = [node for node in left if node not in done]
                turns.append(taken)
            segments.append((turns[0], turns[1]))
        return [node for pair in segments for turn in pair for node in turn], segments

    def leaves(self):
        """Return the registers of inputs, constants and states, and what they hold at the start."""
        place: dict[int, tuple[str, int]] = {}
        fill = np.zeros(VECTORS, self.dtype)
        starts = np.full(VECTORS, FILL, np.int32)
        constants = np.zeros(NUMBERS, self.dtype)
        vector, number = itertools.count(STATES), itertools.count(3)
        inputs = {"w": ("v", W), "g": ("v", G), "lr": ("n", LR), "t": ("n", T), "loss": ("n", LOSS)}
        for i, node in enumerate(self.graph.nodes):
            if node.op in inputs:
                place[i] = inputs[node.op]
            elif node.op == CONSTANT or (node.op == STATE and self.is_number[i]):
                register = next(number)
                if register >= NUMBERS:
                    raise DoesNotFit("too many constants")
                place[i] = ("n", register)
                constants[register] = (
                    node.value if node.op == CONSTANT else self.graph.states[int(node.value)].start
                )
            elif node.op in (STATE, MATRIX_LEAF):
                register = next(vector)
                if register >= VECTORS:
                    raise DoesNotFit("too many states")
                place[i] = ("v", register)
                if node.op == MATRIX_LEAF:
                    starts[register] = MASK + KERNELS.index(self.graph.kernels)
                elif (start := self.graph.states[int(node.value)].start) == "w":
                    starts[register] = COPY_W
                else:
                    fill[register] = start
        return place, fill, starts, constants

    def finish(self, rows, bounds, home, place, state_node, direct, allocate) -> list[int]:
        """Add copies at the end of the step, for states that could not be overwritten in place.

        Returns the registers of what the program returns.
        """
        moves = []  # (bank, from, to)
        for number, state in enumerate(self.graph.states):
            if state.next not in direct or direct[state.next] != number:
                bank, to = place[state_node[number]]
                source_bank, source = home[state.next]
                if (source_bank, source) != (bank, to):
                    moves.append((source_bank, source, bank, to))
        overwritten = {(bank, to) for _, _, bank, to in moves}
        first = (len(rows["n"]), len(rows["v"]))

        def copy(source_bank, source, bank, to):
            if bank == "n":
                rows["n"].append(_row(self.opcodes.numbers["copy", "n"], [source], to))
            elif source_bank == "n":
                rows["v"].append(_row(self.opcodes.vectors["spread", "n"], [source], to))
            else:
                rows["v"].append(_row(self.opcodes.vectors["copy", "v"], [source], to))

        saved: dict[tuple[str, int], int] = {}

        def save(bank, register) -> int:
            if (bank, register) in overwritten:
                if (bank, register) not in saved:
                    saved[bank, register] = allocate(bank)
                    copy(bank, register, bank, saved[bank, register])
                return saved[bank, register]
            return register

        returned = []
        for root in self.roots:
            bank, register = home[root]
            assert bank == "v"
            returned.append(save("v", register))
        moves = [(sb, save(sb, s), b, to) for sb, s, b, to in moves]
        for move in moves:
            copy(*move)
        if moves or saved:
            bounds.append((first[0], len(rows["n"]), first[1], len(rows["v"])))
        return returned

    def tables(self, rows, bounds, states, fill, starts, constants, returned) -> Code:
        """Write the instructions into tables of fixed shape."""
        if max(map(len, rows.values())) > INSTRUCTIONS or len(bounds) > SEGMENTS:
            raise DoesNotFit("too many instructions")

        def table(entries, length, width):
            out = np.zeros((length, width), np.int32)
            if entries:
                out[: len(entries)] = entries
            return out

        learning_rate = next((n.value for n in self.graph.nodes if n.op == "lr"), 0.0)
        return Code(
            table(rows["v"], INSTRUCTIONS, OPERANDS + 2),
            table(rows["n"], INSTRUCTIONS, OPERANDS + 2),
            table(bounds, SEGMENTS, 4),
            np.int32(len(bounds)),
            np.int32(states),
            fill,
            starts,
            constants,
            self.dtype.type(learning_rate),
            np.int32(returned[0]),
            np.int32(returned[1] if len(returned) > 1 else -1),
            self.opcodes,
        )


def _fit(
    op: str | tuple, arguments: list[tuple[str, int]], table: dict
) -> tuple[str, list[tuple[str, int]]]:
    """Return the form of a call that spreads the fewest numbers into vectors, and its arguments in
    that order. Raises `DoesNotFit`.
    """
    if isinstance(op, tuple):
        return form_of(op), arguments
    orders = [arguments]
    if PRIMITIVES[op].commutative and len(arguments) == 2:
        orders.append(arguments[::-1])
    best = None
    for order in orders:
        natural = "".join(bank for bank, _ in order)
        for form in forms(PRIMITIVES[op]):
            possible = all(
                want == "v" or have == "n" for want, have in zip(form, natural, strict=True)
            )
            if possible and (op, form) in table:
                spreads = sum(want != have for want, have in zip(form, natural, strict=True))
                if best is None or spreads < best[0]:
                    best = (spreads, form, order)
    if best is None:  # one without arguments that is no number, or with more than `OPERANDS`
        raise DoesNotFit(f"{op} has no opcode")
    return best[1], best[2]


def _row(opcode: int, operands: list[int], result: int, times: int | None = None) -> list[int]:
    row = [opcode, *operands, *([0] * (OPERANDS - len(operands))), result]
    if times is not None:
        row[OPERANDS] = times
    return row


def _numbers(graph: Graph) -> list[bool]:
    """Tell, for each node, whether it is one number for the whole model.

    All states that are scalars are taken for such numbers first, and given up where they become
    anything else, until no more are.
    """
    states = [s.kind is SCALAR for s in graph.states]
    while True:
        flags: list[bool] = []
        for node in graph.nodes:
            if node.op == STATE:
                flags.append(states[int(node.value)])
            elif node.op == MATRIX_LEAF:  # a number a leaf
                flags.append(False)
            elif node.op not in PRIMITIVES or PRIMITIVES[node.op].scope == MODEL:
                flags.append(node.kind is SCALAR)
            else:
                flags.append(
                    PRIMITIVES[node.op].scope == ELEMENTWISE and all(flags[a] for a in node.args)
                )
        after = [held and flags[s.next] for held, s in zip(states, graph.states, strict=True)]
        if after == states:
            return flags
        states = after
