"""Random legal programs and random parameter trees, drawn from the registry and from nothing else.

Independent of the search: these strategies know no mutation, so they can judge mutations too.
"""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import strategies as st

from primitives import PRIMITIVES, SCALAR, TENSOR, Hyperparameter, Instruction, Program, State
from primitives.kinds import takes
from primitives.program import INPUTS, LEARNING_RATE, MAX_CONSTANT, STANDING
from primitives.registry import ELEMENTWISE, LEAF, MODEL

NAMES = ("a", "b", "c", "m", "v", "x_", "_y", "v1", "v2", "update", "decay", "loss_", "Big", "z9", "self", "print")

CALM = (0.0, 1.0, -1.0, 0.5, 2.0, 0.9, 0.1, -0.3, 3.0, 0.999, 1e-3)
"""Literals that seldom make a program overflow."""

WILD = (-0.0, 1e-8, 5e-324, 1e-300, MAX_CONSTANT, -MAX_CONSTANT, 0.1 + 0.2, 1 / 3, 123456789.0, -1e-5)

docstrings = st.text(max_size=40) | st.sampled_from(
    ['a "quoted" word"', 'three """ quotes', "back\\slash \\n", "two\nlines\n", "ends in \\", '"', '""""', '\\"\\']
)


ANYWHERE = [p for p in PRIMITIVES.values() if p.scope in (ELEMENTWISE, LEAF, MODEL)]
"""Primitives that take leaves of any shape; programs over matrices are drawn in test_matrices.py."""


@st.composite
def programs(draw, calm: bool = False, docs=None, most: int = 20) -> Program:
    """A legal program of 1 to `most` statements (and a few that return states to their kind).

    A seed decides all but the length: choices that Hypothesis draws one by one give programs that are nearly all
    dead. It still shrinks the length. `calm` keeps literals within ±4.
    """
    length = draw(st.integers(1, most))
    rng = draw(st.randoms(use_true_random=True))
    return random_program(rng, length, calm, "" if docs is None else draw(docs))


def random_program(rng: Random, length: int, calm: bool = False, doc: str = "") -> Program:
    """The program of one seed."""
    inputs = tuple(name for name in rng.sample(list(STANDING), len(STANDING)) if name == "g" or rng.random() < 0.6)
    names = rng.sample(NAMES, len(NAMES))
    kinds = {name: INPUTS[name] for name in inputs}
    hyperparameters = []
    for name in [LEARNING_RATE] * (rng.random() < 0.5) + [names.pop() for _ in range(rng.randrange(4))]:
        scale, low, high = rng.choice([("linear", -5.0, 5.0), ("log", 1e-6, 10.0), ("log1m", 0.5, 0.9999)])
        span = (low, high) if rng.random() < 0.5 else (None, None)
        hyperparameters.append(Hyperparameter(name, _number(rng, calm), *span, scale))
        if name != LEARNING_RATE:
            kinds[name] = SCALAR
    states = []
    for _ in range(rng.randrange(5)):
        kind = rng.choice([TENSOR, TENSOR, SCALAR])
        start = _number(rng, calm) if kind is SCALAR else rng.choice([0.0, 0.0, "w", "g", _number(rng, calm)])
        states.append(State(names.pop(), kind, start))
        kinds[states[-1].name] = kind
    fixed = {h.name for h in hyperparameters}

    body: list[Instruction] = []

    def emit(target: str, op: str, *args) -> None:
        body.append(Instruction(target, op, args))
        kinds[target] = PRIMITIVES[op].kind(*(kinds[a] if isinstance(a, str) else SCALAR for a in args))

    def tensors() -> list[str]:
        return [name for name, kind in kinds.items() if kind is TENSOR]

    for _ in range(length):
        recent = [i.target for i in body[-3:]]  # read often: a chain of values is what reaches the update
        for _ in range(3):  # tensors are preferred, for the same reason
            op = rng.choice(ANYWHERE)
            args = [_argument(rng, slot, kinds, recent, calm) for slot in op.slots]
            scalar = op.kind(*(kinds[a] if isinstance(a, str) else SCALAR for a in args)) is SCALAR
            if not scalar or rng.random() < 0.3:
                break
        old = [name for name in kinds if name not in fixed and not (scalar and tensors() == [name])]
        new = [name for name in names if name not in kinds]
        emit(rng.choice(new if new and (not old or rng.random() < 0.75) else old), op.name, *args)
    for state in states:  # a state ends the step as what it is
        if kinds[state.name] is not state.kind:
            if state.kind is TENSOR:
                emit(state.name, "copy", rng.choice(tensors()))
            else:
                emit("kept", "copy", rng.choice(tensors()))  # the state may hold the only tensor
                emit(state.name, "copy", _number(rng, calm))
    late = [i.target for i in body if kinds[i.target] is TENSOR][-2:]
    output = rng.choice(late if late and rng.random() < 0.9 else tensors())
    return Program(inputs, tuple(body), output, tuple(states), tuple(hyperparameters), doc=doc)


def _number(rng: Random, calm: bool) -> float:
    if rng.random() < 0.5:
        return rng.choice(CALM)
    if calm or rng.random() < 0.4:
        return round(rng.uniform(-4.0, 4.0), 2)
    return rng.choice(WILD) if rng.random() < 0.5 else rng.choice([-1, 1]) * 10 ** rng.uniform(-20, 10)


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
    wrap = draw(st.sampled_from([list, tuple, lambda x: {f"k{9 - i}": v for i, v in enumerate(x)}, _nested]))
    return wrap(leaves)


def _nested(leaves: list):
    return {"head": leaves[0], "none": None, "tail": {"b": leaves[1:], "a": ()}}
