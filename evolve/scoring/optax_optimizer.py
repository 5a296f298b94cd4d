"""Optimizers written with Optax, which are scored beside programs.

What a user brings is a factory: a function of hyperparameters that gives an Optax
`GradientTransformation`, such as `optax.adamw`. It is called anew in every step, where JAX traces
it, and gets this step's learning rate (the peak times the value of the schedule) as a number. So a
factory need not know of schedules, and any that takes a learning rate as a number will do.

The other hyperparameters are traced too, so that one compiled loop serves all their values. A
factory that looks at one of them (`if momentum > 0`) is compiled for each value instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

import baselines
from baselines import handwritten
from evolve import plugins
from primitives import Hyperparameter, ProgramError
from primitives.errors import did_you_mean
from primitives.statements import LEARNING_RATE, SCALES, Tunable

if TYPE_CHECKING:
    import optax

Factory = Callable[..., "optax.GradientTransformation"]
State = Any  # a tree of arrays
Params = Any  # a tree of arrays, as the task has it

Declared = float | tuple[float, float, float, str]
"""A hyperparameter as it is declared: its value, or what `tunable` gives, a value and a range."""


@dataclass(frozen=True)
class OptaxOptimizer(Tunable):
    """An Optax factory behind the interface that all optimizers share.

    A learning rate that is no hyperparameter of it is the factory's own: no schedule applies to it.
    """

    name: str
    doc: str
    hyperparameters: tuple[Hyperparameter, ...]
    factory: Factory

    def init(self, values: Mapping[str, Any], params: Params) -> State:
        """Return the state before the first step.

        values: numbers, or traced ones, by name of the hyperparameter.
        """
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            state = self.transformation(values).init(params)
        return jax.tree.map(lambda leaf: _like(leaf, leaf), state)

    def step(
        self, values: Mapping[str, Any], params: Params, gradient: Params, state: State, **more: Any
    ) -> tuple[Params, State]:
        """Take one step.

        values: as for `init`, the learning rate being that of this step. more: what optimizers of
        Optax may ask for besides, such as `value` and `value_fn`.
        """
        import optax

        # Libraries mix dtypes freely, a Python float with a float64, an int with a float.
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            updates, after = self.transformation(values).update(gradient, state, params, **more)
            moved = optax.apply_updates(params, updates)
        return jax.tree.map(_like, (moved, after), (params, state))

    def transformation(self, values: Mapping[str, Any]) -> optax.GradientTransformationExtraArgs:
        """Call the factory. Raises `ProgramError` where it gives something else."""
        import optax

        made = self.factory(**{name: values[name] for name in self.values})
        if not isinstance(made, optax.GradientTransformation):
            raise ProgramError(
                f"{self.name} gives a {type(made).__name__} and no optax.GradientTransformation",
                hint="Return what optax.adamw or optax.chain returns.",
            )
        return optax.with_extra_args_support(made)

    def try_step(self, params: Params, traced: bool) -> None:
        """Take a step without computing anything; raises what the optimizer raises.

        params: shapes and dtypes. traced: with all hyperparameters traced, or the learning rate
        alone.
        """
        free = {n: v for n, v in self.values.items() if traced or n == LEARNING_RATE}

        def both(free: dict[str, float], params: Params) -> Any:
            values, loss = self.values | free, jnp.zeros(())
            state = self.init(values, params)
            more = {"value": loss, "grad": params, "value_fn": lambda params: loss}
            return self.step(values, params, params, state, **more)

        jax.eval_shape(both, free, params)

    def takes_traced(self, params: Params) -> bool:
        """Tell whether all hyperparameters may be traced, or the learning rate alone."""
        try:
            self.try_step(params, traced=True)
        except Exception:  # whatever a factory does with what is no number
            return False
        return True


def _like(new: Any, old: Any) -> jax.Array:
    """Return an array of the dtype of another, so that a loop can carry it.

    Raises `ValueError` where it has another shape.
    """
    if jnp.shape(new) != jnp.shape(old):
        raise ValueError(f"an array becomes one of another shape: {old.shape}, {new.shape}")
    dtype = jnp.result_type(old)
    if jnp.issubdtype(dtype, jax.dtypes.extended):  # a random key
        return new
    return jnp.asarray(new, dtype)


def tunable(
    value: float, low: float, high: float, scale: str = "linear"
) -> tuple[float, float, float, str]:
    """Declare a hyperparameter of an optimizer: its value, and the range in which it is tuned.

    scale: how the range is walked, linear, log or log1m (log(1 - x), for decays near 1).

    >>> tunable(0.9, low=0.5, high=0.99, scale="log1m")
    (0.9, 0.5, 0.99, 'log1m')
    """
    return (value, low, high, scale)


OPTIMIZERS: dict[str, OptaxOptimizer] = {}
"""What plug-ins have registered, by name."""

plugins.TABLES.append(OPTIMIZERS)


def optimizer(*, name: str = "", **hyperparameters: Declared) -> Callable[[Factory], Factory]:
    """Register the decorated factory; its name and docstring are those of the optimizer.

        @optimizer(learning_rate=tunable(0.01, 1e-4, 1.0, "log"), decay=tunable(0.9, 0.5, 0.99))
        def my_momentum(learning_rate, decay):
            \"""My momentum: gradient descent with a memory.\"""
            return optax.sgd(learning_rate, momentum=decay)

    Raises `ProgramError`, as `register_optimizer` does.
    """

    def enter(factory: Factory) -> Factory:
        register_optimizer(factory, name=name, hyperparameters=hyperparameters)
        return factory

    return enter


