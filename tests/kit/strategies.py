"""Random legal programs and random parameter trees, drawn from the registry and from nothing else.

Independent of the search: these strategies know no mutation, so they can judge mutations too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

import numpy as np
from hypothesis import strategies as st

from primitives import (
    PRIMITIVES,
    SCALAR,
    TENSOR,
    Hyperparameter,
    Instruction,
    Primitive,
    Program,
    State,
)
from primitives.kinds import COLUMN, LEFT, OF_MATRICES, RIGHT, ROW, Kind, takes
from primitives.registry import AXIS, ELEMENTWISE, LEAF, MATRIX, MODEL, WINDOW
from primitives.statements import (
    IDENTITY,
    INPUTS,
    KERNELS,
    LEARNING_RATE,
    MAX_CONSTANT,
    STANDING,
    Fallback,
)

NAMES = (
    "a",
    "b",
    "c",
    "m",
    "v",
    "x_",
    "_y",
    "v1",
    "v2",
    "update",
    "decay",
    "loss_",
    "Big",
    "z9",
    "self",
    "print",
)

CALM = (0.0, 1.0, -1.0, 0.5, 2.0, 0.9, 0.1, -0.3, 3.0, 0.999, 1e-3)
"""Literals that seldom make a program overflow."""

WILD = (
    -0.0,
    1e-8,
    5e-324,
    1e-300,
    MAX_CONSTANT,
    -MAX_CONSTANT,
    0.1 + 0.2,
    1 / 3,
    123456789.0,
    -1e-5,
)

docstrings = st.text(max_size=40) | st.sampled_from(
    [
        'a "quoted" word"',
        'three """ quotes',
        "back\\slash \\n",
        "two\nlines\n",
        "ends in \\",
        '"',
        '""""',
        '\\"\\',
    ]
)


@dataclass(frozen=True)
class Features:
    """What random programs may say beyond a plain body of inputs, tensors, scalars and states of
    these.
    """

    rings: bool = False
    points: bool = False  # whether a value to evaluate at may be returned
    inputs: tuple[str, ...] = tuple(STANDING)
    kinds: tuple[Kind, ...] = (TENSOR, TENSOR, SCALAR)  # of states
    scopes: tuple[str, ...] = (ELEMENTWISE, LEAF, MODEL)
    flat: bool = True  # whether primitives that the machine is not to know are left out
    kernels: tuple[
        str, ...
    ] = ()  # rules for kernels, of which one is drawn; with any, there is a fallback

    @property
    def primitives(self) -> list[Primitive]:
        return [p for p in PRIMITIVES.values() if p.scope in self.scopes and p.flat >= self.flat]


PLAIN = Features()

FLAT = Features(rings=True, points=True, inputs=(*STANDING, "loss"))
"""All that the machine knows of leaves of any shape."""

MORE = replace(FLAT, inputs=(*FLAT.inputs, "noise", "rademacher"))
"""All that needs no matrices."""

AXES = replace(
    FLAT, kernels=("flatten", "fallback"),
    kinds=(TENSOR, SCALAR, ROW, ROW, COLUMN), scopes=(ELEMENTWISE, LEAF, AXIS),
)  # fmt: skip
"""Rows and columns: what the machine runs too, so nothing is global."""

MATRICES = replace(
    MORE, kinds=(TENSOR, SCALAR, ROW, COLUMN, LEFT, RIGHT), kernels=KERNELS,
    scopes=(ELEMENTWISE, LEAF, MODEL, AXIS, MATRIX),
)  # fmt: skip
"""All that matrices have."""

SAID = replace(MATRICES, scopes=(*MATRICES.scopes, WINDOW), flat=False)
"""All that can be said."""


@st.composite
def programs(
    draw, calm: bool = False, docs=None, most: int = 20, features: Features = PLAIN
) -> Program:
    """A legal program of 1 to `most` statements (and a few that return states to their kind).

    A seed decides all but the length: choices that Hypothesis draws one by one give programs that
    are nearly all dead. It still shrinks the length. `calm` keeps literals within ±4.
    """
    length = draw(st.integers(1, most))
    rng = draw(st.randoms(use_true_random=True))
    return random_program(rng, length, calm, "" if docs is None else draw(docs), features)


