"""Opinions on the rest of optax's aliases, and on their forms in the papers and in torch."""

from __future__ import annotations

import numpy as np
import optax
from opinions.harness import by_optax, by_paper

ONE_MINUS_BETA2 = {
    "float32": 3e-6,
    "why": "1 - 0.999 has a relative error of 1e-5 in float32, and no correction cancels it",
}


def average(s, name, x, beta):
    """An exponential moving average from 0, kept in `s`."""
    s[name] = beta * s.get(name, 0.0) + (1 - beta) * x
    return s[name]


# --- signs and momentum ---------------------------------------------------------------------------

by_optax("sign_sgd", "optax.sign_sgd", lambda lr: optax.sign_sgd(lr))
by_optax("signum", "optax.signum", lambda lr, beta: optax.signum(lr, beta=beta))


@by_paper("nesterov_convex", "Su, Boyd and Candes 2014, equation 1, with x and y as sequences")
def nesterov_convex(y, g, s, lr, t):
    x_before = s.get("x", y)  # x_0 = y_0
    s["x"] = y - lr * g
    return s["x"] + (t - 1) / (t + 2) * (s["x"] - x_before)


# --- adagrad, adadelta, rmsprop -------------------------------------------------------------------

by_optax("adagrad_optax", "optax.adagrad", lambda lr, eps: optax.adagrad(lr, eps=eps))
by_optax("adadelta", "optax.adadelta", lambda lr, rho, eps: optax.adadelta(lr, rho=rho, eps=eps))
by_optax(
    "adadelta_ascending",
    "optax.adadelta(learning_rate=None)",
    lambda lr, rho, eps: optax.chain(optax.adadelta(rho=rho, eps=eps), optax.scale_by_schedule(lr)),
)


@by_paper("adadelta", "Zeiler 2012, Algorithm 1")
def adadelta(x, g, s, lr, t, *, rho, eps):
    square = average(s, "g2", g**2, rho)
    step = -np.sqrt(s.get("dx2", 0.0) + eps) / np.sqrt(square + eps) * g
    average(s, "dx2", step**2, rho)
    return x + lr * step


by_optax(
    "rmsprop_eps_inside",
    "optax.rmsprop",
    lambda lr, decay, eps: optax.rmsprop(lr, decay=decay, eps=eps),
)
by_optax(
    "rmsprop_centered",
    "optax.rmsprop(centered=True)",
    lambda lr, decay, eps: optax.rmsprop(lr, decay=decay, eps=eps, centered=True),
)
by_optax(
    "rmsprop_momentum_optax",
    "optax.rmsprop(momentum)",
    lambda lr, decay, momentum, eps: optax.rmsprop(lr, decay=decay, eps=eps, momentum=momentum),
)
by_optax(
    "rmsprop_momentum",
    "optax: scale_by_rms, trace, learning rate",
    lambda lr, decay, momentum, eps: optax.chain(
        optax.scale_by_rms(decay=decay, eps=eps, eps_in_sqrt=False),
        optax.trace(momentum),
        optax.scale_by_learning_rate(lr),
    ),
)


@by_paper("rmsprop_momentum", "the rule of torch.optim.RMSprop")
def rmsprop_momentum(w, g, s, lr, t, *, decay, momentum, eps):
    rms = np.sqrt(average(s, "v", g**2, decay))
    s["b"] = momentum * s.get("b", 0.0) + g / (rms + eps)
    return w - lr * s["b"]


# --- nadam ----------------------------------------------------------------------------------------

by_optax(
    "nadam",
    "optax.nadam",
    lambda lr, beta1, beta2, eps: optax.nadam(lr, b1=beta1, b2=beta2, eps=eps),
)
by_optax(
    "nadamw",
    "optax.nadamw",
    lambda lr, beta1, beta2, eps, weight_decay: optax.nadamw(
        lr, b1=beta1, b2=beta2, eps=eps, weight_decay=weight_decay
    ),
)


@by_paper("nadam_scheduled", "the rule of torch.optim.NAdam")
def nadam_scheduled(w, g, s, lr, t, *, beta1, beta2, momentum_decay, eps):
    mu = beta1 * (1 - 0.5 * 0.96 ** (np.arange(1, t + 2) * momentum_decay))  # mu_1 ... mu_{t+1}
    m, v = average(s, "m", g, beta1), average(s, "v", g**2, beta2)
    ahead = mu[-1] * m / (1 - np.prod(mu)) + (1 - mu[-2]) * g / (1 - np.prod(mu[:-1]))
    return w - lr * ahead / (np.sqrt(v / (1 - beta2**t)) + eps)


# --- adamax ---------------------------------------------------------------------------------------

by_optax(
    "adamax_optax",
    "optax.adamax",
    lambda lr, beta1, beta2, eps: optax.adamax(lr, b1=beta1, b2=beta2, eps=eps),
)
by_optax(
    "adamaxw",
    "optax.adamaxw",
    lambda lr, beta1, beta2, eps, weight_decay: optax.adamaxw(
        lr, b1=beta1, b2=beta2, eps=eps, weight_decay=weight_decay
    ),
)


@by_paper("adamax", "Kingma and Ba 2015, Algorithm 2; 0/0 counts as 0")
def adamax(w, g, s, lr, t, *, beta1, beta2):
    m = average(s, "m", g, beta1)
    u = s["u"] = np.maximum(beta2 * s.get("u", np.zeros_like(g)), np.abs(g))
    return w - lr / (1 - beta1**t) * np.divide(m, u, out=np.zeros_like(u), where=u > 0)


# --- amsgrad --------------------------------------------------------------------------------------

