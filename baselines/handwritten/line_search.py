"""Line searches of optax: how far to go is decided by trying."""

from __future__ import annotations

import math
from typing import Any

import jax
import optax

from baselines.handwritten.entry import Rule, handwritten, tunable
from baselines.handwritten.objective import Objective


@handwritten(
    learning_rate=tunable(1.0, 0.01, 100.0), tries=30, decrease=0.5, increase=1.5, slope=1e-4
)
def gradient_descent_armijo(tries: float, decrease: float, increase: float, slope: float) -> Rule:
    """Gradient descent with a backtracking line search: shrinks the step until the loss falls
    enough.

    Convention: optax 0.2.8. The search starts at `increase` times the last step, capped by lr, and
        asks for Armijo's decrease on this batch. optax takes the last try when none is good enough,
        even uphill: its 0.8 and the 15 tries of its examples end at 0.035 and diverge on
        Rosenbrock's function; here 30 halves do not.
    Family: gradient descent
    Optax: optax.scale_by_backtracking_linesearch
    Why: a program sees the gradient at one point; how often a line search looks elsewhere depends
        on what it finds.
    Opinion: optax's own loop with value_and_grad_from_state's arguments: 1e-10.
    Source: Vaswani et al. 2019, arXiv:1905.09997
    """

    def optimizer(lr: jax.Array | float) -> optax.GradientTransformationExtraArgs:
        search = optax.scale_by_backtracking_linesearch(
            int(tries),
            slope_rtol=slope,
            decrease_factor=decrease,
            increase_factor=increase,
            max_learning_rate=lr,
        )
        return optax.chain(optax.sgd(1.0), search)

    def init(w, objective):
        return optimizer(1.0).init(w)

    def step(w, state, objective, lr):
        return _update(optimizer(lr), w, state, objective, *objective.value_and_gradient(w))

    return Rule(init, step, lambda n: 1 + int(tries) + 1)  # optax tries once more than it is told


@handwritten(learning_rate=tunable(1.0, 0.01, 100.0), memory=10, tries=20)
def lbfgs_zoom(memory: float, tries: float) -> Rule:
    """L-BFGS with a zoom line search: curvature from the last steps, step lengths by the strong
    Wolfe conditions.

    Convention: optax 0.2.8 with its own line search, which starts at 1; lr caps it. optax would
        subtract gradients of two batches; here both ends of a step are seen on its own batch
        (Schraudolph et al. 2007), where the search has made sure of positive curvature. On a single
        batch the steps are those of optax.
    Family: second order
    Optax: optax.lbfgs, optax.scale_by_zoom_linesearch
    Why: the line search asks for values and gradients at points that depend on the answers; its two
        loops are program enough without it.
    Opinion: optax.lbfgs in its recommended loop: 1e-10.
    Source: Liu and Nocedal 1989, doi:10.1007/BF01589116
    """

    def optimizer(lr: jax.Array | float | None) -> optax.GradientTransformationExtraArgs:
        search = optax.scale_by_zoom_linesearch(
            int(tries), max_learning_rate=lr, initial_guess_strategy="one"
        )
        return optax.lbfgs(memory_size=int(memory), linesearch=search)

    def init(w, objective):
        return optimizer(None).init(w)

    def step(w, state, objective, lr):
        history, scaling, search = state
        value, gradient = objective.value_and_gradient(w)
        # optax will subtract `updates` from the gradient; what it is to find is the change on the
        # last batch
        change = search.grad - history.updates
        state = history._replace(updates=gradient - change), scaling, search
        return _update(optimizer(lr), w, state, objective, value, gradient)

    return Rule(init, step, lambda n: 1 + int(tries))


def backtrack(
    objective: Objective,
    w: jax.Array,
    value: jax.Array,
    gradient: jax.Array,
    direction: jax.Array,
    lr: jax.Array,
) -> Any:
    """Return the point that a search along a direction ends at.

    The step goes from lr down by halves, `TRIES` times at most.
    """
    search = optax.scale_by_backtracking_linesearch(
        TRIES - 1, decrease_factor=0.5, increase_factor=math.inf, max_learning_rate=lr
    )
    update, _ = search.update(
        direction, search.init(w), w, value=value, grad=gradient, value_fn=objective.value
    )
    return optax.apply_updates(w, update)


TRIES = 20


def _update(
    optimizer: optax.GradientTransformationExtraArgs,
    w: jax.Array,
    state: Any,
    objective: Objective,
    value: jax.Array,
    gradient: jax.Array,
) -> tuple[Any, Any]:
    update, state = optimizer.update(
        gradient, state, w, value=value, grad=gradient, value_fn=objective.value
    )
    return optax.apply_updates(w, update), state
