"""What a handwritten optimizer is: documentation, hyperparameters, and a rule that steps."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from baselines.handwritten.objective import Objective
from primitives import Hyperparameter, ProgramError
from primitives.statements import LEARNING_RATE, Tunable

State = Any


class Rule(NamedTuple):
    """An optimizer with its values set.

    Pure functions, traced inside a compiled loop; inner loops are bounded.
    """

    init: Callable[[jax.Array, Objective], State]
    step: Callable[[jax.Array, State, Objective, jax.Array], tuple[jax.Array, State]]
    # Number of parameters -> the most that a step costs, as `Handwritten.evaluations` counts.
    evaluations: Callable[[int], int]


@dataclass(frozen=True)
class Handwritten(Tunable):
    """An optimizer in Python behind the interface that all share.

    `lr` is the schedule's value at this step (peak times shape). It caps the step: the factor in
    front of the direction for line searches and damped steps, the radius for a trust region. A
    method that finds its own step length is thereby itself at a constant schedule, and still comes
    to rest under a decaying one.
    """

    name: str
    doc: str
    hyperparameters: tuple[Hyperparameter, ...]
    make: Callable[..., Rule]
    missing: str = ""  # why it cannot be used here

    def init(self, w: jax.Array, objective: Objective) -> State:
        """Return the state before the first step.

        Raises `ProgramError` where `w` is too long, or something is missing.
        """
        return self.rule.init(w, objective)

    def step(
        self, w: jax.Array, state: State, objective: Objective, lr: jax.Array
    ) -> tuple[jax.Array, State]:
        """Take one step on one batch.

        What comes out has the types of what went in, so it can be carried in a loop.
        """
        # libraries mix dtypes freely (a Python float with a float64, an int with a float)
        with jax.numpy_dtype_promotion("standard"):
            after = self.rule.step(w, state, objective, lr)
        return jax.tree.map(
            lambda new, old: jnp.asarray(new, jnp.result_type(old)), after, (w, state)
        )

    def evaluations(self, n: int) -> int:
        """Return the most that a step on n parameters costs, in gradients.

        A value, a gradient and both together count 1 each; a Hessian or Gauss-Newton product counts
        2.
        """
        return self.rule.evaluations(n)

    @cached_property
    def rule(self) -> Rule:
        """Make the optimizer with its values set; `ProgramError` where it cannot be used here."""
        if self.missing:
            raise ProgramError(f"{self.name} cannot be used here: {self.missing}")
        return self.make(
            **{name: value for name, value in self.values.items() if name != LEARNING_RATE}
        )


HANDWRITTEN: dict[str, Handwritten] = {}


def tunable(
    value: float, low: float, high: float, scale: str = "log"
) -> tuple[float, float, float, str]:
    """State a default, and the range in which tuning looks for it."""
    return value, low, high, scale


def handwritten(
    *,
    needs: str = "",
    missing: str = "",
    **hyperparameters: float | tuple[float, float, float, str],
) -> Callable[[Callable[..., Rule]], Callable[..., Rule]]:
    """Enter a function of hyperparameters that makes a `Rule`, under its own name and docstring.

    `needs` names a library that is no requirement of this package, `missing` says why nobody can
    use the entry.
    """
    if needs and importlib.util.find_spec(needs) is None:
        missing = f"it needs {needs}, which is not installed: pip install {needs}."

    def enter(make: Callable[..., Rule]) -> Callable[..., Rule]:
        name = make.__name__
        listed = tuple(
            Hyperparameter(key, *given)
            if isinstance(given, tuple)
            else Hyperparameter(key, float(given))
            for key, given in hyperparameters.items()
        )
        assert name not in HANDWRITTEN, f"two entries are called {name}"
        HANDWRITTEN[name] = Handwritten(name, inspect.getdoc(make) or "", listed, make, missing)
        return make

    return enter


def check_size(name: str, n: int, most: int) -> None:
    """Refuse what would fill the memory: a matrix of n by n."""
    if n > most:
        raise ProgramError(
            f"{name} keeps a matrix of all pairs of parameters: {n:,} parameters are too many, "
            f"the most is {most:,}",
            hint="Use a smaller task, or lbfgs_zoom or trust_region_newton_cg, which keep "
            "vectors only.",
        )