by_optax(
    "amsgrad",
    "optax.amsgrad without corrections",
    lambda lr, beta1, beta2, eps: optax.amsgrad(
        lr, b1=beta1, b2=beta2, eps=eps, bias_correction_mu=False, bias_correction_nu=False
    ),
    **ONE_MINUS_BETA2,
)
by_optax(
    "amsgrad_optax",
    "optax.amsgrad",
    lambda lr, beta1, beta2, eps: optax.amsgrad(lr, b1=beta1, b2=beta2, eps=eps),
)


@by_paper("amsgrad", "Reddi et al. 2018, Algorithm 2", **ONE_MINUS_BETA2)
def amsgrad(x, g, s, lr, t, *, beta1, beta2, eps):
    m, v = average(s, "m", g, beta1), average(s, "v", g**2, beta2)
    s["max"] = np.maximum(s.get("max", 0.0), v)
    return x - lr * m / (np.sqrt(s["max"]) + eps)


@by_paper("amsgrad_torch", "the rule of torch.optim.Adam(amsgrad=True)")
def amsgrad_torch(w, g, s, lr, t, *, beta1, beta2, eps):
    m, v = average(s, "m", g, beta1), average(s, "v", g**2, beta2)
    s["max"] = np.maximum(s.get("max", 0.0), v)
    step_size = lr / (1 - beta1**t)
    return w - step_size * m / (np.sqrt(s["max"]) / np.sqrt(1 - beta2**t) + eps)


# --- adabelief, yogi ------------------------------------------------------------------------------

by_optax(
    "adabelief",
    "optax.adabelief, one eps",
    lambda lr, beta1, beta2, eps: optax.adabelief(lr, b1=beta1, b2=beta2, eps=eps, eps_root=eps),
)
by_optax(
    "adabelief_optax",
    "optax.adabelief",
    lambda lr, beta1, beta2, eps, eps_root: optax.adabelief(
        lr, b1=beta1, b2=beta2, eps=eps, eps_root=eps_root
    ),
)


@by_paper("adabelief", "Zhuang et al. 2020, Algorithm 2")
def adabelief(w, g, s, lr, t, *, beta1, beta2, eps):
    m = average(s, "m", g, beta1)
    belief = average(s, "s", (g - m) ** 2, beta2) + eps
    s["s"] = belief
    return w - lr * (m / (1 - beta1**t)) / (np.sqrt(belief / (1 - beta2**t)) + eps)


by_optax(
    "yogi_optax",
    "optax.yogi",
    lambda lr, beta1, beta2, eps: optax.yogi(lr, b1=beta1, b2=beta2, eps=eps),
)


@by_paper("yogi", "Zaheer et al. 2018, Algorithm 2, v from 1e-6", **ONE_MINUS_BETA2)
def yogi(x, g, s, lr, t, *, beta1, beta2, eps):
    m, v = average(s, "m", g, beta1), s.get("v", 1e-6)
    s["v"] = v - (1 - beta2) * np.sign(v - g**2) * g**2
    return x - lr * m / (np.sqrt(s["v"]) + eps)


# --- radam ----------------------------------------------------------------------------------------


def rectifier(t, beta2):
    """rho and r of Liu et al. 2020, Algorithm 2; r is None where its root has no meaning."""
    end = 2 / (1 - beta2) - 1
    rho = end - 2 * t * beta2**t / (1 - beta2**t)
    r = np.sqrt((rho - 4) * (rho - 2) * end / ((end - 4) * (end - 2) * rho)) if rho > 4 else None
    return rho, r


by_optax(
    "radam",
    "optax.radam",
    lambda lr, beta1, beta2, threshold, eps: optax.radam(
        lr, b1=beta1, b2=beta2, eps=eps, threshold=threshold
    ),
    float32=3e-6,
    why="optax takes rho as 1999 minus a number nearly as large: in float32 it is off by 0.04 of 6",
)


@by_paper("radam", "Liu et al. 2020, Algorithm 2, threshold and eps of optax")
def radam(w, g, s, lr, t, *, beta1, beta2, threshold, eps):
    m, v = average(s, "m", g, beta1) / (1 - beta1**t), average(s, "v", g**2, beta2)
    rho, r = rectifier(t, beta2)
    return w - lr * (r * m / (np.sqrt(v / (1 - beta2**t)) + eps) if rho >= threshold else m)


@by_paper("radam_torch", "the rule of torch.optim.RAdam")
def radam_torch(w, g, s, lr, t, *, beta1, beta2, threshold, eps):
    m, v = average(s, "m", g, beta1) / (1 - beta1**t), average(s, "v", g**2, beta2)
    rho, r = rectifier(t, beta2)
    adaptive = np.sqrt(1 - beta2**t) / (np.sqrt(v) + eps)
    return w - (lr * m * adaptive * r if rho > threshold else lr * m)


# --- adan -----------------------------------------------------------------------------------------

by_optax(
    "adan_optax",
    "optax.adan",
    lambda lr, beta1, beta2, beta3, eps, eps_root, weight_decay: optax.adan(
        lr, b1=beta1, b2=beta2, b3=beta3, eps=eps, eps_root=eps_root, weight_decay=weight_decay
    ),
)


@by_paper("adan", "Xie et al. 2022, Algorithm 1 with the corrections of the authors' code")
def adan(w, g, s, lr, t, *, beta1, beta2, beta3, eps, weight_decay):
    change = g - s.get("g", g)
    s["g"] = g
    m, v = average(s, "m", g, beta1), average(s, "v", change, beta2)
    n = average(s, "n", (g + beta2 * change) ** 2, beta3)
    eta = lr / (np.sqrt(n) / np.sqrt(1 - beta3**t) + eps)
    return (w - eta * (m / (1 - beta1**t) + beta2 * v / (1 - beta2**t))) / (1 + lr * weight_decay)
