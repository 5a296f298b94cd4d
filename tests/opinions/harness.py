"""How a second opinion is stated, and the walk of a hundred steps on which it is compared.

    by_optax("adam", "optax.adam", lambda lr, beta1, beta2, eps: optax.adam(lr, b1=beta1, b2=beta2, eps=eps))

    @by_paper("powersign", "Bello et al. 2017, section 4.1")
    def powersign(w, g, s, lr, t, *, beta, base):
        s["m"] = (1 - beta) * g + beta * s.get("m", 0.0)
        return w - lr * base ** (np.sign(g) * np.sign(s["m"])) * g

A rule of a paper is written from the paper, not from our program: it is a second opinion.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from primitives.program import LEARNING_RATE, Program

STEPS = 100
TREE = {"bias": (5,), "gain": (), "kernel": (3, 3, 2, 4), "matrix": (6, 7)}
SHAPES = 0.5 * (1.0 + np.cos(np.pi * np.arange(STEPS) / STEPS))  # a cosine schedule, peak 1

Tree = dict[str, np.ndarray]


@dataclass(frozen=True)
class Opinion:
    """What somebody else says a program does."""

    name: str  # of the program
    by: str  # whose opinion: "optax.adam", "torch.optim.NAdam", "numpy: Bello et al. 2017, section 4.1"
    walk: Callable[[Program, Any], list[Tree]]  # (program, dtype) -> parameters after each step
    float32: float = 1e-6  # bars of DESIGN.md §15, relative to the norm of the parameters of a leaf
    float64: float = 1e-12
    why: str = ""  # why a bar is wider

    def bar(self, dtype: Any) -> float:
        return self.float32 if dtype == np.float32 else self.float64


OPINIONS: dict[tuple[str, str], Opinion] = {}
"""By program and author; a program may have several."""


def state(opinion: Opinion) -> None:
    """Enter an opinion."""
    assert (opinion.name, opinion.by) not in OPINIONS, f"the same opinion on {opinion.name} twice"
    OPINIONS[opinion.name, opinion.by] = opinion
    assert opinion.why or (opinion.float32, opinion.float64) == (1e-6, 1e-12), f"{opinion.name}: why another bar?"
    OPINIONS[opinion.name] = opinion


@cache
def sequence(dtype: Any) -> tuple[Tree, list[Tree]]:
    """Parameters at the start, and gradients of 100 steps over four decades; some are exactly 0.

    The parameters stay away from 0, where a relative error would measure the closeness to 0.
    """
    rng = np.random.default_rng(20)
    size = 10.0 ** rng.uniform(-4, 0, STEPS)
    start = {
        name: np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(1.0, 2.0, shape), dtype)
        for name, shape in TREE.items()
    }
    grads = [
        {
            name: np.asarray(size[t] * rng.normal(0.0, 1.0, s) * (rng.uniform(size=s) > 0.1), dtype)
            for name, s in TREE.items()
        }
        for t in range(STEPS)
    ]
    return start, grads


def schedule(program: Program) -> Callable:
    """The learning rate of a program for optax."""
    return lambda count: jnp.asarray(SHAPES)[count] * program.learning_rate


def hyperparameters(program: Program) -> dict[str, float]:
    return {k: v for k, v in program.values.items() if k != LEARNING_RATE}


def stack(dtype: Any) -> tuple[Any, Any]:
    start, grads = sequence(dtype)
    return jax.tree.map(jnp.asarray, start), jax.tree.map(lambda *g: jnp.stack(g), *grads)


def unstacked(walk: Any) -> list[Tree]:
    return [{k: np.asarray(x[t]) for k, x in walk.items()} for t in range(STEPS)]


def by_optax(name: str, by: str, make: Callable[..., Any], **bars: Any) -> None:
    """An opinion of optax: `make(lr, **hyperparameters of the program)` gives the same optimizer."""

    def walk(program: Program, dtype: Any) -> list[Tree]:
        optimizer = optax.with_extra_args_support(make(schedule(program), **hyperparameters(program)))
        w, grads = stack(dtype)

        def step(carry, g):
            w, kept = carry
            update, kept = optimizer.update(g, kept, w)
            w = optax.apply_updates(w, update)
            return (w, kept), w

        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
            return unstacked(jax.jit(lambda: jax.lax.scan(step, (w, optimizer.init(w)), grads)[1])())

    state(Opinion(name, by, walk, **bars))


def by_paper(name: str, by: str, over: str = "leaf", **bars: Any) -> Callable:
    """An opinion in float64 numpy: `rule(w, g, s, lr, t, **hyperparameters)` returns the new w.

    over: "leaf": w and g are arrays of one leaf, s a dict that lives with it and is empty at t = 1;
          "model": w and g are dicts of arrays, s one dict.
    lr: the schedule's value at this step. A rule that takes `peak` also gets the schedule's peak.
    """

    def enter(rule: Callable) -> Callable:
        def walk(program: Program, dtype: Any) -> list[Tree]:
            start, grads = sequence(dtype)
            more = hyperparameters(program)
            if "peak" in inspect.signature(rule).parameters:
                more["peak"] = program.learning_rate
            w = {k: np.float64(x) for k, x in start.items()}
            kept: dict[str, Any] = {k: {} for k in w} if over == "leaf" else {}
            walked = []
            for t, g in enumerate(grads, 1):
                g = {k: np.float64(x) for k, x in g.items()}
                lr = SHAPES[t - 1] * program.learning_rate
                with np.errstate(all="raise", under="ignore"):
                    if over == "leaf":
                        w = {k: rule(w[k], g[k], kept[k], lr, t, **more) for k in w}
                    else:
                        w = rule(w, g, kept, lr, t, **more)
                walked.append({k: np.asarray(x) for k, x in w.items()})
            return walked

        state(Opinion(name, f"numpy: {by}", walk, **bars))
        return rule

    return enter


def furthest(one: list[Tree], other: list[Tree]) -> float:
    """Largest relative distance of a leaf at any step: norm of the difference over norm of the parameters."""
    worst = 0.0
    for a, b in zip(one, other, strict=True):
        for name in b:
            x, y = np.float64(a[name]).ravel(), np.float64(b[name]).ravel()
            assert np.isfinite(y).all(), f"the opinion diverges at {name}"
            assert np.isfinite(x).all(), f"the program diverges at {name}"
            worst = max(worst, np.linalg.norm(x - y) / np.linalg.norm(y))
    return float(worst)
