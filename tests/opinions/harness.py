"""How a second opinion is stated, and the walk of a hundred steps on which it is compared.

    by_optax("adam", "optax.adam", lambda lr, beta1, beta2, eps: optax.adam(lr, b1=beta1, b2=beta2,
    eps=eps))

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
from kit.compiling import cheap_jit

from primitives.program import Program
from primitives.statements import LEARNING_RATE

STEPS = 100
TREE = {"bias": (5,), "gain": (), "kernel": (3, 3, 2, 4), "matrix": (6, 7)}
SHAPES = 0.5 * (1.0 + np.cos(np.pi * np.arange(STEPS) / STEPS))  # a cosine schedule, peak 1

Tree = dict[str, np.ndarray]
Walk = list[Tree] | dict[int, Tree]
"""Parameters after each step, or after some: {1: after the first, 10: ...}.

A tree may leave leaves out.
"""


@dataclass(frozen=True)
class Opinion:
    """What somebody else says a program does."""

    name: str  # of the program
    # Whose opinion: "optax.adam", "torch.optim.NAdam", "numpy: Bello et al. 2017, section 4.1"
    by: str
    walk: Callable[[Program, Any], Walk]  # of (program, dtype)
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
    assert opinion.why or (opinion.float32, opinion.float64) == (1e-6, 1e-12), (
        f"{opinion.name}: why another bar?"
    )
    OPINIONS[opinion.name, opinion.by] = opinion


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


@cache
def extras(dtype: Any) -> dict[str, Any]:
    """What a task offers beside gradients, at each step: losses [STEPS], and trees of noise stacked
    as [STEPS, ...].
    """
    rng = np.random.default_rng(21)
    losses = 2.3 * np.exp(-np.arange(STEPS) / 40.0) * rng.uniform(0.7, 1.3, STEPS)
    noise = {name: rng.normal(0.0, 1.0, (STEPS, *s)) for name, s in TREE.items()}
    signs = {name: rng.choice([-1.0, 1.0], (STEPS, *s)) for name, s in TREE.items()}
    return jax.tree.map(
        lambda x: np.asarray(x, dtype),
        {
            "loss": losses,
            "noise": noise,
            "rademacher": signs,
            "run_progress": np.arange(STEPS) / STEPS,
        },
    )


@cache
def _curvature() -> tuple[Tree, Tree, Tree]:
    rng = np.random.default_rng(22)
    draws = [
        lambda s: rng.uniform(-0.5, 2.0, s),
        lambda s: rng.uniform(0.0, 2.0, s),
        lambda s: rng.normal(0.0, 0.2, s),
    ]
    return tuple({name: np.asarray(draw(s)) for name, s in TREE.items()} for draw in draws)


def _product(x: Any, diagonal: Tree, u: Tree) -> Any:
    """(D + u uᵀ) x, over the whole tree; of numpy arrays or of jax arrays, in their dtype."""
    along = sum((x[k] * u[k].astype(x[k].dtype)).sum() for k in TREE)
    return {
        k: x[k] * diagonal[k].astype(x[k].dtype) + along * u[k].astype(x[k].dtype) for k in TREE
    }


def hvp(x: Any) -> Any:
    """A Hessian that is the same at every step; it has directions of negative curvature."""
    return _product(x, _curvature()[0], _curvature()[2])


def gnvp(x: Any) -> Any:
    """A Gauss-Newton matrix that is the same at every step."""
    return _product(x, _curvature()[1], _curvature()[2])


def schedule(program: Program) -> Callable:
    """The learning rate of a program for optax."""
    return lambda count: jnp.asarray(SHAPES)[count] * program.learning_rate


def hyperparameters(program: Program) -> dict[str, float]:
    return {k: v for k, v in program.values.items() if k != LEARNING_RATE}


def stack(dtype: Any) -> tuple[Any, Any]:
    start, grads = sequence(dtype)
    return jax.tree.map(jnp.asarray, start), jax.tree.map(
        lambda *g: jnp.asarray(np.stack(g)), *grads
    )


def unstacked(walk: Any) -> list[Tree]:
    walk = jax.device_get(
        walk
    )  # as a whole: a hundred slices of each leaf in jax cost more than the steps
    return [{k: x[t] for k, x in walk.items()} for t in range(STEPS)]


def with_points(w: Tree, points: Tree) -> Tree:
    """Parameters, and beside them those at which the model is evaluated, where a program says
    so.
    """
    return w | {f"{name} evaluated": x for name, x in points.items()}


def by_optax(
    name: str, by: str, make: Callable[..., Any], evaluate: Callable | None = None, **bars: Any
) -> None:
    """An opinion of optax: `make(lr, **hyperparameters of the program)` gives the same optimizer.

    The loss is passed as `value`. evaluate: (state, parameters) -> parameters at which the model is
    evaluated.
    """

    def walk(program: Program, dtype: Any) -> list[Tree]:
        optimizer = optax.with_extra_args_support(
            make(schedule(program), **hyperparameters(program))
        )
        w, grads = stack(dtype)
        asked = inspect.signature(optimizer.update).parameters.values()
        valued = any(p.name == "value" or p.kind is p.VAR_KEYWORD for p in asked)

        def step(carry, now):
            w, kept = carry
            update, kept = optimizer.update(
                now[0], kept, w, **({"value": now[1]} if valued else {})
            )
            w = optax.apply_updates(w, update)
            return (w, kept), w if evaluate is None else with_points(w, evaluate(kept, w))

        losses = jnp.asarray(extras(dtype)["loss"])
        with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer count
            return unstacked(
                cheap_jit(lambda: jax.lax.scan(step, (w, optimizer.init(w)), (grads, losses))[1])()
            )

    state(Opinion(name, by, walk, **bars))


def by_paper(name: str, by: str, over: str = "leaf", **bars: Any) -> Callable:
    """An opinion in float64 numpy: `rule(w, g, s, lr, t, **hyperparameters)` returns the new w.

    over: "leaf": w and g are arrays of one leaf, s a dict that lives with it and is empty at t = 1;
          "model": w and g are dicts of arrays, s one dict.
    lr: the schedule's value at this step. A rule that names `peak` as an argument also gets the
    schedule's peak; so with `loss`, with `noise` and `rademacher` (as w), and over the model with
    `hvp` and `gnvp`, which are functions of a dict of arrays. A rule may return (w, the point at
    which the model is evaluated).
    """

    def enter(rule: Callable) -> Callable:
        names = inspect.signature(rule).parameters

        def walk(program: Program, dtype: Any) -> list[Tree]:
            start, grads = sequence(dtype)
            offered = extras(dtype)
            more = hyperparameters(program)
            more |= {
                k: v
                for k, v in {"peak": program.learning_rate, "hvp": hvp, "gnvp": gnvp}.items()
                if k in names
            }
            w = {k: np.float64(x) for k, x in start.items()}
            kept: dict[str, Any] = {k: {} for k in w} if over == "leaf" else {}
            walked = []
            for t, g in enumerate(grads, 1):
                g = {k: np.float64(x) for k, x in g.items()}
                lr = SHAPES[t - 1] * program.learning_rate
                now = jax.tree.map(lambda x, t=t: np.float64(x[t - 1]), offered)
                given = more | {k: now[k] for k in now if k in names}
                with np.errstate(all="raise", under="ignore"):
                    if over == "leaf":
                        found = {
                            k: rule(w[k], g[k], kept[k], lr, t, **_of_leaf(given, k)) for k in w
                        }
                        after = {k: x[0] if isinstance(x, tuple) else x for k, x in found.items()}
                        points = {k: x[1] for k, x in found.items() if isinstance(x, tuple)}
                    else:
                        found = rule(w, g, kept, lr, t, **given)
                        after, points = found if isinstance(found, tuple) else (found, {})
                w = after
                walked.append({k: np.asarray(x) for k, x in with_points(w, points).items()})
            return walked

        state(Opinion(name, f"numpy: {by}", walk, **bars))
        return rule

    return enter


def _of_leaf(given: dict[str, Any], leaf: str) -> dict[str, Any]:
    return {k: v[leaf] if k in ("noise", "rademacher") else v for k, v in given.items()}


def furthest(one: list[Tree], other: Walk) -> float:
    """Largest relative distance of a leaf at any step that the other states.

    The distance is the norm of the difference over the norm of the parameters.
    """
    if isinstance(other, list):
        assert len(one) == len(other)
        other = dict(enumerate(other, 1))
    assert other, "the opinion states no step"
    assert all(other.values()), "the opinion states no leaf at a step"
    worst = 0.0
    for t, b in other.items():
        a = one[t - 1]
        for name in b:
            x, y = np.float64(a[name]).ravel(), np.float64(b[name]).ravel()
            assert np.isfinite(y).all(), f"the opinion diverges at {name}"
            assert np.isfinite(x).all(), f"the program diverges at {name}"
            worst = max(worst, np.linalg.norm(x - y) / np.linalg.norm(y))
    return float(worst)