def register_optimizer(
    factory: Factory, *, name: str = "", hyperparameters: Mapping[str, Declared] | None = None
) -> OptaxOptimizer:
    """Make an optimizer known by its name, so that it is scored, tuned and listed like all others.

    name: that of the function where none is given. hyperparameters: of those parameters of the
    factory that may be tuned; the others keep their defaults, and a learning rate with a default
    follows the schedule from there.

    Raises `ProgramError`, one sentence, where the name is taken or the factory does not do.
    """
    name = name or getattr(factory, "__name__", "")
    if not name.isidentifier():
        raise ProgramError(
            f"{name!r} is no name for an optimizer", hint="Give name='...', a word as in Python."
        )
    if name in OPTIMIZERS or name in baselines.names() or name in handwritten.names():
        raise ProgramError(f"an optimizer called {name!r} exists already", hint="Rename yours.")

    listed = _listed(name, factory, dict(hyperparameters or {}))
    entry = OptaxOptimizer(name, inspect.getdoc(factory) or "", listed, factory)
    try:
        entry.transformation(entry.values)
    except ProgramError:
        raise
    except Exception as fault:
        said = ", ".join(f"{key}={value:g}" for key, value in entry.values.items())
        raise ProgramError(f"{name}({said}) fails: {type(fault).__name__}: {fault}") from fault
    OPTIMIZERS[name] = entry
    return entry


def _listed(
    name: str, factory: Factory, declared: dict[str, Declared]
) -> tuple[Hyperparameter, ...]:
    """Check declarations against the signature of a factory."""
    parameters = inspect.signature(factory).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    named = [
        key for key, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]

    for key in declared:
        if key not in named and not takes_any:
            raise ProgramError(
                f"{name} has no parameter called {key!r}", hint=did_you_mean(key, named)
            )
    for key in named:
        default = parameters[key].default
        if key not in declared and default is inspect.Parameter.empty:
            raise ProgramError(
                f"{name} needs {key!r}, and no value of it is declared",
                hint=f"Declare one, such as {key}=tunable(0.1, low=0.001, high=1.0).",
            )
        if key == LEARNING_RATE and key not in declared and isinstance(default, (int, float)):
            declared = {LEARNING_RATE: float(default)} | declared
    return tuple(_hyperparameter(name, key, given) for key, given in declared.items())


def _hyperparameter(name: str, key: str, given: Declared) -> Hyperparameter:
    if not isinstance(given, tuple):
        return Hyperparameter(key, float(given))

    value, low, high, scale = given
    above = scale != "log" or low > 0
    below = scale != "log1m" or high < 1
    if not (scale in SCALES and low < high and above and below):
        raise ProgramError(
            f"{name}: {low} to {high} is no {scale} range for {key!r}",
            hint=f"Give low < high and one of the scales {', '.join(SCALES)}; above 0 for log, "
            f"below 1 for log1m.",
        )
    return Hyperparameter(key, float(value), float(low), float(high), scale)
