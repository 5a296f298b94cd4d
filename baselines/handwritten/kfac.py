"""K-FAC: the Fisher matrix as one Kronecker product a layer."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from baselines.handwritten.entry import Rule, handwritten, tunable
from primitives import ProgramError

LEAST_DAMPING = 1e-8  # below, its root is lost in float32 beside the factors


class Factors(NamedTuple):
    """The Fisher matrix of one layer is A ⊗ S, nearly."""

    A: jax.Array  # [inputs + 1, inputs + 1], E[a aᵀ] of what goes in, with a 1 for the bias
    S: jax.Array  # [outputs, outputs], E[s sᵀ] of the signals that come back


class Kfac(NamedTuple):
    """State: number of steps, factors by layer, the last step, λ."""

    t: jax.Array
    factors: tuple[Factors, ...]
    last: jax.Array
    damping: jax.Array


@handwritten(
    learning_rate=tunable(1.0, 0.01, 10.0),
    damping=tunable(0.1, 1e-3, 100.0),
    relax=tunable(0.95, 0.9, 0.9999, "log1m"),
    decay=0.95,
)
def kfac(damping: float, relax: float, decay: float) -> Rule:
    """K-FAC: natural gradient with one Kronecker product a layer, from its inputs and
    back-propagated signals.

    Convention: the paper's block-diagonal version. Signals are those of targets drawn from the
        model, so it is the Fisher matrix that is averaged, over steps with min(1 - 1/t, decay).
        Each factor has its share of √λ on the diagonal (§6.3, without the search for a better γ
        than √λ); how far to go along this direction and along the last step is decided by the exact
        Fisher matrix of the batch, damped by λ (§6.4, §7); λ is multiplied or divided by `relax`
        where the loss falls by more than ¾ or less than ¼ of what is expected (§6.5: every fifth
        step by 0.95⁵). Inverses are new in every step. lr multiplies the whole step.
    Family: second order
    Why: what it averages are inputs and signals of layers; a program sees parameters and their
        gradient only.
    Opinion: a whole-matrix K-FAC in numpy, example by example: 1e-12.
    Source: Martens and Grosse 2015, arXiv:1503.05671
    """

    def init(w, objective):
        if objective.layers is None:
            raise ProgramError(
                f"kfac looks into affine layers in a row, and {objective.task} has none to show",
                hint="Use a suite of dense networks only, such as quickstart.",
            )
        shapes = [layer.at.shape for layer in jax.eval_shape(objective.layers, w)]
        factors = tuple(Factors(*(jnp.zeros((n, n), w.dtype) for n in shape)) for shape in shapes)
        return Kfac(
            jnp.zeros((), w.dtype), factors, jnp.zeros_like(w), jnp.asarray(damping, w.dtype)
        )

    def step(w, state, objective, lr):
        value, g = objective.value_and_gradient(w)
        t, layers = state.t + 1, objective.layers(w)
        keep = jnp.minimum(1 - 1 / t, decay)
        now = [
            Factors(_moment(_with_one(layer.inputs)), _moment(layer.signals)) for layer in layers
        ]
        factors = jax.tree.map(
            lambda old, new: keep * old + (1 - keep) * new, state.factors, tuple(now)
        )

        direction = jnp.zeros_like(w)
        for layer, factor in zip(layers, factors, strict=True):
            direction = direction.at[layer.at].set(-solve(factor, g[layer.at], state.damping))

        # the least of the model gᵀp + ½ pᵀ(F + λI)p in the plane of the direction and the last step
        plane = jnp.stack([direction, state.last])
        curved = jnp.stack([objective.gnvp(w, v) for v in plane]) + state.damping * plane
        # a pseudo-inverse, because the last step is 0 at first
        shares = -lr * (jnp.linalg.pinv(plane @ curved.T, hermitian=True) @ (plane @ g))
        p = shares @ plane
        expected = -(g @ p + 0.5 * (shares @ curved) @ p)
        ratio = (value - objective.value(w + p)) / expected
        # not a number: the trial point is no place to be
        factor = jnp.where(ratio > 0.75, relax, jnp.where(ratio >= 0.25, 1.0, 1 / relax))
        # at a minimum nothing is expected, and nothing learnt
        factor = jnp.where(expected > 0, factor, 1.0)
        return w + p, Kfac(t, factors, p, jnp.maximum(state.damping * factor, LEAST_DAMPING))

    return Rule(init, step, lambda n: 1 + 1 + 2 * 2 + 1)


def solve(factors: Factors, matrix: jax.Array, damping: jax.Array) -> jax.Array:
    """Compute (A + π√λ I)⁻¹ matrix (S + √λ/π I)⁻¹.

    π² is the ratio of the mean eigenvalues of A and S.
    """
    A, S = factors
    trace_a, trace_s = jnp.trace(A), jnp.trace(S)
    pi = jnp.where(
        (trace_a > 0) & (trace_s > 0), jnp.sqrt((trace_a / len(A)) / (trace_s / len(S))), 1.0
    )
    left = A + pi * jnp.sqrt(damping) * jnp.eye(len(A), dtype=A.dtype)
    right = S + jnp.sqrt(damping) / pi * jnp.eye(len(S), dtype=S.dtype)
    return jnp.linalg.solve(left, jnp.linalg.solve(right, matrix.T).T)


def _with_one(inputs: jax.Array) -> jax.Array:
    return jnp.pad(inputs, ((0, 0), (0, 1)), constant_values=1)


def _moment(rows: jax.Array) -> jax.Array:
    return rows.T @ rows / len(rows)