def random_program(
    rng: Random, length: int, calm: bool = False, doc: str = "", features: Features = PLAIN
) -> Program:
    """The program of one seed."""
    inputs = _inputs(rng, features)
    names = rng.sample(NAMES, len(NAMES))
    hyperparameters = []
    for name in [LEARNING_RATE] * (rng.random() < 0.5) + [
        names.pop() for _ in range(rng.randrange(4))
    ]:
        scale, low, high = rng.choice(
            [("linear", -5.0, 5.0), ("log", 1e-6, 10.0), ("log1m", 0.5, 0.9999)]
        )
        span = (low, high) if rng.random() < 0.5 else (None, None)
        hyperparameters.append(Hyperparameter(name, _number(rng, calm), *span, scale))
    states = []
    for _ in range(rng.randrange(5)):
        kind = rng.choice(features.kinds)
        start = (
            _number(rng, calm)
            if kind is not TENSOR
            else rng.choice([0.0, 0.0, "w", "g", _number(rng, calm)])
        )
        if kind in (LEFT, RIGHT) and rng.random() < 0.5:
            start = IDENTITY
        states.append(State(names.pop(), kind, start))
    if features.rings and rng.random() < 0.5:
        kind = rng.choice(features.kinds)
        start = rng.choice([0.0, "w"]) if kind is TENSOR else _number(rng, calm)
        states.insert(rng.randint(0, len(states)), State("past", kind, start, rng.randint(1, 3)))

    returns_point = features.points and rng.random() < 0.4
    writer = _Writer(rng, calm, inputs, names, hyperparameters, states)
    body, output, point = writer.body(length, features.primitives, returns_point)
    fallback, kernels = None, KERNELS[0]
    if features.kernels:
        simple = replace(features, scopes=tuple(s for s in features.scopes if s in PLAIN.scopes))
        kernels = rng.choice(features.kernels)
        inputs_too = _inputs(rng, features)
        shared = [s for s in states if s.kind in (TENSOR, SCALAR) and rng.random() < 0.7]
        hidden = {name for s in states if s not in shared for name in (s.name, *s.slots)}
        writer = _Writer(
            rng, calm, inputs_too, [n for n in names if n not in hidden], hyperparameters, shared
        )
        fallback = Fallback(
            inputs_too, *writer.body(rng.randint(1, length), simple.primitives, returns_point)
        )
    return Program(
        inputs, body, output, tuple(states), tuple(hyperparameters),
        doc=doc, evaluate_at=point, fallback=fallback, kernels=kernels,
    )  # fmt: skip


def _inputs(rng: Random, features: Features) -> tuple[str, ...]:
    names = rng.sample(list(features.inputs), len(features.inputs))
    return tuple(name for name in names if name == "g" or rng.random() < 0.6)


