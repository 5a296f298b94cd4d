"""Opinions on layerwise, optimistic, sign-adaptive and parameter-free rules; most are those of
`optax.contrib`.
"""

from __future__ import annotations

import warnings

import numpy as np
import optax
from opinions.harness import by_optax, by_paper

# --- optimistic -----------------------------------------------------------------------------------

by_optax(
    "optimistic_gradient_descent",
    "optax.optimistic_gradient_descent",
    optax.optimistic_gradient_descent,
)


@by_paper(
    "optimistic_adam",
    "Daskalakis et al. 2018, Algorithm 1; the direction before the first step is 0",
)
def optimistic_adam(w, g, s, lr, t, *, beta1, beta2, eps):
    s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * g**2
    now = (s["m"] / (1 - beta1**t)) / (np.sqrt(s["v"] / (1 - beta2**t)) + eps)
    before, s["before"] = s.get("before", 0.0), now
    return w - 2 * lr * now + lr * before


def deprecated_optimistic_adam(lr, optimism, beta1, beta2, eps):
    """optax.optimistic_adam takes no schedule, so the rate is injected anew in each step."""

    def make(learning_rate):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return optax.optimistic_adam(learning_rate, optimism, beta1, beta2, eps)

    return optax.inject_hyperparams(make)(learning_rate=lr)


by_optax("optimistic_adam_optax", "optax.optimistic_adam", deprecated_optimistic_adam)
by_optax(
    "optimistic_adam_v2",
    "optax.optimistic_adam_v2",
    lambda lr, alpha, beta, beta1, beta2, eps: optax.optimistic_adam_v2(
        lr, alpha=alpha, beta=beta, b1=beta1, b2=beta2, eps=eps
    ),
)

# --- step lengths of single coordinates -----------------------------------------------------------


@by_paper("rprop", "iRprop- of Igel and Huesken 2000, with torch's bounds")
def rprop(w, g, s, lr, t, *, eta_minus, eta_plus, min_step_size, max_step_size):
    turned = np.sign(g * s.get("g", 0.0))
    factor = np.choose((turned + 1).astype(int), [eta_minus, 1.0, eta_plus])
    s["length"] = np.clip(s.get("length", lr) * factor, min_step_size, max_step_size)
    s["g"] = np.where(turned < 0, 0.0, g)
    return w - np.sign(s["g"]) * s["length"]


by_optax("rprop_optax", "optax.rprop", lambda lr, **constants: optax.rprop(lr(0), **constants))

# --- layerwise ------------------------------------------------------------------------------------


@by_paper("lars", "You, Gitman and Ginsburg 2017, Algorithm 1; the ratio is 1 where a norm is 0")
def lars(w, g, s, lr, t, *, momentum, trust_coefficient, weight_decay):
    of_w, of_g = np.sqrt(np.sum(w**2)), np.sqrt(np.sum(g**2))
    local = (
        trust_coefficient * of_w / (of_g + weight_decay * of_w) if of_w > 0 and of_g > 0 else 1.0
    )
    s["v"] = momentum * s.get("v", 0.0) + lr * local * (g + weight_decay * w)
    return w - s["v"]


by_optax("lars_optax", "optax.lars", optax.lars)
by_optax(
    "lamb",
    "optax.lamb",
    lambda lr, beta1, beta2, eps, weight_decay: optax.lamb(
        lr, b1=beta1, b2=beta2, eps=eps, weight_decay=weight_decay
    ),
)


@by_paper("fromage", "Bernstein et al. 2020, Algorithm 1; a norm is at least min_norm")
def fromage(w, g, s, lr, t, *, min_norm):
    of_w, of_g = (max(np.sqrt(np.sum(x**2)), min_norm) for x in (w, g))
    return (w - lr * of_w / of_g * g) / np.sqrt(1 + lr**2)


by_optax(
    "fromage",
    "optax.fromage",
    optax.fromage,
    float32=1e-5,
    why="optax takes 1 / sqrt(1 + lr^2) - 1 as a difference: 6e-8 of rounding a step, the same "
    "way each time",
)
by_optax(
    "novograd",
    "optax.novograd",
    lambda lr, beta1, beta2, eps, weight_decay: optax.novograd(
        lr, b1=beta1, b2=beta2, eps=eps, weight_decay=weight_decay
    ),
)


