"""Opinions on optimizers that see matrices: optax, and the rules of the papers or of their authors' code.

A rule in numpy flattens all axes of a leaf but the last, as programs do. Its matrix functions go by singular values and
eigenvalues, so that Newton-Schulz steps and roots have an opinion by another way.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
import optax
from opinions.beyond_optax import adam, average, corrected
from opinions.harness import by_optax, by_paper


def matrix(x):
    """A leaf with all axes but the last one flattened."""
    return x.reshape(-1, x.shape[-1])


def rms(x):
    return np.sqrt(np.mean(x**2))


def polynomial(x, a, b, c, steps=5):
    """The odd polynomial a s + b s³ + c s⁵ of the singular values, applied five times."""
    u, s, v = np.linalg.svd(x, full_matrices=False)
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return (u * s) @ v


def nadam(s, g, t, beta1, beta2, eps):
    """Direction of NAdam with a constant beta1."""
    m = average(s, "m", g, beta1)
    m_hat = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
    return m_hat / (np.sqrt(corrected(s, "v", g**2, beta2, t)) + eps)


def on_matrices(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """An optimizer of optax that sees kernels as matrices, and numbers as vectors."""

    def seen(tree):
        return jax.tree.map(lambda x: matrix(x) if x.ndim > 2 else x.reshape(-1) if x.ndim == 0 else x, tree)

    def update(grads, kept, params):
        updates, kept = optimizer.update(seen(grads), kept, seen(params))
        return jax.tree.map(lambda u, g: u.reshape(g.shape), updates, grads), kept

    return optax.GradientTransformation(lambda params: optimizer.init(seen(params)), update)


# --- muon ---------------------------------------------------------------------------------------------

@by_paper("muon", "Jordan 2024, github.com/KellerJordan/Muon, by singular values")
def muon(w, g, s, lr, t, *, momentum, weight_decay, a, b, c, eps, others_rate, beta1, beta2, adam_eps):
    if g.ndim < 2:
        rate = lr * others_rate
        return (1 - rate * weight_decay) * w - rate * adam(s, g, t, beta1, beta2, adam_eps)
    m = matrix(average(s, "m", g, momentum))
    ahead = (1 - momentum) * matrix(g) + momentum * m
    x = polynomial(ahead / (np.linalg.norm(ahead) + eps), a, b, c)
    x *= max(1, x.shape[1] / x.shape[0]) ** 0.5
    return (1 - lr * weight_decay) * w - lr * x.reshape(w.shape)


@by_paper("muon_torch", "torch.optim.Muon, by singular values, and Loshchilov and Hutter 2019 beside it")
def muon_torch(w, g, s, lr, t, *, momentum, weight_decay, a, b, c, eps, beta1, beta2, adam_eps):
    w_decayed = (1 - lr * weight_decay) * w
    if g.ndim < 2:
        return w_decayed - lr * adam(s, g, t, beta1, beta2, adam_eps)
    m = average(s, "m", g, momentum)
    ahead = matrix(g + momentum * (m - g))
    fan_in, fan_out = ahead.shape
    x = polynomial(ahead / max(np.linalg.norm(ahead), eps), a, b, c)
    return w_decayed - lr * np.sqrt(max(1, fan_out / fan_in)) * x.reshape(w.shape)


@by_paper("muon_optax", "optax.contrib.muon, by singular values")
def muon_optax(w, g, s, lr, t, *, beta, weight_decay, a, b, c, eps, beta1, beta2):
    if g.ndim != 2:
        return w - lr * nadam(s, g, t, beta1, beta2, eps)
    m = average(s, "m", g, beta)
    ahead = beta * m / (1 - beta ** (t + 1)) + (1 - beta) * g / (1 - beta**t)
    x = polynomial(ahead / (np.linalg.norm(ahead) + eps), a, b, c)
    return w - lr * (np.sqrt(max(1, w.shape[1] / w.shape[0])) * x + weight_decay * w)


by_optax(
    "muon_optax",
    "optax.contrib.muon",
    lambda lr, beta, weight_decay, a, b, c, eps, beta1, beta2: optax.contrib.muon(
        lr, (a, b, c), beta=beta, eps=eps, weight_decay=weight_decay, adam_b1=beta1, adam_b2=beta2
    ),
)


# --- adafactor ----------------------------------------------------------------------------------------

def factored(s, name, x, beta):
    """The outer product of the averaged sums of rows and of columns, over their total."""
    r = average(s, f"{name} rows", x.sum(1), beta)
    c = average(s, f"{name} columns", x.sum(0), beta)
    return np.outer(r, c / r.sum())


@by_paper("adafactor", "Shazeer and Stern 2018, algorithms 4 and 5, with the step of algorithm 6")
def adafactor(w, g, s, lr, t, *, decay_rate, eps1, eps2, clip):
    beta = 1 - t**-decay_rate
    v = factored(s, "v", matrix(g**2 + eps1), beta) if g.ndim > 1 else average(s, "v", g**2 + eps1, beta)
    u = g / np.sqrt(v.reshape(g.shape))
    u = u / max(1, rms(u) / clip)
    return w - max(eps2, rms(w)) * min(lr, t**-0.5) * u


@by_paper("adafactor_optax", "optax.adafactor in float64")
def adafactor_optax(w, g, s, lr, t, *, decay_rate, eps1, eps2, clip):
    beta = 1 - t**-decay_rate
    v = factored(s, "v", g**2 + eps1, beta) if g.ndim == 2 else average(s, "v", g**2 + eps1, beta)
    u = g / np.sqrt(v)
    return w - lr * max(eps2, rms(w)) * u / max(1, rms(u) / clip)


by_optax(
    "adafactor_optax",
    "optax.adafactor(min_dim_size_to_factor=5)",  # the least that leaves kernels whole: two axes of theirs have 3 and 4
    lambda lr, decay_rate, eps1, eps2, clip: optax.adafactor(
        lr, 5, decay_rate=decay_rate, eps=eps1, clipping_threshold=clip
    ),
    float64=1e-8,
    why="optax computes the power of t in float32",
)


@by_paper("adafactor_torch", "torch.optim.Adafactor, of flattened kernels too")
def adafactor_torch(w, g, s, lr, t, *, beta2_decay, eps1, eps2, clip, weight_decay):
    step = max(eps2, rms(w)) * min(lr, t**-0.5)
    beta = 1 - t**-beta2_decay
    if g.ndim > 1:
        r = average(s, "r", np.mean(matrix(g) ** 2, 1, keepdims=True), beta)
        c = average(s, "c", np.mean(matrix(g) ** 2, 0, keepdims=True), beta)
        v = (r @ c / max(r.mean(), eps1)).reshape(g.shape)
    else:
        v = average(s, "v", g**2, beta)
    u = g / np.sqrt(np.maximum(v, eps1**2))
    return (1 - lr * weight_decay) * w - step * u / max(1, rms(u) / clip)