class _Writer:
    """Writes one body, statement by statement."""

    def __init__(self, rng: Random, calm: bool, inputs, names: list[str], hyperparameters, states):
        self.rng, self.calm, self.names, self.states = rng, calm, names, states
        constants = [h.name for h in hyperparameters if h.name != LEARNING_RATE]
        self.kinds = {name: INPUTS[name] for name in inputs} | dict.fromkeys(constants, SCALAR)
        self.kinds |= {slot: s.kind for s in states for slot in s.slots}
        self.fixed = {*constants, *(slot for s in states if s.ring for slot in s.slots)}
        self.written: list[Instruction] = []

    def emit(self, target: str, op: str, *args) -> None:
        self.written.append(Instruction(target, op, args))
        self.kinds[target] = self.kind(PRIMITIVES[op], args)

    def kind(self, op: Primitive, args) -> Kind | None:
        kinds = []
        for a in args:
            if op.scope == WINDOW and a == "past":  # the ring, whether it was assigned or not
                kinds.append(self.kinds["past1"])
            if a in self.kinds or not isinstance(a, str):
                kinds.append(self.kinds.get(a, SCALAR))
        return op.kind(*kinds)

    def tensors(self) -> list[str]:
        return [name for name, kind in self.kinds.items() if kind is TENSOR]

    def body(self, length: int, primitives: list[Primitive], returns_point: bool):
        """Instructions, the update, the value to evaluate at or nothing."""
        rng, kinds, calm = self.rng, self.kinds, self.calm
        of_matrices = [p for p in primitives if p.scope in (AXIS, MATRIX)]
        for _ in range(length):
            recent = [
                i.target for i in self.written[-3:]
            ]  # read often: a chain of values is what reaches the update
            if of_matrices and rng.random() < 0.5 and self.spread(recent):
                continue
            tries = 0
            while True:  # what is no number is preferred, for the same reason
                op = rng.choice(of_matrices if of_matrices and rng.random() < 0.4 else primitives)
                args = [_argument(rng, slot, kinds, recent, calm) for slot in op.slots]
                if op.scope == WINDOW and "past1" in kinds:
                    args[-1] = "past"
                kind = self.kind(op, args)
                tries += kind is not None
                if kind is not None and (kind is not SCALAR or rng.random() < 0.3 or tries == 3):
                    break
            last = self.tensors() if kind is not TENSOR else []  # a tensor must remain
            old = [name for name in kinds if name not in self.fixed and last != [name]]
            new = [name for name in self.names if name not in kinds]
            self.emit(
                rng.choice(new if new and (not old or rng.random() < 0.75) else old), op.name, *args
            )
        if of_matrices:
            self.spread([i.target for i in self.written[-3:]])
        for state in self.states:  # a state ends the step as what it is
            if kinds.get(state.name) is not state.kind:
                if state.kind is TENSOR:
                    self.emit(state.name, "copy", rng.choice(self.tensors()))
                else:
                    kept = rng.choice(self.tensors())  # the state may hold the only tensor
                    self.emit("kept", "copy", kept)
                    if state.kind is SCALAR:
                        self.emit(state.name, "copy", _number(rng, calm))
                    else:
                        self.emit(state.name, _RETURN[state.kind], "kept")
        late = [i.target for i in self.written if kinds[i.target] is TENSOR][-2:]
        output = rng.choice(late if late and rng.random() < 0.9 else self.tensors())
        point = rng.choice(self.tensors()) if returns_point else ""
        return tuple(self.written), output, point

    def spread(self, recent: list[str]) -> bool:
        """Make a tensor of a late row, column or square, which would seldom reach the update
        otherwise.
        """
        loose = [
            name for name in recent if self.kinds[name] in OF_MATRICES and name not in self.fixed
        ]
        if not loose:
            return False
        x, y = self.rng.choice(loose), self.rng.choice(self.tensors())
        if self.kinds[x] in (LEFT, RIGHT):
            self.emit(x, "matmul", *((x, y) if self.kinds[x] is LEFT else (y, x)))
        else:
            args = self.rng.choice([(x, y), (y, x)])
            self.emit(x, self.rng.choice(["multiply", "divide", "add", "maximum"]), *args)
        return True


_RETURN = {
    ROW: "mean_over_rows",
    COLUMN: "norm_over_columns",
    LEFT: "gram_left",
    RIGHT: "gram_right",
}


def _number(rng: Random, calm: bool) -> float:
    if rng.random() < 0.5:
        return rng.choice(CALM)
    if calm or rng.random() < 0.4:
        return round(rng.uniform(-4.0, 4.0), 2)
    return (
        rng.choice(WILD) if rng.random() < 0.5 else rng.choice([-1, 1]) * 10 ** rng.uniform(-20, 10)
    )


def _argument(rng: Random, slot, kinds: dict, recent: list[str], calm: bool):
    fits = [name for name, kind in kinds.items() if takes(slot, kind)]
    if not fits or (takes(slot, SCALAR) and rng.random() < 0.15):
        return _number(rng, calm)
    late = [name for name in recent if name in fits]
    return rng.choice(late if late and rng.random() < 0.8 else fits)


SHAPES = ((), (1,), (4,), (2, 3), (3, 3, 1, 2), (0,), (2, 0), (1, 1))
"""Scalars, vectors, matrices, convolution kernels and empty leaves."""


@st.composite
def parameter_trees(draw, dtype=np.float64):
    """A tree of arrays: dicts, lists, tuples and None around one to four leaves."""
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    leaves = [np.asarray(rng.normal(0.0, 1.0, shape), dtype) for shape in shapes]
    wrap = draw(
        st.sampled_from([list, tuple, lambda x: {f"k{9 - i}": v for i, v in enumerate(x)}, _nested])
    )
    return wrap(leaves)


def _nested(leaves: list):
    return {"head": leaves[0], "none": None, "tail": {"b": leaves[1:], "a": ()}}
