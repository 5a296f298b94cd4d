"""Opinions on optimizers that see matrices: optax, and the rules of the papers or of their authors'
code.

A rule in numpy flattens all axes of a leaf but the last, as programs do. Its matrix functions go by
singular values and eigenvalues, so that Newton-Schulz steps and roots have an opinion by another
way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import jax
import numpy as np
import optax
from opinions.beyond_optax import adam, average, corrected, fraction
from opinions.harness import OPINIONS, by_optax, by_paper


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
        return jax.tree.map(
            lambda x: matrix(x) if x.ndim > 2 else x.reshape(-1) if x.ndim == 0 else x, tree
        )

    def update(grads, kept, params):
        updates, kept = optimizer.update(seen(grads), kept, seen(params))
        return jax.tree.map(lambda u, g: u.reshape(g.shape), updates, grads), kept

    return optax.GradientTransformation(lambda params: optimizer.init(seen(params)), update)


def restrict(name: str, by: str, where: Callable[[int, str], bool]) -> None:
    """Reduces an opinion to the steps and leaves on which it is one."""
    opinion = OPINIONS[name, by]

    def walk(program, dtype):
        trees = enumerate(opinion.walk(program, dtype), 1)
        less = {t: {leaf: x for leaf, x in tree.items() if where(t, leaf)} for t, tree in trees}
        return {t: tree for t, tree in less.items() if tree}

    OPINIONS[name, by] = replace(opinion, walk=walk)


# --- muon -----------------------------------------------------------------------------------------


@by_paper("muon", "Jordan 2024, github.com/KellerJordan/Muon, by singular values")
def muon(
    w, g, s, lr, t, *, momentum, weight_decay, a, b, c, eps, others_rate, beta1, beta2, adam_eps
):
    if g.ndim < 2:
        rate = lr * others_rate
        return (1 - rate * weight_decay) * w - rate * adam(s, g, t, beta1, beta2, adam_eps)
    m = matrix(average(s, "m", g, momentum))
    ahead = (1 - momentum) * matrix(g) + momentum * m
    x = polynomial(ahead / (np.linalg.norm(ahead) + eps), a, b, c)
    x *= max(1, x.shape[1] / x.shape[0]) ** 0.5
    return (1 - lr * weight_decay) * w - lr * x.reshape(w.shape)


@by_paper(
    "muon_torch", "torch.optim.Muon, by singular values, and Loshchilov and Hutter 2019 beside it"
)
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
    float32=3e-6,
    why="optax's own rounding: the same rule in float64 is met to 1e-6",
)


# --- adafactor ------------------------------------------------------------------------------------


def factored(s, name, x, beta):
    """The outer product of the averaged sums of rows and of columns, over their total."""
    r = average(s, f"{name} rows", x.sum(1), beta)
    c = average(s, f"{name} columns", x.sum(0), beta)
    return np.outer(r, c / r.sum())


@by_paper("adafactor", "Shazeer and Stern 2018, algorithms 4 and 5, with the step of algorithm 6")
def adafactor(w, g, s, lr, t, *, decay_rate, eps1, eps2, clip):
    beta = 1 - t**-decay_rate
    v = (
        factored(s, "v", matrix(g**2 + eps1), beta)
        if g.ndim > 1
        else average(s, "v", g**2 + eps1, beta)
    )
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
    # The least that leaves kernels whole: two axes of theirs have 3 and 4
    "optax.adafactor(min_dim_size_to_factor=5)",
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


# --- shampoo and soap -----------------------------------------------------------------------------


def inverse_fourth_root(x):
    values, vectors = np.linalg.eigh(x)
    return vectors @ np.diag(1 / np.sqrt(np.sqrt(values))) @ vectors.T


@by_paper("shampoo", "Gupta, Koren and Singer 2018, algorithm 1, and the diagonal form for vectors")
def shampoo(w, g, s, lr, t, *, eps):
    if g.ndim < 2:
        s["h"] = s.get("h", eps) + g**2
        return w - lr * g / np.sqrt(s["h"])
    x = matrix(g)
    s["l"] = s.get("l", eps * np.eye(x.shape[0])) + x @ x.T
    s["r"] = s.get("r", eps * np.eye(x.shape[1])) + x.T @ x
    return w - lr * (inverse_fourth_root(s["l"]) @ x @ inverse_fourth_root(s["r"])).reshape(w.shape)


@by_paper(
    "shampoo_grafted",
    "Shi et al. 2023, with the damping of Anil et al. 2020",
    float32=1e-5,
    why="float32 knows the least eigenvalues, 1e-5 of the trace, to two digits only",
)
def shampoo_grafted(w, g, s, lr, t, *, beta1, beta2, eps, damping, every, weight_decay):
    w_decayed = (1 - lr * weight_decay) * w
    u = adam(s, g, t, beta1, beta2, eps)
    if g.ndim < 2:
        return w_decayed - lr * u
    x, m = matrix(g), matrix(s["m"])
    grams = [corrected(s, "l", x @ x.T, beta2, t), corrected(s, "r", x.T @ x, beta2, t)]
    if t % every == 1 % every:
        s["roots"] = [
            inverse_fourth_root(p + damping * np.trace(p) * np.eye(len(p))) for p in grams
        ]
    direction = s["roots"][0] @ m @ s["roots"][1]
    direction *= np.linalg.norm(u) / np.linalg.norm(direction)
    return w_decayed - lr * direction.reshape(w.shape)


@by_paper("soap", "Vyas et al. 2024, algorithms 3 and 4, in the order of the authors' code")
def soap(w, g, s, lr, t, *, beta1, beta2, eps, every, weight_decay):
    w_decayed = w if t == 1 else (1 - lr * weight_decay) * w
    if g.ndim < 2:
        return w if t == 1 else w_decayed - lr * adam(s, g, t - 1, beta1, beta2, eps)
    x = matrix(g)
    grams = [average(s, "l", x @ x.T, beta2), average(s, "r", x.T @ x, beta2)]
    if t == 1:
        s["q"] = [np.linalg.eigh(p)[1][:, ::-1] for p in grams]
        return w
    left, right = s["q"]
    m = corrected(s, "m", x, beta1, t - 1)
    v = corrected(s, "v", (left.T @ x @ right) ** 2, beta2, t - 1)
    direction = left @ (left.T @ m @ right / (np.sqrt(v) + eps)) @ right.T
    if (t - 1) % every == 0:
        s["q"] = [np.linalg.qr(p @ q)[0] for p, q in zip(grams, s["q"], strict=True)]
    return w_decayed - lr * direction.reshape(w.shape)


# A kernel's first gradient has rank 4 of 18: in the rest of the space every basis is one of
# eigenvectors, and the walks of any two differ.
restrict(
    "soap",
    "numpy: Vyas et al. 2024, algorithms 3 and 4, in the order of the authors' code",
    lambda t, leaf: leaf != "kernel",
)

# --- factors, neurons, norms, projections ---------------------------------------------------------

by_optax(
    "sm3",
    "optax.scale_by_sm3 of flattened kernels",  # optax.sm3 takes no schedule
    lambda lr, momentum, eps: on_matrices(
        optax.chain(optax.scale_by_sm3(momentum, eps=eps), optax.scale_by_learning_rate(lr))
    ),
)


@by_paper(
    "came",
    "Luo et al. 2023, github.com/yangluo7/CAME",
    float32=3e-5,
    why="1 - 0.9999 has a relative error of 2e-4 in float32, and no correction cancels it",
)
def came(w, g, s, lr, t, *, beta1, beta2, beta3, eps1, eps2, clip, weight_decay):
    square = g**2 + eps1
    v = (
        factored(s, "v", matrix(square), beta2).reshape(g.shape)
        if g.ndim > 1
        else average(s, "v", square, beta2)
    )
    u = g / np.sqrt(v)
    u = u / max(1, rms(u) / clip)
    m = average(s, "m", u, beta1)
    instability = (u - m) ** 2 + eps2
    confident = (
        m / np.sqrt(factored(s, "u", matrix(instability), beta3)).reshape(g.shape)
        if g.ndim > 1
        else m
    )
    return (1 - lr * weight_decay) * w - lr * confident


@by_paper("adam_mini", "Zhang et al. 2024, a block for each output or for a vector")
def adam_mini(w, g, s, lr, t, *, beta1, beta2, eps, weight_decay):
    v = corrected(s, "v", (g**2).mean(tuple(range(max(g.ndim - 1, 1)))[: g.ndim]), beta2, t)
    direction = corrected(s, "m", g, beta1, t) / (np.sqrt(v) + eps)
    return (1 - lr * weight_decay) * w - lr * direction


@by_paper("normuon", "Li et al. 2025, github.com/zichongli5/NorMuon, by singular values")
def normuon(
    w,
    g,
    s,
    lr,
    t,
    *,
    momentum,
    neuron_beta,
    weight_decay,
    a,
    b,
    c,
    eps,
    neuron_eps,
    others_rate,
    beta1,
    beta2,
):
    if g.ndim < 2:
        rate = lr * others_rate
        return (1 - rate * weight_decay) * w - rate * adam(s, g, t, beta1, beta2, neuron_eps)
    ahead = matrix((1 - momentum) * g + momentum * average(s, "m", g, momentum))
    x = polynomial(ahead / (np.linalg.norm(ahead) + eps), a, b, c)
    y = x / (np.sqrt(average(s, "n", (x**2).mean(0), neuron_beta)) + neuron_eps)
    y *= (
        np.linalg.norm(x)
        / (np.linalg.norm(y) + neuron_eps)
        * max(1, x.shape[1] / x.shape[0]) ** 0.5
    )
    return (1 - lr * weight_decay) * w - lr * y.reshape(w.shape)


@by_paper("scion", "Pethick et al. 2025, algorithm 2, by singular values")
def scion(w, g, s, lr, t, *, alpha, radius, radius_others, a, b, c, eps):
    d = average(s, "d", g, 1 - alpha)
    if g.ndim < 2:
        corner = -radius_others * np.sign(d)
    else:
        x = polynomial(matrix(d) / (np.linalg.norm(d) + eps), a, b, c)
        corner = -radius * np.sqrt(x.shape[1] / x.shape[0]) * x.reshape(w.shape)
    return w + lr * (corner - w)


def with_sign(x):
    """Columns of x, turned so that the first of their nearly largest components is above 0."""
    size = np.abs(x)
    first = np.argmax(size > 0.99 * size.max(0), axis=0)
    return x * np.sign(x[first, np.arange(x.shape[1])])


@by_paper("galore", "Zhao et al. 2024, algorithm 2, with the signs of the program's basis")
def galore(w, g, s, lr, t, *, rank, every, beta1, beta2, eps, scale, weight_decay):
    w_decayed = (1 - lr * weight_decay) * w
    if g.ndim < 2:
        return w_decayed - lr * scale * adam(s, g, t, beta1, beta2, eps)
    x = matrix(g)
    if x.shape[0] < x.shape[1]:
        x = x.T
    if (t - 1) % every == 0:
        s["p"] = with_sign(np.linalg.svd(x)[0][:, : int(min(rank, *x.shape))])
    direction = s["p"] @ adam(s, s["p"].T @ x, t, beta1, beta2, eps)
    direction = direction if matrix(g).shape == x.shape else direction.T
    return w_decayed - lr * scale * direction.reshape(w.shape)


by_optax(
    "galore",
    "optax.contrib.galore of flattened kernels",
    lambda lr, rank, every, beta1, beta2, eps, scale, weight_decay: on_matrices(
        optax.contrib.galore(
            lr,
            int(rank),
            int(every),
            scale,
            optax.scale_by_adam(beta1, beta2, eps),
            weight_decay=weight_decay,
        )
    ),
    float64=1e-6,
    why="optax decomposes in float32",
)
# Adam's moments are those of the old basis, so that a refresh makes the signs matter, and those of
# optax are any.
restrict("galore", "optax.contrib.galore of flattened kernels", lambda t, leaf: t <= 50)


@by_paper("centralized_sgd", "Yong et al. 2020, algorithm 1")
def centralized_sgd(w, g, s, lr, t, *, momentum):
    if g.ndim > 1:
        g = g - g.mean(tuple(range(g.ndim - 1)))
    return w - lr * average(s, "m", g, momentum)


@by_paper("psgd_kron", "Li 2025, github.com/lixilinx/psgd_torch, dQ = QE, with Frobenius norms")
def psgd_kron(w, g, s, lr, t, *, whitening_rate, momentum):
    x = matrix(g) if g.ndim > 1 else g.reshape(-1, 1)
    sides = (0, 1) if g.ndim > 1 else (0,)
    scale = np.mean(x**4) ** (-1 / 8 / len(sides)) if x.any() else 1.0
    q = s.setdefault("q", [scale * np.eye(x.shape[side]) for side in sides])
    white = q[0].T @ q[0] @ x @ (q[1].T @ q[1] if g.ndim > 1 else np.eye(1))
    most = s.setdefault("most", [0.0, 0.0])
    for side in sides:
        seen = np.tensordot(white, white, ((1 - side,), (1 - side,)))
        if g.ndim < 2:
            seen = np.diag(np.diag(seen))  # a diagonal factor
        expected = x.size / x.shape[side]
        curvature = np.linalg.norm(seen, "fro" if g.ndim > 1 else 2) + expected
        most[side] = max(0.9 * most[side] + 0.1 * curvature, curvature)
        q[side] = q[side] - whitening_rate / most[side] * (q[side] @ seen - expected * q[side])
    beta = min((t - 1) / t, momentum)
    s["m"] = beta * s.get("m", 0.0) + (1 - beta) * white.reshape(g.shape)
    return w - lr * s["m"]


def limited(s, x, eps, growth):
    """The limit on growth of the authors of Fira, which those of APOLLO took over."""
    size = np.linalg.norm(x)
    limit = max(size / (s["size"] + eps), growth) / growth if "size" in s else 1.0
    s["size"] = size / limit
    return x / limit


def along_columns(s, small, t, beta1, beta2, eps):
    """Adam's direction, and how much longer it is than what it is of, column by column."""
    direction = adam(s, small, t, beta1, beta2, eps)
    return direction, fraction(np.linalg.norm(direction, axis=0), np.linalg.norm(small, axis=0))


