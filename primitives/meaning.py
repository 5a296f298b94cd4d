"""The meaning of a program: the definition that every other reading must agree with.

A loop over the statements, one primitive at a time, over the leaves of a
parameter tree. Called plainly it is the reference; traced by `jax.jit` it is
the compiler. `xp` is `jax.numpy`, or `numpy` for a second opinion in float64.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from primitives.kinds import SCALAR
from primitives.program import LEARNING_RATE, Program
from primitives.registry import MODEL, PRIMITIVES, Primitive

Leaves = tuple[Any, ...]
"""One value, seen from each leaf: arrays of the leaves' shapes for a tensor, 0-d arrays for a scalar."""


def apply(primitive: Primitive, xp: Any, *arguments: Leaves) -> Leaves:
    """One primitive on values given leaf by leaf."""
    if primitive.scope == MODEL:
        return primitive.apply(xp, *arguments)
    return tuple(primitive.apply(xp, *leaf) for leaf in zip(*arguments, strict=True))


def run(program: Program, env: dict[str, Leaves], xp: Any = jnp) -> dict[str, Leaves]:
    """Execute one step's statements; return every variable's final value."""
    env = dict(env)
    w = env["w"]
    for instruction in program.body:
        args = [env[a] if isinstance(a, str) else constant(a, w, xp) for a in instruction.args]
        if args:
            env[instruction.target] = apply(PRIMITIVES[instruction.op], xp, *args)
        else:
            value = PRIMITIVES[instruction.op].apply(xp)
            env[instruction.target] = constant(value, w, xp)
    return env


def constant(value: Any, w: Leaves, xp: Any = jnp) -> Leaves:
    """A number as a scalar, in the dtype of each leaf."""
    return tuple(xp.asarray(value, dtype=leaf.dtype) for leaf in w)


def init(program: Program, params: Any, xp: Any = jnp) -> dict[str, Leaves]:
    """State before the first step. `params` is any tree of floating arrays of one dtype."""
    w = tuple(jax.tree.leaves(params))
    states = {}
    for state in program.states:
        if state.start == "w":
            states[state.name] = w
        elif state.kind is SCALAR:
            states[state.name] = constant(state.start, w, xp)
        else:
            start = 0.0 if state.start == "g" else state.start
            states[state.name] = tuple(xp.full_like(leaf, start) for leaf in w)
    return states


def step(
    program: Program, params: Any, grads: Any, states: dict[str, Leaves], shape: Any, t: Any, xp: Any = jnp
) -> tuple[Any, dict[str, Leaves]]:
    """One step of the optimizer: new parameters (w - update) and new state.

    shape: the schedule at this step, its peak 1; t: the step's number, from 1.
    """
    w, tree = jax.tree.flatten(params)
    w, g = tuple(w), tuple(jax.tree.leaves(grads))
    if not w:
        return params, states
    learning_rate = tuple(
        a * b for a, b in zip(constant(shape, w, xp), constant(program.learning_rate, w, xp), strict=True)
    )
    number = constant(t, w, xp)
    first = t == 1
    env = {"w": w, "g": g, "lr": learning_rate, "t": number}
    env = {name: env[name] for name in {"w", *program.inputs}}
    env.update((h.name, constant(h.value, w, xp)) for h in program.hyperparameters if h.name != LEARNING_RATE)
    for state in program.states:
        env[state.name] = states[state.name]
        if state.start == "g":
            env[state.name] = tuple(xp.where(first, new, old) for new, old in zip(g, states[state.name], strict=True))
    w_before = w
    env = run(program, env, xp)
    after = [old - update for old, update in zip(w_before, env[program.output], strict=True)]
    return jax.tree.unflatten(tree, after), {s.name: env[s.name] for s in program.states}
