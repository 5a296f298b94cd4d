"""The meaning of a program: the definition that every other reading must agree with.

A loop over the statements, one primitive at a time, over the leaves of a
parameter tree. Called plainly it is the reference; traced by `jax.jit` it is
the compiler. `xp` is `jax.numpy`, or `numpy` for a second opinion in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from primitives.kinds import COLUMN, LEFT, RIGHT, ROW, SCALAR
from primitives.program import Program
from primitives.registry import MODEL, ORACLE, PRIMITIVES, Primitive, oracles
from primitives.statements import IDENTITY, INPUTS, LEARNING_RATE, STANDING, State
from primitives.views import Views

Leaves = tuple[Any, ...]
"""One value, seen from each leaf: an array of the leaf's shape for a tensor, a 0-d array for a
scalar; beside a matrix [r, c] a row is [1, c], a column [r, 1], a left [r, r], a right [c, c].
"""

EVALUATION = "return[1]"
"""Name under which the value to evaluate at is kept beside the state; no variable has it."""


def apply(primitive: Primitive, xp: Any, *arguments: Leaves) -> Leaves:
    """Apply one primitive to values given leaf by leaf."""
    if primitive.scope == MODEL:
        return primitive.apply(xp, *arguments)
    return tuple(primitive.apply(xp, *leaf) for leaf in zip(*arguments, strict=True))


def run(program: Program, env: dict[str, Any], xp: Any = jnp) -> dict[str, Any]:
    """Execute the statements of one step, and return the last value of every variable.

    env: inputs, hyperparameters and states by name; an oracle is a function of a value.
    """
    env = dict(env)
    w = env["w"]
    for instruction in program.body:
        args = [env[a] if isinstance(a, str) else constant(a, w, xp) for a in instruction.args]
        primitive = PRIMITIVES[instruction.op]
        if primitive.scope == ORACLE:
            env[instruction.target] = env[instruction.op](*args)
        elif args:
            env[instruction.target] = apply(primitive, xp, *args)
        else:
            env[instruction.target] = constant(primitive.apply(xp), w, xp)
    return env


def constant(value: Any, w: Leaves, xp: Any = jnp) -> Leaves:
    """Return a number as a scalar, in the dtype of each leaf."""
    return tuple(xp.asarray(value, dtype=leaf.dtype) for leaf in w)


def init(program: Program, params: Any, xp: Any = jnp) -> dict[str, Leaves]:
    """Return the state before the first step.

    params: any tree of floating arrays of one dtype.

    Raises `ProgramError` where the program has no rule for one of the leaves.
    """
    leaves = jax.tree.leaves(params)
    views = Views(program, [leaf.shape for leaf in leaves])
    states: dict[str, Leaves] = {}
    for number, (part, w) in enumerate(zip(views.parts, views.split(leaves), strict=True)):
        for state in part.states:
            states[_key(number, state.name)] = tuple(_start(state, leaf, xp) for leaf in w)
        if part.evaluate_at:
            states[_key(number, EVALUATION)] = w
    return states


def _key(part: int, name: str) -> str:
    """Return the name under which a part keeps a state: both parts may use one name."""
    return f"fallback.{name}" if part else name


def _start(state: State, leaf: Any, xp: Any) -> Any:
    """Return what a state is beside one leaf before the first step."""
    if state.start == "w":
        return leaf
    start = 0.0 if isinstance(state.start, str) else state.start
    if state.kind is SCALAR:
        return xp.asarray(start, dtype=leaf.dtype)
    if state.kind in (ROW, COLUMN, LEFT, RIGHT):
        rows, columns = leaf.shape
        extent = {"1": 1, "r": rows, "c": columns}
        shape = (extent[state.kind.axes[0]], extent[state.kind.axes[1]])
        return (
            xp.eye(shape[0], dtype=leaf.dtype)
            if state.start == IDENTITY
            else xp.full(shape, start, leaf.dtype)
        )
    return xp.full_like(leaf, start)


def step(
    program: Program,
    params: Any,
    grads: Any,
    states: dict[str, Leaves],
    shape: Any,
    t: Any,
    xp: Any = jnp,
    feed: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
) -> tuple[Any, dict[str, Leaves]]:
    """Take one step of the optimizer: return new parameters (w - update) and new state.

    grads: a tree as `params`.
    shape: the schedule at this step, its peak 1.
    t: the number of the step, from 1.
    feed: what the program asks of the task, by name: a number for the loss, a tree as `params` for
    noise, a function of such a tree for an oracle.
    values: of the hyperparameters, instead of the program's own, so that one compilation serves
    all.
    """
    leaves, tree = jax.tree.flatten(params)
    if not leaves:
        return params, states
    views = Views(program, [leaf.shape for leaf in leaves])
    values = program.values if values is None else values
    peak = values.get(LEARNING_RATE, program.learning_rate)
    given = {name: _fed(name, (feed or {})[name], views, tree, xp) for name in program.needs}

    after: list[list[Any]] = []
    new_states: dict[str, Leaves] = {}
    for number, (part, w, g) in enumerate(
        zip(views.parts, views.split(leaves), views.split(jax.tree.leaves(grads)), strict=True)
    ):
        learning_rate = tuple(
            a * b for a, b in zip(constant(shape, w, xp), constant(peak, w, xp), strict=True)
        )
        env: dict[str, Any] = {"w": w, "g": g, "lr": learning_rate, "t": constant(t, w, xp)}
        env = {name: env[name] for name in STANDING if name == "w" or name in part.inputs}
        for name in part.needs:
            env[name] = given[name]
            if name not in oracles():
                env[name] = (
                    constant(given[name], w, xp) if INPUTS[name] is SCALAR else given[name][number]
                )
        env.update(
            (h.name, constant(values[h.name], w, xp))
            for h in part.hyperparameters
            if h.name != LEARNING_RATE
        )
        for state in part.states:
            env[state.name] = states[_key(number, state.name)]
            if state.start == "g":
                env[state.name] = tuple(
                    xp.where(t == 1, new, old) for new, old in zip(g, env[state.name], strict=True)
                )
        if w:  # a global reduction over no leaves has no value
            env = run(part, env, xp)
            after.append([old - update for old, update in zip(w, env[part.output], strict=True)])
        else:
            after.append([])
        new_states.update((_key(number, s.name), env[s.name]) for s in part.states)
        if part.evaluate_at:
            new_states[_key(number, EVALUATION)] = env[part.evaluate_at] if w else ()
    return jax.tree.unflatten(tree, views.join(after, xp)), new_states


def _fed(name: str, value: Any, views: Views, tree: Any, xp: Any) -> Any:
    """Return an input of the task as the parts of the program see it."""
    if name in oracles():

        def oracle(x: Leaves) -> Leaves:
            result: Callable = value
            return views.split(
                jax.tree.leaves(result(jax.tree.unflatten(tree, views.join([x], xp))))
            )[0]

        return oracle
    return value if INPUTS[name] is SCALAR else views.split(jax.tree.leaves(value))


def evaluation(program: Program, params: Any, states: dict[str, Leaves], xp: Any = jnp) -> Any:
    """Return the parameters at which the model is evaluated: `params`, unless the program says
    otherwise.
    """
    if not program.evaluate_at:
        return params
    leaves, tree = jax.tree.flatten(params)
    views = Views(program, [leaf.shape for leaf in leaves])
    seen = [states[_key(number, EVALUATION)] for number in range(len(views.parts))]
    return jax.tree.unflatten(tree, views.join(seen, xp))