@by_paper("apollo", "Zhu et al. 2024, algorithm 1 and the authors' code, on rows")
def apollo(w, g, s, lr, t, *, noise, rank, every, beta1, beta2, eps, scale, growth, weight_decay):
    w_decayed = (1 - lr * weight_decay) * w
    if g.ndim < 2:
        return w_decayed - lr * adam(s, g, t, beta1, beta2, eps)
    if (t - 1) % every == 0:
        s["p"] = matrix(noise)[:, : int(rank)].T / np.sqrt(rank)
    factor = along_columns(s, s["p"] @ matrix(g), t, beta1, beta2, eps)[1]
    return w_decayed - lr * scale * limited(s, matrix(g) * factor, eps, growth).reshape(w.shape)


@by_paper("fira", "Chen et al. 2024, algorithm 1 and the authors' code, by singular values")
def fira(w, g, s, lr, t, *, rank, every, beta1, beta2, eps, scale, growth, weight_decay):
    w_decayed = (1 - lr * weight_decay) * w
    if g.ndim < 2:
        return w_decayed - lr * adam(s, g, t, beta1, beta2, eps)
    x = matrix(g)
    if (t - 1) % every == 0:
        s["p"] = with_sign(np.linalg.svd(x)[0][:, : int(rank)])
    small = s["p"].T @ x
    direction, factor = along_columns(s, small, t, beta1, beta2, eps)
    step = s["p"] @ direction + limited(s, factor * (x - s["p"] @ small), eps, growth)
    return w_decayed - lr * scale * step.reshape(w.shape)


@by_paper("dion", "Ahn et al. 2025, algorithm 1, by Gram and Schmidt")
def dion(w, g, s, lr, t, *, rank, momentum, weight_decay, others_rate, beta1, beta2):
    if g.ndim < 2:
        rate, m = lr * others_rate, s.get("m", 0.0)
        s["m"] = beta2 * m + (1 - beta2) * g
        return (1 - rate * weight_decay) * w - rate * np.sign(beta1 * m + (1 - beta1) * g)
    x = matrix(g)
    b = s.get("m", 0.0) + x
    columns = []
    for column in (b @ s.get("q", np.eye(x.shape[1])[:, : int(rank)])).T:
        for _ in range(2):  # once more, for accuracy
            for p in columns:
                column = column - (p @ column) * p
        columns.append(column / np.linalg.norm(column))
    p = np.array(columns).T
    r = b.T @ p
    s["m"] = b - (1 - momentum) * p @ r.T
    s["q"] = r / np.linalg.norm(r, axis=0)
    step = np.sqrt(x.shape[1] / x.shape[0]) * p @ s["q"].T
    return (1 - lr * weight_decay) * w - lr * step.reshape(w.shape)
