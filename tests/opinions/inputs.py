"""Opinions on rules that ask for the loss, for noise, for products with a curvature matrix, or that
are evaluated elsewhere than at their parameters; and on the methods of second order and the
averages among them.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
from opinions import harness
from opinions.harness import by_optax, by_paper


def average(s, name, x, decay):
    """An exponential moving average from 0, kept in `s`."""
    s[name] = decay * s.get(name, 0.0) + (1 - decay) * x
    return s[name]


def flat(tree):
    return np.concatenate([np.ravel(tree[k]) for k in harness.TREE])


def unflat(vector):
    """The inverse of `flat`."""
    ends = np.cumsum([int(np.prod(shape)) for shape in harness.TREE.values()])[:-1]
    pieces = np.split(vector, ends)
    return {k: x.reshape(shape) for x, (k, shape) in zip(pieces, harness.TREE.items(), strict=True)}


def on_vectors(product):
    """A product with a matrix, of vectors."""
    return lambda x: flat(product(unflat(x)))


# --- the loss -------------------------------------------------------------------------------------


@by_paper("polyak_sgd", "Loizou et al. 2021, SPS_max", over="model")
def polyak_sgd(x, g, s, lr, t, *, loss, c, f_min):
    gamma = min((loss - f_min) / (c * np.sum(flat(g) ** 2)), lr)
    return {k: x[k] - gamma * g[k] for k in x}


by_optax(
    "polyak_sgd",
    "optax.polyak_sgd",
    lambda lr, c, f_min: optax.inject_hyperparams(optax.polyak_sgd)(
        max_learning_rate=lambda count: lr(count) / c, scaling=c, f_min=f_min
    ),
)
by_optax(
    "momo",
    "optax.contrib.momo",
    lambda lr, beta, lower_bound, tiny: optax.contrib.momo(lr, beta=beta, lower_bound=lower_bound),
)
by_optax(
    "momo_adam",
    "optax.contrib.momo_adam",
    lambda lr, beta1, beta2, eps, lower_bound, tiny: optax.contrib.momo_adam(
        lr, b1=beta1, b2=beta2, eps=eps, lower_bound=lower_bound
    ),
    float32=2e-5,
    why="in float32 optax takes 1 - beta2 as 0.001 in its average and as 0.00100005 in its "
    "correction",
)


@by_paper("momo", "Schaipp et al. 2023, the averages as weighted sums", over="model")
def momo(x, g, s, lr, t, *, loss, beta, lower_bound, tiny):
    s.setdefault("seen", []).append((loss, flat(g), flat(g) @ flat(x)))
    shares = [beta ** (t - 1)] + [(1 - beta) * beta ** (t - j) for j in range(2, t + 1)]
    f, d, gamma = (np.tensordot(shares, np.stack(seen), 1) for seen in zip(*s["seen"], strict=True))
    tau = min(lr, max(f - lower_bound + d @ flat(x) - gamma, 0.0) / (d @ d))
    return unflat(flat(x) - tau * d)


@by_paper("momo_adam", "Schaipp et al. 2023", over="model")
def momo_adam(x, g, s, lr, t, *, loss, beta1, beta2, eps, lower_bound, tiny):
    x, g = flat(x), flat(g)
    d, v = average(s, "d", g, beta1), average(s, "v", g**2, beta2)
    f, gamma = average(s, "f", loss, beta1), average(s, "gamma", g @ x, beta1)
    metric, start = eps + np.sqrt(v / (1 - beta2**t)), 1 - beta1**t
    above = max(f - start * lower_bound + d @ x - gamma, 0.0)
    tau = min(lr / start, above / np.sum(d**2 / metric))
    return unflat(x - tau * d / metric)


by_optax(
    "reduce_on_plateau_sgd",
    "optax.contrib.reduce_on_plateau",
    lambda lr, factor, patience, rtol: optax.chain(
        optax.sgd(lr),
        optax.contrib.reduce_on_plateau(factor=factor, patience=int(patience), rtol=rtol),
    ),
)

# --- noise ----------------------------------------------------------------------------------------


@by_paper("noisy_sgd", "Neelakantan et al. 2015, steps counted from 1")
def noisy_sgd(w, g, s, lr, t, *, noise, eta, gamma):
    return w - lr * (g + np.sqrt(eta) * t ** (-gamma / 2) * noise)


@by_paper(
    "stochastic_rounding_sgd",
    "Gupta et al. 2015, section 3.1, by math.erfc and math.frexp",
    float32=1e-2,
    why="a number at the edge of being rounded up is rounded down in another precision",
)
def stochastic_rounding_sgd(w, g, s, lr, t, *, noise, bits):
    def rounded(x, u):
        unit = 2.0 ** (math.frexp(x)[1] - bits)
        low = math.floor(x / unit)
        return (low + (1.0 - u <= x / unit - low)) * unit

    uniform = np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)))(noise)
    return np.vectorize(rounded)(w - lr * g, uniform)


# --- products with the Hessian: its diagonal ------------------------------------------------------


@by_paper("sophia", "Liu et al. 2023, Algorithm 3", over="model")
def sophia(w, g, s, lr, t, *, noise, hvp, beta1, beta2, gamma, eps, weight_decay, period):
    w, u = flat(w), flat(noise)
    m = average(s, "m", flat(g), beta1)
    if t % period == 1:
        average(s, "h", u * flat(hvp(noise)), beta2)
    w = w - lr * weight_decay * w
    return unflat(w - lr * np.clip(m / np.maximum(gamma * s["h"], eps), -1, 1))


def given_estimates(period):
    """Hutchinson's estimate as a transformation for optax, with the signs that the program is
    given.
    """

    def update(updates, state, params=None):
        now = int(period) * state  # the state counts the calls
        signs = harness.extras(np.float64)["rademacher"]
        signs = jax.tree.map(lambda z, w: jnp.asarray(z, w.dtype)[now], signs, params)
        return jax.tree.map(lambda z, hz: z * hz, signs, harness.hvp(signs)), state + 1

    return optax.GradientTransformation(lambda params: jnp.zeros([], jnp.int32), update)


by_optax(
    "sophia_optax",
    "optax.contrib.sophia",
    lambda lr, beta1, beta2, gamma, eps, weight_decay, period: optax.contrib.sophia(
        lr, b1=beta1, b2=beta2, eps=eps, weight_decay=weight_decay, gamma=gamma, update_interval=int(period),
        hessian_diagonal_fn=given_estimates(period),
    ),
)  # fmt: skip


@by_paper("adahessian", "Yao et al. 2021, Algorithm 1, block size 1", over="model")
def adahessian(w, g, s, lr, t, *, rademacher, hvp, beta1, beta2, hessian_power, eps):
    diagonal = flat(rademacher) * flat(hvp(rademacher))
    m = average(s, "m", flat(g), beta1) / (1 - beta1**t)
    v = average(s, "v", diagonal**2, beta2) / (1 - beta2**t)
    return unflat(flat(w) - lr * m / (np.sqrt(v) ** hessian_power + eps))


# --- products with a matrix: linear systems and lines ---------------------------------------------


def krylov(product, g, steps):
    """The solution of A x = g within the span of g, A g, A² g, ..., which conjugate gradients find
    step by step.

    Where A, seen from the span, is not positive definite, the largest leading part of it that is;
    None where there is none: conjugate gradients stop there.
    """
    basis = [g / np.linalg.norm(g)]
    for _ in range(steps - 1):
        more = product(basis[-1])
        for _ in range(2):  # once leaves rounding in the directions that are there already
            for q in basis:
                more = more - (q @ more) * q
        basis.append(more / np.linalg.norm(more))
    q = np.stack(basis)
    seen = np.stack([q @ product(x) for x in q])
    while len(q) and np.linalg.eigvalsh(seen)[0] <= 0:
        q, seen = q[:-1], seen[:-1, :-1]
    return q.T @ np.linalg.solve(seen, q @ g) if len(q) else None


@by_paper(
    "newton_cg",
    "Nocedal and Wright 2006, Algorithm 7.1, as solutions in Krylov spaces",
    over="model",
    float32=1e-5,
    why="inner steps divide by the curvature of their line, which has fewer digits in float32 "
    "the closer to 0 it is",
)
def newton_cg(w, g, s, lr, t, *, hvp):
    x = krylov(on_vectors(hvp), flat(g), 5)
    return unflat(flat(w) - lr * (flat(g) if x is None else x))


@by_paper(
    "natural_gradient", "Amari 1998 and Martens 2020, as solutions in Krylov spaces", over="model"
)
def natural_gradient(w, g, s, lr, t, *, gnvp, damping):
    x = krylov(lambda x: on_vectors(gnvp)(x) + damping * x, flat(g), 5)
    return unflat(flat(w) - lr * x)


@by_paper(
    "cauchy_gradient_descent",
    "Nocedal and Wright 2006, equation 3.26, curvatures by size",
    over="model",
)
def cauchy_gradient_descent(w, g, s, lr, t, *, hvp):
    w, g = flat(w), flat(g)
    return unflat(w - lr * (g @ g) / abs(g @ on_vectors(hvp)(g)) * g)


@by_paper(
    "conjugate_gradient_quadratic", "Hestenes and Stiefel 1952, curvatures by size", over="model"
)
def conjugate_gradient_quadratic(w, g, s, lr, t, *, hvp):
    r = -flat(g)
    p = r if t == 1 else r + (r @ r) / (s["r"] @ s["r"]) * s["p"]
    s["r"], s["p"] = r, p
    return unflat(flat(w) + lr * (r @ p) / abs(p @ on_vectors(hvp)(p)) * p)


# --- L-BFGS ---------------------------------------------------------------------------------------

by_optax(
    "lbfgs",
    "optax.lbfgs(linesearch=None)",
    lambda lr: optax.lbfgs(lr, memory_size=5, linesearch=None),
)


@by_paper(
    "lbfgs",
    "Liu and Nocedal 1989, with the matrix itself; the first scale of optax",
    over="model",
    float32=1e-4,
    why="on random gradients the steps shrink until w - w_prev has no digit left in float32; "
    "optax loses the same",
)
def lbfgs(w, g, s, lr, t):
    w, g = flat(w), flat(g)
    if t == 1:
        s["pairs"], inverse = [], min(1.0, 1.0 / np.linalg.norm(g)) * np.eye(len(g))
    else:
        s["pairs"] = [*s["pairs"], (w - s["w"], g - s["g"])][-5:]
        step, change = s["pairs"][-1]
        inverse = step @ change / (change @ change) * np.eye(len(g))
        for step, change in s["pairs"]:
            if step @ change:
                v = np.eye(len(g)) - np.outer(change, step) / (step @ change)
                inverse = v.T @ inverse @ v + np.outer(step, step) / (step @ change)
    s["w"], s["g"] = w, g
    return unflat(w - lr * inverse @ g)


# --- averages of the parameters -------------------------------------------------------------------

by_optax(
    "schedule_free_sgd",
    "optax.contrib.schedule_free_sgd",
    lambda lr, beta: optax.contrib.schedule_free_sgd(lr, b1=beta),
    evaluate=optax.contrib.schedule_free_eval_params,
    float32=3e-6,
    why="optax computes x from y and z in each step, which multiplies its rounding by 1 / beta",
)
by_optax(
    "schedule_free_adamw",
    "optax.contrib.schedule_free_adamw",
    lambda lr, beta1, beta2, eps, weight_decay: optax.contrib.schedule_free_adamw(
        lr, b1=beta1, b2=beta2, eps=eps, weight_decay=weight_decay
    ),
    evaluate=optax.contrib.schedule_free_eval_params,
    float32=3e-6,
    why="optax computes x from y and z in each step, which multiplies its rounding by 1 / beta",
)


def schedule_free(y, descent, s, lr, beta):
    """Defazio et al. 2024, with x as the weighted mean of all z that it is."""
    s["z"] = s.get("z", y) - lr * descent
    s["largest"] = max(s.get("largest", 0.0), lr)
    s.setdefault("seen", []).append((s["largest"] ** 2, s["z"]))
    x = sum(weight * z for weight, z in s["seen"]) / sum(weight for weight, _ in s["seen"])
    return (1 - beta) * s["z"] + beta * x, x


@by_paper(
    "schedule_free_sgd", "Defazio et al. 2024, equations 3 to 5, the weights of the authors' code"
)
def schedule_free_sgd(y, g, s, lr, t, *, beta):
    return schedule_free(y, g, s, lr, beta)


@by_paper("schedule_free_adamw", "Defazio et al. 2024, Algorithm 1")
def schedule_free_adamw(y, g, s, lr, t, *, beta1, beta2, eps, weight_decay):
    v = average(s, "v", g**2, beta2)
    return schedule_free(
        y, g / (np.sqrt(v / (1 - beta2**t)) + eps) + weight_decay * y, s, lr, beta1
    )


@by_paper("averaged_sgd", "Polyak and Juditsky 1992")
def averaged_sgd(w, g, s, lr, t):
    w = w - lr * g
    s.setdefault("seen", []).append(w)
    return w, np.mean(s["seen"], axis=0)


# --- a ring of gradients --------------------------------------------------------------------------


@by_paper(
    "adashift",
    "Zhou et al. 2019, max-AdaShift, with Adam's correction",
    float32=3e-6,
    why="1 - 0.999^2 has a relative error of 3e-5 in float32, and the walk is long: 2.6 times "
    "the parameters",
)
def adashift(w, g, s, lr, t, *, beta1, beta2, delay):
    n = int(delay)
    kept = s.setdefault("g", [])
    kept.append(g)
    if t <= n:
        return w
    shares = beta1 ** np.arange(n)
    m = sum(share * x for share, x in zip(shares, reversed(kept[-n:]), strict=True)) / shares.sum()
    v = average(s, "v", np.max(np.abs(kept[-n - 1])) ** 2, beta2) / (1 - beta2 ** (t - n))
    return w - lr * m / np.sqrt(v) if v else w
