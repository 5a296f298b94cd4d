from __future__ import annotations
import os
import jax, jax.numpy as jnp
from baselines.handwritten.entry import Rule, handwritten, tunable
from primitives import ProgramError

@handwritten(learning_rate=tunable(1.0, 0.01, 10.0), damping=tunable(1.0, 1e-3, 1e3), change=0.95, decay=0.95, mode=0.0, clip=0.01, momentum=0.9, incl=1.0)
def kfac(damping, change, decay, mode, clip, momentum, incl) -> Rule:
    """K-FAC.
    Family: second order
    """
    def init(w, objective):
        if objective.layers is None:
            raise ProgramError("kfac looks")
        shapes = jax.eval_shape(objective.layers, w)
        factors = tuple((jnp.zeros((len(l.at),) * 2, w.dtype), jnp.zeros((l.at.shape[1],) * 2, w.dtype)) for l in shapes)
        return jnp.int32(0), factors, jnp.zeros_like(w), jnp.asarray(damping, w.dtype)

    def step(w, state, objective, lr):
        k, factors, last, damped = state
        k = k + 1
        value, g = objective.value_and_gradient(w)
        keep = jnp.minimum(1 - 1 / k, decay)
        new, d = [], jnp.zeros_like(w)
        for layer, (A, S) in zip(objective.layers(w), factors):
            a = jnp.pad(layer.inputs, ((0, 0), (0, 1)), constant_values=1); s = layer.signals
            A = keep * A + (1 - keep) * a.T @ a / len(a); S = keep * S + (1 - keep) * s.T @ s / len(s)
            new.append((A, S))
            pi = jnp.sqrt(jnp.trace(A) / len(A) / jnp.trace(S) * len(S))
            gam = jnp.sqrt(damped)
            L = A + pi * gam * jnp.eye(len(A)); R = S + gam / pi * jnp.eye(len(S))
            m = jnp.linalg.solve(L, jnp.linalg.solve(R, g[layer.at].T).T)
            d = d.at[layer.at].set(-m)
        if mode == 2:  # EMA momentum fixed, kl clip
            nu = jnp.minimum(1.0, jnp.sqrt(clip / (lr**2 * jnp.abs(jnp.vdot(d, g)) + 1e-30)))
            last = momentum * last + lr * nu * d
            return w + last, (k, tuple(new), last, damped)
        fd, fl = objective.gnvp(w, d) , objective.gnvp(w, last)
        ds, ls = fd + damped * d, fl + damped * last
        if mode == 0:
            M = jnp.array([[d @ ds, d @ ls], [d @ ls, last @ ls]])
            c = -jnp.linalg.pinv(M, hermitian=True) @ jnp.array([d @ g, last @ g])
        elif mode == 1:
            c = jnp.array([-(d @ g) / (d @ ds), momentum])
        p = lr * (c[0] * d + c[1] * last)
        fp = lr * (c[0] * fd + c[1] * fl)
        expected = -(g @ p + .5 * (p @ fp + incl * damped * p @ p))
        ratio = (value - objective.value(w + p)) / expected
        damped = damped * jnp.where(ratio > 0.75, change, jnp.where(ratio >= 0.25, 1.0, 1 / change))
        return w + p, (k, tuple(new), p, damped)
    return Rule(init, step, lambda n: 7)
