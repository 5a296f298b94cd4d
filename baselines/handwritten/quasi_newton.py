"""BFGS and nonlinear conjugate gradients, from the parts of Optimistix.

Optimistix spreads one line search over several of its steps and compares values across them. Here
one step is one search, so that every comparison is between points of one batch; on a single batch
the accepted points are those of `optimistix.minimise`.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from baselines.handwritten.entry import Rule, check_size, handwritten, tunable

MOST_PARAMETERS = 4096  # their matrix in float32 is 64 MiB


@handwritten(needs="optimistix", learning_rate=tunable(1.0, 0.01, 10.0), tries=20)
def bfgs(tries: float) -> Rule:
    """BFGS: the inverse of the Hessian as a matrix, learnt from the change of the gradient, and a
    line search.

    Convention: Optimistix 0.1.0 with its own backtracking search (halves the step, slope 0.1),
        which starts at lr. The inverse starts at the identity. Where no try is good enough the
        point stays.
    Family: second order
    Why: the line search, and the gradient at both ends of the step on the same batch.
    Opinion: optimistix.BFGS in its own loop: 1e-8.
    Source: Nocedal and Wright 2006, doi:10.1007/978-0-387-40065-5, section 6.1; Optimistix
    """

    def init(w, objective):
        check_size("bfgs", w.size, MOST_PARAMETERS)
        return jnp.eye(w.size, dtype=w.dtype)

    def step(w, inverse, objective, lr):
        optimistix, lineax = _library("optimistix"), _library("lineax")
        solver = optimistix.BFGS(rtol=0.0, atol=0.0)
        value, gradient = objective.value_and_gradient(w)
        vector = jax.ShapeDtypeStruct(w.shape, w.dtype)
        operator = lineax.PyTreeLinearOperator(inverse, vector, lineax.positive_semidefinite_tag)
        here = optimistix.FunctionInfo.EvalGradHessianInv(value, gradient, operator)
        direction = solver.descent.query(w, here, solver.descent.init(w, here))
        found = _search(solver, w, here, direction, objective.value, lr, int(tries))
        there = optimistix.FunctionInfo.EvalGrad(*objective.value_and_gradient(found))
        learnt, _ = solver.update_hessian(w, found, here, there, None)
        return found, learnt.hessian_inv.pytree

    return Rule(init, step, lambda n: 1 + int(tries) + 1)


@handwritten(needs="optimistix", learning_rate=tunable(1.0, 0.01, 100.0), tries=20)
def nonlinear_cg(tries: float) -> Rule:
    """Nonlinear conjugate gradients: each direction leans on the last, as far as the gradient
    changed; line search.

    Convention: Optimistix 0.1.0: Polak and Ribière's formula, not below 0, steepest descent where
        the direction does not descend, and its own backtracking search (halves the step, slope
        0.1), which starts at lr. The last point's gradient is asked of the new batch. Where no try
        is good enough the point stays.
    Family: conjugate gradient
    Why: conjugacy holds where the step minimises along the direction; that takes a line search.
    Opinion: optimistix.NonlinearCG in its own loop: 1e-8.
    Source: Polak and Ribière 1969, Revue française d'informatique 16; Optimistix
    """

    def init(w, objective):
        return w, jnp.zeros_like(w)  # the point before, and the direction taken there

    def step(w, state, objective, lr):
        optimistix = _library("optimistix")
        before, last = state
        solver = optimistix.NonlinearCG(rtol=0.0, atol=0.0)
        here = optimistix.FunctionInfo.EvalGrad(*objective.value_and_gradient(w))
        kept = dataclasses.replace(
            solver.descent.init(w, here),
            y_diff=last,
            # 0 says that nothing came before
            grad=jnp.where(jnp.any(last), objective.gradient(before), 0),
        )
        direction = solver.descent.query(w, here, kept)
        found = _search(solver, w, here, direction, objective.value, lr, int(tries))
        return found, (w, direction.y_diff)

    return Rule(init, step, lambda n: 2 + int(tries))


def _library(name: str) -> Any:
    """Import a library when it is used: it is no requirement of this package."""
    return importlib.import_module(name)


def _search(
    solver: Any, w: jax.Array, here: Any, direction: Any, value: Callable, lr: jax.Array, tries: int
) -> jax.Array:
    """Return the first point that the solver's own search accepts; `w` where it accepts none."""
    info = _library("optimistix").FunctionInfo

    def go_on(state):
        number, accepted, *_ = state
        return ~accepted & (number < tries)

    def advance(state):
        number, _, size, searching, _ = state
        # the cap goes in here: the search itself takes no traced number to start at
        trial = w + solver.descent.step(lr * size, direction)[0]
        there = info.Eval(value(trial))
        size, accepted, _, searching = solver.search.step(
            jnp.bool(False), w, trial, here, there, searching
        )
        return number + 1, accepted, size, searching, trial

    searching = solver.search.init(w, here)
    start = (jnp.int32(0), jnp.bool(False), searching.step_size, searching, w)
    _, accepted, _, _, trial = jax.lax.while_loop(go_on, advance, start)
    return jnp.where(accepted, trial, w)
