"""Opinions on optimizers that optax lacks: the rules of their papers or of their authors' code, in
float64 numpy.

A few can be put together from parts of optax; these have that second opinion as well.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from opinions.harness import (
    SHAPES,
    STEPS,
    Opinion,
    by_optax,
    by_paper,
    hyperparameters,
    stack,
    state,
)


def average(s, name, x, decay):
    """Exponential average that starts at 0: the new value."""
    s[name] = decay * s.get(name, np.zeros_like(x)) + (1 - decay) * x
    return s[name]


def corrected(s, name, x, decay, t):
    """The same, as a weighted mean of the values so far."""
    return average(s, name, x, decay) / -np.expm1(t * np.log(decay))


def adam(s, g, t, beta1, beta2, eps):
    """Direction of Adam, algorithm 1."""
    return corrected(s, "m", g, beta1, t) / (np.sqrt(corrected(s, "v", g * g, beta2, t)) + eps)


def fraction(x, y):
    """x / y, 0 where y is 0."""
    x, y = np.broadcast_arrays(np.float64(x), np.float64(y))
    return np.divide(x, y, out=np.zeros(y.shape), where=y != 0)


def logistic(x):
    return 0.5 * (1 + np.tanh(0.5 * x))


def inner(x, y):
    """Inner product of two trees."""
    return sum(float(np.vdot(x[k], y[k])) for k in x)


# --- signs and momenta --------------------------------------------------------------------------


@by_paper("powersign", "Bello et al. 2017, section 4.3")
def powersign(w, g, s, lr, t, *, base, beta):
    agree = np.sign(g * average(s, "m", g, beta))
    factor = np.select([agree > 0, agree < 0], [base, 1 / base], 1.0)
    return w - lr * factor * g


@by_paper("addsign", "Bello et al. 2017, section 4.3")
def addsign(w, g, s, lr, t, *, alpha, beta):
    agree = np.sign(g * average(s, "m", g, beta))
    return w - lr * (alpha * g + agree * g)


@by_paper("tiger", "Su 2023, github.com/bojone/tiger, without the scale of the weights")
def tiger(w, g, s, lr, t, *, beta, weight_decay):
    return (1 - lr * weight_decay) * w - lr * np.sign(average(s, "m", g, beta))


@by_paper("qhm", "Ma and Yarats 2019, equations 3 and 4")
def qhm(w, g, s, lr, t, *, nu, beta):
    return w - lr * (g + nu * (average(s, "m", g, beta) - g))


@by_paper("qhadam", "Ma and Yarats 2019, section 4")
def qhadam(w, g, s, lr, t, *, nu1, nu2, beta1, beta2, eps):
    up = (1 - nu1) * g + nu1 * corrected(s, "m", g, beta1, t)
    down = (1 - nu2) * g**2 + nu2 * corrected(s, "v", g**2, beta2, t)
    return w - lr * up / (np.sqrt(down) + eps)


@by_paper("aggmo", "Lucas et al. 2019, equation 3")
def aggmo(w, g, s, lr, t, *, beta1, beta2):
    damping = np.array([0.0, beta1, beta2]).reshape(-1, *[1] * w.ndim)
    s["v"] = damping * s.get("v", np.zeros((3, *w.shape))) - g
    return w + lr * s["v"].mean(axis=0)


@by_paper("adai", "Xie et al. 2022, algorithm 2 and the authors' code", over="model")
def adai(w, g, s, lr, t, *, beta0, beta2, eps):
    if not s:
        s.update({k: {"m": 0.0 * x, "v": 0.0 * x, "product": 0.0 * x + 1} for k, x in w.items()})
    for k in w:
        s[k]["v"] += (1 - beta2) * (g[k] ** 2 - s[k]["v"])
    second = {k: s[k]["v"] / (1 - beta2**t) for k in w}
    mean = np.concatenate([x.ravel() for x in second.values()]).mean()
    new = {}
    for k in w:
        beta1 = np.clip(1 - beta0 * second[k] / mean, 0, 1 - eps)
        s[k]["m"] = beta1 * s[k]["m"] + (1 - beta1) * g[k]
        s[k]["product"] = s[k]["product"] * beta1
        new[k] = w[k] - lr * s[k]["m"] / (1 - s[k]["product"])
    return new


# --- relatives of Adam --------------------------------------------------------------------------


def bounded(w, g, s, lr, t, amsbound, *, final_ratio, gamma, beta1, beta2, eps, peak):
    final_lr = final_ratio * peak * (lr / peak)  # the code's final_lr · lr / base_lr
    average(s, "m", g, beta1)
    average(s, "v", g * g, beta2)
    s["largest"] = np.maximum(s["v"], s.get("largest", 0.0)) if amsbound else s["v"]
    rate = lr * np.sqrt(1 - beta2**t) / (1 - beta1**t) / (np.sqrt(s["largest"]) + eps)
    return (
        w
        - np.clip(rate, final_lr * (1 - 1 / (gamma * t + 1)), final_lr * (1 + 1 / (gamma * t)))
        * s["m"]
    )


@by_paper("adabound", "Luo et al. 2019, the authors' code")
def adabound(w, g, s, lr, t, *, peak, **more):
    return bounded(w, g, s, lr, t, False, peak=peak, **more)


@by_paper("amsbound", "Luo et al. 2019, the authors' code with amsbound")
def amsbound(w, g, s, lr, t, *, peak, **more):
    return bounded(w, g, s, lr, t, True, peak=peak, **more)


@by_paper("adamod", "Ding et al. 2019, algorithm 1")
def adamod(w, g, s, lr, t, *, beta1, beta2, beta3, eps):
    eta = lr / (np.sqrt(corrected(s, "v", g**2, beta2, t)) + eps)
    return w - np.minimum(eta, average(s, "s", eta, beta3)) * corrected(s, "m", g, beta1, t)


@by_paper("padam", "Chen et al. 2018, algorithm 1; 0/0 counts as 0")
def padam(w, g, s, lr, t, *, partial, beta1, beta2):
    s["top"] = np.maximum(average(s, "v", g**2, beta2), s.get("top", 0.0))
    return w - lr * fraction(average(s, "m", g, beta1), s["top"] ** partial)


@by_paper("diffgrad", "Dubey et al. 2019, equations 5 to 8")
def diffgrad(w, g, s, lr, t, *, beta1, beta2, eps):
    friction = logistic(np.abs(s.get("g", 0.0) - g))
    s["g"] = g
    return w - lr * friction * adam(s, g, t, beta1, beta2, eps)


@by_paper("adamomentum", "Wang et al. 2021, algorithm 1")
def adamomentum(w, g, s, lr, t, *, beta1, beta2, eps):
    m = average(s, "m", g, beta1)
    s["v"] = beta2 * s.get("v", 0.0) + (1 - beta2) * m**2 + eps
    return w - lr * (np.sqrt(1 - beta2**t) / (1 - beta1**t)) * m / np.sqrt(s["v"])


@by_paper("grams", "Cao, Li and Song 2024, algorithm 1")
def grams(w, g, s, lr, t, *, beta1, beta2, eps):
    return w - lr * np.copysign(adam(s, g, t, beta1, beta2, eps), g) * (g != 0)


@by_paper("cautious_adamw", "Liang et al. 2024, the authors' c_adamw.py")
def cautious_adamw(w, g, s, lr, t, *, beta1, beta2, eps, weight_decay):
    u = adam(s, g, t, beta1, beta2, eps)
    mask = np.where(s["m"] * g > 0, 1.0, 0.0)
    mask /= np.clip(mask.mean(), 1e-3, None)
    return w * (1 - lr * weight_decay) - lr * u * mask


@by_paper("cautious_lion", "Liang et al. 2024, the authors' c_lion.py")
def cautious_lion(w, g, s, lr, t, *, beta1, beta2, weight_decay):
    m = s.get("m", np.zeros_like(w))
    u = np.sign(m + (1 - beta1) * (g - m))
    agrees = (u == np.sign(g)) & (g != 0)
    average(s, "m", g, beta2)
    return w * (1 - lr * weight_decay) - lr * np.where(agrees, u, 0) * agrees.size / (
        agrees.sum() + 1
    )


def mars(s, g, gamma, beta1):
    """The corrected gradient, at most of norm 1 per leaf."""
    c = g + gamma * beta1 / (1 - beta1) * (g - s.get("last", np.zeros_like(g)))
    s["last"] = g
    return c / max(1.0, float(np.sqrt(np.sum(c**2))))


@by_paper("mars_adamw", "Yuan et al. 2024, the authors' code, optimize_1d")
def mars_adamw(w, g, s, lr, t, *, gamma, beta1, beta2, eps, weight_decay):
    return w - lr * (adam(s, mars(s, g, gamma, beta1), t, beta1, beta2, eps) + weight_decay * w)


@by_paper("mars_lion", "Yuan et al. 2024, the authors' code, optimize_1d")
def mars_lion(w, g, s, lr, t, *, gamma, beta1, weight_decay):
    return w - lr * (np.sign(average(s, "m", mars(s, g, gamma, beta1), beta1)) + weight_decay * w)


@by_paper("adam_atan2", "Everett et al. 2024, section on epsilon")
def adam_atan2(w, g, s, lr, t, *, beta1, beta2, scale):
    m, v = corrected(s, "m", g, beta1, t), corrected(s, "v", g**2, beta2, t)
    return w - lr * scale * np.arctan(fraction(m, np.sqrt(v)))  # the same in the right half-plane


@by_paper("cautious_decay_adamw", "Chen et al. 2025, algorithm 1 with AdamW")
def cautious_decay_adamw(w, g, s, lr, t, *, beta1, beta2, eps, weight_decay):
    u = adam(s, g, t, beta1, beta2, eps)
    return w - lr * u - lr * weight_decay * np.where(u * w < 0, 0.0, w)


@by_paper("adamc", "Defazio 2025, algorithm 2")
def adamc(w, g, s, lr, t, *, beta1, beta2, eps, decay_ratio, peak):
    decay = decay_ratio * peak  # the paper's lambda, times gamma_t / gamma_max below
    return w - lr * adam(s, g, t, beta1, beta2, eps) - lr * (lr / peak) * decay * w


@by_paper(
    "ftrl_proximal", "McMahan et al. 2013, equation 1: all proximal terms kept and minimised anew"
)
def ftrl_proximal(w, g, s, lr, t, *, beta, lambda1, lambda2):
    """The minimum over x of g_1:t·x + sum_s sigma_s (x - w_s)²/2 + lambda1 |x| + lambda2 x²/2."""
    past = s.setdefault("past", [])
    past.append((g, w))
    root = np.sqrt(sum(g**2 for g, _ in past))
    sums = s.setdefault("inverse rates", [np.zeros_like(w)])
    sums.append((beta + root) / lr)
    sigmas = np.diff(np.stack(sums), axis=0)
    slope = sum(g - sigma * at for (g, at), sigma in zip(past, sigmas, strict=True))
    curvature = sigmas.sum(axis=0) + lambda2
    return (
        np.where(
            slope > lambda1, lambda1 - slope, np.where(slope < -lambda1, -lambda1 - slope, 0.0)
        )
        / curvature
    )


@by_paper(
    "natural_gradient_diagonal", "Amari 1998, with the diagonal of the empirical Fisher matrix"
)
def natural_gradient_diagonal(w, g, s, lr, t, *, decay, damping):
    squares = s.setdefault("squares", [])
    squares.append(g**2)
    weights = decay ** np.arange(t - 1.0, -1.0, -1.0)
    return w - lr * g / (np.average(squares, axis=0, weights=weights) + damping)


@by_paper("eve", "Hayashi, Koushik and Neubig 2016, version 3, algorithm 1")
def eve(w, g, s, lr, t, *, beta1, beta2, beta3, c, eps, f_star, loss):
    if t == 1:
        s["d"] = 1.0
    else:
        change = abs(loss - s["loss"]) / (min(loss, s["loss"]) - f_star)
        s["d"] += (1 - beta3) * (float(np.clip(change, 1 / c, c)) - s["d"])
    s["loss"] = loss
    return w - lr / s["d"] * adam(s, g, t, beta1, beta2, eps)


# --- mirror descent -----------------------------------------------------------------------------


@by_paper("mirror_descent_entropic", "Kivinen and Warmuth 1997, EGU on the sizes")
def mirror_descent_entropic(w, g, s, lr, t):
    side = s.setdefault("side", np.sign(w))
    s["dual"] = s.get("dual", np.log(np.abs(w))) - lr * side * g
    return side * np.exp(s["dual"])


@by_paper("mirror_descent_simplex", "Beck and Teboulle 2003, section 5, on the sizes")
def mirror_descent_simplex(w, g, s, lr, t):
    side, mass = s.setdefault("start", (np.sign(w), np.abs(w).sum()))
    s["dual"] = s.get("dual", np.log(np.abs(w))) - lr * side * g
    softmax = np.exp(s["dual"] - s["dual"].max())
    return side * mass * softmax / softmax.sum()


@by_paper("exponentiated_gradient_pm", "Kivinen and Warmuth 1997, EGU±, both weights kept")
def exponentiated_gradient_pm(w, g, s, lr, t, *, scale):
    if not s:
        dual = np.arcsinh(w / scale)
        s["plus"], s["minus"] = scale / 2 * np.exp(dual), scale / 2 * np.exp(-dual)
    s["plus"] = s["plus"] * np.exp(-lr * g)
    s["minus"] = s["minus"] * np.exp(lr * g)
    return s["plus"] - s["minus"]


@by_paper(
    "mirror_descent_pnorm",
    "Sun et al. 2022, equation 4, the dual weights kept",
    float32=2e-6,
    why="the program maps w to its dual and back at every step; the way back doubles a relative "
    "error at p = 1.5",
)
def mirror_descent_pnorm(w, g, s, lr, t, *, p):
    dual = s.get("dual", np.copysign(np.abs(w) ** (p - 1), w)) - lr * g
    s["dual"] = dual
    return np.copysign(np.abs(dual) ** (1 / (p - 1)), dual)


# --- conjugate gradients and trust region -------------------------------------------------------


def conjugate(name, by, formula, **bars):
    """An opinion on conjugate gradients; `formula(g, last g, last d)` is beta, d the direction of
    descent.
    """

    @by_paper(name, by, over="model", **bars)
    def rule(w, g, s, lr, t):
        beta = formula(g, s["g"], s["d"]) if t > 1 else 0.0
        s["d"] = {k: -g[k] + (beta * s["d"][k] if t > 1 else 0.0) for k in g}
        s["g"] = g
        return {k: w[k] + lr * s["d"][k] for k in w}


def change(g, last):
    return {k: g[k] - last[k] for k in g}


def over_curvature(numerator, d, y):
    return numerator / inner(d, y) if inner(d, y) > 0 else 0.0


conjugate(
    "conjugate_gradient_pr",
    "Gilbert and Nocedal 1992, PR+",
    lambda g, last, d: max(0.0, (inner(g, g) - inner(g, last)) / inner(last, last)),
    float32=2e-5,
    why="g·y cancels 161-fold at step 48 of the walk, which costs two digits of a float32 sum",
)


def fletcher_reeves(g, last, d):
    beta = inner(g, g) / inner(last, last)
    descends = inner(g, {k: -g[k] + beta * d[k] for k in g}) < 0
    return beta if descends else 0.0


conjugate(
    "conjugate_gradient_fr", "Fletcher and Reeves 1964, restart without descent", fletcher_reeves
)
conjugate(
    "conjugate_gradient_hs",
    "Hestenes and Stiefel 1952, beta at least 0, restart without curvature",
    lambda g, last, d: max(0.0, over_curvature(inner(g, change(g, last)), d, change(g, last))),
    float32=5e-5,
    why="d·y cancels 1600-fold at step 64 of the walk, which costs three digits of a float32 sum",
)
conjugate(
    "conjugate_gradient_dy",
    "Dai and Yuan 1999, restart without curvature",
    lambda g, last, d: over_curvature(inner(g, g), d, change(g, last)),
)


@by_paper(
    "trust_region_step",
    "Conn, Gould and Toint 2000: minimum of the linear model in a ball",
    over="model",
)
def trust_region_step(w, g, s, lr, t, *, radius):
    length = lr * np.sqrt(inner(g, g))  # of the gradient step
    shorter = 1.0 if length <= lr * radius else lr * radius / length
    return {k: w[k] - shorter * lr * g[k] for k in w}


by_optax(
    "trust_region_step",
    "optax.chain(clip_by_global_norm, sgd)",
    lambda lr, radius: optax.chain(optax.clip_by_global_norm(radius), optax.sgd(lr)),
)


# --- lookahead ----------------------------------------------------------------------------------


@by_paper("lookahead_sgd", "Zhang et al. 2019, algorithm 1")
def lookahead_sgd(w, g, s, lr, t, *, slow_step, sync_period):
    s.setdefault("slow", w)
    w = w - lr * g
    if t % sync_period == 0:
        w = s["slow"] = s["slow"] + slow_step * (w - s["slow"])
    return w


def lookahead_of_optax(program, dtype):
    """Optax keeps fast and slow weights in one pair; the gradient is that of the fast ones."""
    more = hyperparameters(program)
    rates = jnp.asarray(SHAPES) * program.learning_rate
    inner_optimizer = optax.sgd(lambda count: rates[count])
    optimizer = optax.lookahead(inner_optimizer, int(more["sync_period"]), more["slow_step"])
    start, grads = stack(dtype)
    w = optax.LookaheadParams.init_synced(start)
    kept, walked = optimizer.init(w), []
    with jax.numpy_dtype_promotion("standard"):
        for step in range(STEPS):
            update, kept = optimizer.update(
                jax.tree.map(lambda g, step=step: g[step], grads), kept, w
            )
            w = optax.apply_updates(w, update)
            walked.append({k: np.asarray(x) for k, x in w.fast.items()})
    return walked


state(Opinion("lookahead_sgd", "optax.lookahead(optax.sgd)", lookahead_of_optax))


# --- what looks back at many steps ----------------------------------------------------------------


@by_paper(
    "autoclip_adam",
    "Seetharaman et al. 2020, numpy.percentile of 64 norms, then Adam",
    over="model",
)
def autoclip_adam(w, g, s, lr, t, *, quantile_, beta1, beta2, eps):
    s["norms"] = [*s.get("norms", []), np.sqrt(inner(g, g))][-64:]
    bound = np.percentile(s["norms"], 100 * quantile_)
    scale = min(1.0, bound / s["norms"][-1])
    return {k: w[k] - lr * adam(s.setdefault(k, {}), scale * g[k], t, beta1, beta2, eps) for k in w}


@by_paper("grokfast_ma", "Lee et al. 2024, the authors' gradfilter_ma with warmup=False, then Adam")
def grokfast_ma(w, g, s, lr, t, *, amplitude, beta1, beta2, eps):
    s["past"] = [*s.get("past", []), g][-100:]
    filtered = g + amplitude * np.mean(s["past"], axis=0)
    return w - lr * adam(s, filtered, t, beta1, beta2, eps)


@by_paper("demon_sgd", "Chen et al. 2019, algorithm 1")
def demon_sgd(w, g, s, lr, t, *, momentum):
    left = 1 - (t - 1) / STEPS
    s["m"] = momentum * left / (1 - momentum + momentum * left) * s.get("m", 0.0) + g
    return w - lr * s["m"]