@by_paper("normalized_sgd", "Hazan, Levy and Shalev-Shwartz 2015, Algorithm 1", over="model")
def normalized_sgd(w, g, s, lr, t):
    length = np.sqrt(sum(np.sum(leaf**2) for leaf in g.values()))
    return {k: w[k] - lr * g[k] / length for k in w}


by_optax(
    "normalized_sgd",
    "optax.contrib.normalize",
    lambda lr: optax.chain(optax.contrib.normalize(), optax.sgd(lr)),
)

# --- adaptive -------------------------------------------------------------------------------------


FIRST_ZERO = (
    "where the first gradient is 0, eps / (1 - beta2^t) is the denominator, with four digits in "
    "float32"
)


@by_paper(
    "acprop",
    "Zhuang et al. 2021, Algorithm 2, corrected as in the authors' code",
    float32=1e-5,
    why=FIRST_ZERO,
)
def acprop(w, g, s, lr, t, *, beta1, beta2, eps, eps_root):
    root = np.sqrt(s["s"] / (1 - beta2 ** (t - 1))) if t > 1 else 1.0
    s["m"] = beta1 * s.get("m", 0.0) + (1 - beta1) * g
    s["s"] = beta2 * s.get("s", 0.0) + (1 - beta2) * (g - s["m"]) ** 2 + eps_root
    return w - lr * g / (root + eps)


by_optax(
    "acprop_optax",
    "optax.contrib.acprop",
    lambda lr, beta1, beta2, eps, eps_root: optax.contrib.acprop(
        lr, b1=beta1, b2=beta2, eps=eps, eps_root=eps_root
    ),
    float32=1e-5,
    why=FIRST_ZERO,
)
by_optax(
    "ademamix",
    "optax.contrib.ademamix",
    lambda lr, beta1, beta2, beta3, alpha, eps, weight_decay: optax.contrib.ademamix(
        lr, b1=beta1, b2=beta2, b3=beta3, alpha=alpha, eps=eps, weight_decay=weight_decay
    ),
)


@by_paper(
    "ademamix_warmup",
    "Pagliardini, Ablin and Grangier 2024, Algorithm 1, schedules of alpha and beta3",
)
def ademamix_warmup(w, g, s, lr, t, *, beta1, beta2, beta3, alpha, warmup, eps, weight_decay):
    now = min(t / warmup, 1.0) * alpha
    start, end = np.log(beta1), np.log(beta3)
    slow = min(np.exp(start * end / ((1 - t / warmup) * end + t / warmup * start)), beta3)
    s["m1"] = beta1 * s.get("m1", 0.0) + (1 - beta1) * g
    s["m2"] = slow * s.get("m2", 0.0) + (1 - slow) * g
    s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * g**2
    m1, v = s["m1"] / (1 - beta1**t), s["v"] / (1 - beta2**t)
    return w - lr * ((m1 + now * s["m2"]) / (np.sqrt(v) + eps) + weight_decay * w)


by_optax(
    "simplified_ademamix",
    "optax.contrib.simplified_ademamix",
    lambda lr, beta1, beta2, alpha, eps, weight_decay: optax.contrib.simplified_ademamix(
        lr, b1=beta1, b2=beta2, alpha=alpha, eps=eps, weight_decay=weight_decay
    ),
)
by_optax(
    "adopt",
    "optax.contrib.adopt",
    lambda lr, beta1, beta2, eps: optax.contrib.adopt(lr, b1=beta1, b2=beta2, eps=eps),
)


@by_paper("madgrad", "Defazio and Jelassi 2021, Algorithm 1, eps as in the authors' code")
def madgrad(w, g, s, lr, t, *, momentum, eps):
    x0, weight = s.setdefault("x0", w), (lr + eps) * np.sqrt(t)
    s["sum"] = s.get("sum", 0.0) + weight * g
    s["nu"] = s.get("nu", 0.0) + weight * g**2
    z = x0 - s["sum"] / (np.cbrt(s["nu"]) + eps)
    return momentum * w + (1 - momentum) * z


by_optax(
    "madgrad",
    "optax.contrib.madgrad",
    optax.contrib.madgrad,
    float64=1e-7,
    why="optax takes the root of its whole-number count in float32",
)

