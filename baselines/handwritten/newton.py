"""Newton's method: with a dense solve, within a trust region, and with Gauss-Newton's matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from baselines.handwritten.entry import Rule, check_size, handwritten, tunable
from baselines.handwritten.line_search import TRIES, backtrack
from primitives import ProgramError

# A step on 385 took 0.03 s and on 2,410 2.5 s, on one core of a busy machine.
MOST_PARAMETERS = 1024
SHIFTS = 40  # doublings: from the first shift over twelve decades


@handwritten(learning_rate=tunable(1.0, 0.01, 10.0), first_shift=1e-3)
def newton(first_shift: float) -> Rule:
    """Newton's method with the whole Hessian, shifted until it is positive definite, and a line
    search.

    Convention: Nocedal and Wright, algorithms 3.2 and 3.3: a multiple of the identity is added that
        starts at 0 (at first_shift - the least diagonal entry where that is not positive), then
        doubles until Cholesky's factorization exists. The search halves the step from lr down to
        Armijo's decrease.
    Family: second order
    Why: the Hessian, a solve and a line search; a program has gradients of one point.
    Opinion: the closed form, a quadratic in one step: 1e-12.
    Source: Nocedal and Wright 2006, doi:10.1007/978-0-387-40065-5, section 3.4
    """

    def init(w, objective):
        check_size("newton", w.size, MOST_PARAMETERS)
        return ()

    def step(w, state, objective, lr):
        value, gradient = objective.value_and_gradient(w)
        # a few hundred products at a time: all at once would hold the activations of every one
        hessian = jax.lax.map(
            lambda v: objective.hvp(w, v), jnp.eye(w.size, dtype=w.dtype), batch_size=256
        )
        direction = -solve_shifted(0.5 * (hessian + hessian.T), gradient, first_shift)
        return backtrack(objective, w, value, gradient, direction, lr), state

    return Rule(init, step, lambda n: 1 + 2 * n + TRIES)


def solve_shifted(matrix: jax.Array, rhs: jax.Array, first_shift: float) -> jax.Array:
    """Compute (matrix + shift·I)⁻¹ rhs.

    The shift is the first in a doubling sequence that makes the matrix positive definite.
    """
    identity = jnp.eye(matrix.shape[0], dtype=matrix.dtype)
    least = jnp.min(jnp.diagonal(matrix))

    def fails(state):
        number, _, factor = state
        return jnp.any(jnp.isnan(factor)) & (number < SHIFTS)

    def again(state):
        number, shift, _ = state
        shift = jnp.maximum(2 * shift, first_shift)
        return number + 1, shift, jnp.linalg.cholesky(matrix + shift * identity)

    shift = jnp.where(least > 0, 0.0, first_shift - least)
    first = jnp.linalg.cholesky(matrix + shift * identity)
    _, _, factor = jax.lax.while_loop(fails, again, (jnp.int32(0), shift, first))
    return jax.scipy.linalg.cho_solve((factor, True), rhs)


# --- trust region ---------------------------------------------------------------------------------


class Steihaug(NamedTuple):
    """Conjugate gradients on the model gᵀp + ½ pᵀHp, on their way."""

    p: jax.Array
    residual: jax.Array
    direction: jax.Array
    number: jax.Array
    done: jax.Array
    at_boundary: jax.Array


def steihaug(
    product: Callable[[jax.Array], jax.Array],
    g: jax.Array,
    radius: jax.Array,
    tolerance: jax.Array,
    most: int,
) -> tuple[jax.Array, jax.Array]:
    """Minimise the model within the radius, roughly (Nocedal and Wright, algorithm 7.2).

    Returns the step, and whether it ends on the boundary.
    """

    def go_on(s: Steihaug) -> jax.Array:
        return ~s.done & (s.number < most)

    def advance(s: Steihaug) -> Steihaug:
        curved = product(s.direction)
        curvature, square = jnp.vdot(s.direction, curved), jnp.vdot(s.residual, s.residual)
        alpha = square / curvature
        inner = s.p + alpha * s.direction
        leaves = (curvature <= 0) | ~(jnp.vdot(inner, inner) < radius**2)
        # ‖p + τ·direction‖ = radius; the root behind can be the lower one where the curvature is
        # negative
        a, b, c = (
            jnp.vdot(s.direction, s.direction),
            jnp.vdot(s.p, s.direction),
            jnp.vdot(s.p, s.p) - radius**2,
        )
        root = jnp.sqrt(jnp.maximum(b**2 - a * c, 0))
        ahead, behind = (-b + root) / a, (-b - root) / a

        def along(tau):
            return -tau * square + 0.5 * tau**2 * curvature

        tau = jnp.where((curvature <= 0) & (along(behind) < along(ahead)), behind, ahead)
        residual = s.residual + alpha * curved
        after = jnp.vdot(residual, residual)
        return Steihaug(
            p=jnp.where(leaves, s.p + tau * s.direction, inner),
            residual=residual,
            direction=-residual + after / square * s.direction,
            number=s.number + 1,
            done=leaves | (jnp.sqrt(after) < tolerance),
            at_boundary=leaves,
        )

    converged = jnp.sqrt(jnp.vdot(g, g)) < tolerance
    start = Steihaug(
        jnp.zeros_like(g), g, -g, jnp.int32(0), converged | ~jnp.any(g), jnp.bool(False)
    )
    end = jax.lax.while_loop(go_on, advance, start)
    return end.p, end.at_boundary


@handwritten(learning_rate=tunable(1.0, 0.01, 100.0), first_radius=1.0, accept=0.15, products=25)
def trust_region_newton_cg(first_radius: float, accept: float, products: float) -> Rule:
    """Newton steps by conjugate gradients inside a region of trust, which grows and shrinks; bad
    steps are undone.

    Convention: Nocedal and Wright, algorithms 4.1 and 7.2, with the constants and the tolerance of
        SciPy's trust-ncg. lr caps the radius. Both sides of the ratio test see the same batch.
    Family: second order
    Why: conjugate gradients stop when they leave the region, and the loss at the trial point
        decides whether the step is taken.
    Opinion: scipy.optimize.minimize(method='trust-ncg'), every iterate: 1e-6.
    Source: Steihaug 1983, doi:10.1137/0720042
    """

    def init(w, objective):
        return jnp.asarray(first_radius, w.dtype)

    def step(w, trusted, objective, lr):
        value, g = objective.value_and_gradient(w)
        radius = jnp.minimum(trusted, lr)
        norm = jnp.sqrt(jnp.vdot(g, g))
        tolerance = jnp.minimum(0.5, jnp.sqrt(norm)) * norm
        p, at_boundary = steihaug(
            lambda v: objective.hvp(w, v), g, radius, tolerance, int(products)
        )
        expected = -(jnp.vdot(g, p) + 0.5 * jnp.vdot(p, objective.hvp(w, p)))
        ratio = (value - objective.value(w + p)) / expected
        # not a number: the model expects nothing, or the trial point is no place to be; not
        # accepted, and shrunk
        shrink, grow = ~(ratio >= 0.25), (ratio > 0.75) & at_boundary
        grown = jnp.where(grow, jnp.maximum(trusted, 2 * radius), trusted)
        moved = jnp.where(ratio > accept, w + p, w)
        return moved, jnp.where(shrink & (expected > 0), 0.25 * radius, grown)

    return Rule(init, step, lambda n: 1 + 2 * int(products) + 2 + 1)


# --- Gauss-Newton ---------------------------------------------------------------------------------


@handwritten(
    learning_rate=tunable(1.0, 0.01, 10.0),
    damping=tunable(1.0, 1e-3, 1e3),
    products=50,
    tolerance=1e-5,
    change=1.5,
)
def gauss_newton_cg(damping: float, products: float, tolerance: float, change: float) -> Rule:
    """Natural gradient: solves with the damped Gauss-Newton matrix by conjugate gradients; bad
    steps are undone.

    Convention: Levenberg and Marquardt's damping as in Hessian-free optimization: it is divided or
        multiplied by 1.5 where the loss falls by more than ¾ or less than ¼ of what the undamped
        model expects. The step is multiplied by lr and taken if the loss on this batch falls. For a
        cross-entropy or a squared error the matrix is the exact Fisher matrix of the batch.
    Family: second order
    Why: Gauss-Newton products, an inner solve, and a step that is taken back where the loss rises.
    Opinion: a dense Levenberg-Marquardt in numpy: 1e-9.
    Source: Martens 2010, ICML; Amari 1998, doi:10.1162/089976698300017746
    """

    def init(w, objective):
        if objective.gnvp is None:
            raise ProgramError(
                f"gauss_newton_cg needs Gauss-Newton products, and {objective.task} offers none"
            )
        return jnp.asarray(damping, w.dtype)

    def step(w, damped, objective, lr):
        value, g = objective.value_and_gradient(w)
        direction, _ = jax.scipy.sparse.linalg.cg(
            lambda v: objective.gnvp(w, v) + damped * v, -g, tol=tolerance, maxiter=int(products)
        )
        p = lr * direction
        expected = -(jnp.vdot(g, p) + 0.5 * jnp.vdot(p, objective.gnvp(w, p)))
        fallen = value - objective.value(w + p)
        ratio = fallen / expected
        factor = jnp.where(ratio > 0.75, 1 / change, jnp.where(ratio >= 0.25, 1.0, change))
        # at a minimum nothing is expected, and nothing learnt
        factor = jnp.where(expected > 0, factor, 1.0)
        return jnp.where(fallen > 0, w + p, w), damped * factor

    # jax's solver multiplies once before its loop, with a start at 0
    return Rule(init, step, lambda n: 1 + 2 * (int(products) + 1) + 2 + 1)