# --- parameter free -------------------------------------------------------------------------------

by_optax("cocob", "optax.contrib.cocob", optax.contrib.cocob)
by_optax(
    "dog",
    "optax.contrib.dog",
    lambda lr, r_eps, eps: optax.contrib.dog(lr, ("heuristic", r_eps), eps),
)
by_optax(
    "dowg", "optax.contrib.dowg", lambda lr, distance2, eps: optax.contrib.dowg(lr, distance2, eps)
)


@by_paper("dadapt_adam", "Defazio and Mishchenko 2023, D-Adapt Adam", over="model")
def dadapt_adam(w, g, s, lr, t, *, beta1, beta2, d0, eps):
    root2 = np.sqrt(beta2)
    d = s.get("d", d0)
    m, v, sums = (s.get(x, dict.fromkeys(w, 0.0)) for x in ("m", "v", "sums"))
    s["m"] = {k: beta1 * m[k] + (1 - beta1) * d * lr * g[k] for k in w}
    s["v"] = {k: beta2 * v[k] + (1 - beta2) * g[k] ** 2 for k in w}
    a = {k: np.sqrt(s["v"][k]) + eps for k in w}
    inner = sum(np.sum(g[k] * sums[k] / a[k]) for k in w)
    s["r"] = root2 * s.get("r", 0.0) + (1 - root2) * d * lr * inner
    s["sums"] = {k: root2 * sums[k] + (1 - root2) * d * lr * g[k] for k in w}
    s["d"] = max(d, s["r"] / ((1 - root2) * sum(np.sum(np.abs(x)) for x in s["sums"].values())))
    return {k: w[k] - s["m"][k] / a[k] for k in w}


by_optax(
    "dadapt_adamw",
    "optax.contrib.dadapt_adamw",
    lambda lr, beta1, beta2, d0, eps, weight_decay: optax.contrib.dadapt_adamw(
        lr, betas=(beta1, beta2), estim_lr0=d0, eps=eps, weight_decay=weight_decay
    ),
)


@by_paper("prodigy", "Mishchenko and Defazio 2023, Prodigy for Adam", over="model")
def prodigy(w, g, s, lr, t, *, beta1, beta2, d0, eps):
    root2 = np.sqrt(beta2)
    d, x0 = s.get("d", d0), s.setdefault("x0", w)
    m, v, sums = (s.get(x, dict.fromkeys(w, 0.0)) for x in ("m", "v", "sums"))
    s["m"] = {k: beta1 * m[k] + (1 - beta1) * d * g[k] for k in w}
    s["v"] = {k: beta2 * v[k] + (1 - beta2) * d**2 * g[k] ** 2 for k in w}
    inner = sum(np.sum(g[k] * (x0[k] - w[k])) for k in w)
    s["r"] = root2 * s.get("r", 0.0) + (1 - root2) * lr * d**2 * inner
    s["sums"] = {k: root2 * sums[k] + (1 - root2) * lr * d**2 * g[k] for k in w}
    s["d"] = max(d, s["r"] / sum(np.sum(np.abs(x)) for x in s["sums"].values()))
    return {k: w[k] - lr * d * s["m"][k] / (np.sqrt(s["v"][k]) + d * eps) for k in w}


by_optax(
    "prodigy_optax",
    "optax.contrib.prodigy",
    lambda lr, beta1, beta2, d0, eps, weight_decay: optax.contrib.prodigy(
        lr, betas=(beta1, beta2), estim_lr0=d0, eps=eps, weight_decay=weight_decay
    ),
)
by_optax(
    "mechanized_sgd",
    "optax.contrib.mechanize",
    lambda lr, s_init, weight_decay, eps: optax.contrib.mechanize(
        optax.sgd(lr), weight_decay=weight_decay, eps=eps, s_init=s_init
    ),
)

# --- two phases -----------------------------------------------------------------------------------

by_optax(
    "sam_sgd",
    "optax.contrib.sam",
    lambda lr, rho: optax.contrib.sam(
        optax.sgd(
            lambda count: lr(2 * count + 1)
        ),  # optax counts descents, which are every second step
        optax.chain(optax.contrib.normalize(), optax.sgd(rho)),
    ),
)
