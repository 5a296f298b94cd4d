"""Learning-rate schedules: shapes with peak 1 that a program's `learning_rate` is multiplied with.

A schedule is written as `cosine` or `step_decay(factor=0.5, every=0.25)`. Two conventions hold for
all:

- Every length is a share of the run, above 0 and at most 1, so that one text serves tasks with
  different numbers of steps: `every=0.25` is a quarter of the run. It is rounded to whole steps, at
  least one.
- Step t = 1..steps reads the curve at t - 1, as optax does: the first step takes the value at the
  start, the last one is just short of the end. A warm-up from zero reads it at t, on a curve one
  step longer: no step has a rate of 0.

Curves are optax's where it has one. Adding one is adding one function below, under `@curve`.
"""

import ast
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

from proxy_tasks.sentences import listed, nearest

LONGEST = 200  # characters of a schedule's text

Shape = jax.typing.ArrayLike  # [steps]; what optax's schedules return


@dataclass(frozen=True)
class Limits:
    """Which numbers a parameter can be, and how an error says so."""

    said: str
    hold: Callable[[float], bool]


Share = Annotated[float, Limits("a share of the run, above 0 and at most 1", lambda x: 0 < x <= 1)]
HalfShare = Annotated[
    float, Limits("a share of the run, above 0 and at most 0.5", lambda x: 0 < x <= 0.5)
]
InnerShare = Annotated[
    float, Limits("a share of the run, above 0 and below 1", lambda x: 0 < x < 1)
]
Level = Annotated[float, Limits("at least 0 and below 1", lambda x: 0 <= x < 1)]
Factor = Annotated[float, Limits("above 0 and at most 1", lambda x: 0 < x <= 1)]
Ratio = Annotated[float, Limits("at least 1", lambda x: x >= 1)]

CURVES: dict[str, Callable[..., Shape]] = {}  # name -> the curve; a function enters by @curve


def curve(function: Callable[..., Shape]) -> Callable[..., Shape]:
    """Register a curve: (steps, parameters) -> its values at t = 1..steps."""
    CURVES[function.__name__] = function
    return function


def whole(share: float, steps: int) -> int:
    """Return a share of the run in whole steps."""
    return max(1, round(share * steps))


def from_zero(steps: int) -> Float[np.ndarray, " steps"]:
    """Return t - 1: 0..steps-1.

    float64, because 1 + cos near its zero is 0 in float32 after some 20,000 steps.
    """
    return np.arange(steps, dtype=np.float64)


def from_one(steps: int) -> Float[np.ndarray, " steps"]:
    """Return t: 1..steps, for curves that start at 0."""
    return np.arange(1, steps + 1, dtype=np.float64)


@curve
def constant(steps: int) -> Shape:
    """1 throughout."""
    return jnp.ones(steps)


@curve
def step_decay(steps: int, factor: Factor, every: Share) -> Shape:
    """factor^⌊(t - 1) / every⌋."""
    return optax.exponential_decay(1.0, whole(every, steps), factor, staircase=True)(
        from_zero(steps)
    )


@curve
def exponential_decay(steps: int, factor: Factor, every: Share) -> Shape:
    """factor^((t - 1) / every)."""
    return optax.exponential_decay(1.0, whole(every, steps), factor)(from_zero(steps))


@curve
def cosine(steps: int, end: Level = 0.0) -> Shape:
    """Half a cosine from 1 to `end` (Loshchilov, Hutter 2017, arXiv:1608.03983, without
    restarts).
    """
    return optax.cosine_decay_schedule(1.0, steps, end)(from_zero(steps))


@curve
def linear_warmup(steps: int, warmup: Share = 0.05, end: Level = 0.0) -> Shape:
    """A line from 0 up to 1, then a line down to `end`."""
    up = whole(warmup, steps)
    lines = [optax.linear_schedule(0.0, 1.0, up), optax.linear_schedule(1.0, end, steps + 1 - up)]
    return optax.join_schedules(lines, [up])(from_one(steps))


@curve
def warmup_cosine(steps: int, warmup: Share = 0.05, end: Level = 0.0) -> Shape:
    """A line from 0 up to 1, then half a cosine down to `end`."""
    return optax.warmup_cosine_decay_schedule(0.0, 1.0, whole(warmup, steps), steps + 1, end)(
        from_one(steps)
    )


@curve
def triangular(steps: int, low: Level, half_period: HalfShare) -> Shape:
    """Lines from `low` up to 1 and back, again and again (Smith 2017, arXiv:1506.01186).

    Not in optax.
    """
    half = whole(half_period, steps)
    # From the valleys: 0 there, 1 at the peaks.
    away = abs((from_zero(steps) + half) % (2 * half) - half) / half
    return jnp.asarray(low + (1 - low) * away)


@curve
def one_cycle(
    steps: int, pct_start: InnerShare = 0.3, div_factor: Ratio = 25.0, final_div_factor: Ratio = 1e4
) -> Shape:
    """Half a cosine from 1/div_factor up to 1, another down to 1/(div_factor · final_div_factor).

    The peak is at ⌊pct_start · steps⌋, in optax's way of rounding.
    Source  Smith, Topin 2019, arXiv:1708.07120; here with cosines, as in optax and PyTorch.
    """
    return jax.vmap(
        optax.cosine_onecycle_schedule(steps, 1.0, pct_start, div_factor, final_div_factor)
    )(from_zero(steps))


@curve
def linear_one_cycle(
    steps: int,
    pct_start: InnerShare = 0.3,
    pct_final: InnerShare = 0.85,
    div_factor: Ratio = 25.0,
    final_div_factor: Ratio = 1e4,
) -> Shape:
    """Lines from 1/div_factor up to 1, back, and on down to 1/(div_factor · final_div_factor)
    (Smith, Topin 2019).
    """
    # What optax.linear_onecycle_schedule is made of. That one loses its peak where a run is so
    # short that two of its corners are the same step.
    up = int(pct_start * steps)
    back = max(up + 1, int(pct_final * steps))
    corners = {up: div_factor, back: 1 / div_factor, max(back + 1, steps): 1 / final_div_factor}
    return jax.vmap(optax.piecewise_interpolate_schedule("linear", 1 / div_factor, corners))(
        from_zero(steps)
    )


@curve
def cosine_restarts(steps: int, period: Share, growth: Ratio = 1.0, min: Level = 0.0) -> Shape:
    """Half cosines from 1 to `min`, each `growth` times as long as the one before, the last one cut
    off (SGDR).

    Source  Loshchilov, Hutter 2017, arXiv:1608.03983, where `growth` is T_mult.
    """
    # optax.sgdr_schedule computes the same with a schedule for each cycle, which takes minutes
    # where cycles are many.
    progress, done, length = [], 0.0, float(whole(period, steps))
    exact = length
    while done < steps:
        progress.append(np.arange(np.minimum(length, steps - done)) / length)
        done, exact = done + length, exact * growth
        length = np.rint(exact)  # may be inf, which is a long time
    return optax.cosine_decay_schedule(1.0, 1, min)(np.concatenate(progress))


@dataclass(frozen=True)
class Schedule:
    """A curve by name with all of its parameters.

    `schedule(steps)` is its shape, `str(schedule)` its text.

    Raises  ValueError, one sentence, for an unknown name, and unknown, missing or impossible
    parameters.
    """

    name: str
    # In the order of the curve's; defaults are filled in.
    parameters: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if self.name not in CURVES:
            raise ValueError(
                f"no schedule is called {self.name!r}{nearest(self.name, CURVES)}; there are "
                f"{listed(CURVES)}."
            )
        given, known = dict(self.parameters), declared(self.name)
        for name in given:
            if name not in known:
                it_has = f"it has {listed(known)}" if known else "it has none"
                raise ValueError(
                    f"{self.name} has no parameter {name!r}{nearest(name, known)}; {it_has}."
                )
        if missing := [
            name for name, p in known.items() if p.default is p.empty and name not in given
        ]:
            raise ValueError(
                f"{self.name} needs {listed(missing)}; write "
                f"{self.name}({', '.join(written(known))})."
            )
        values = {
            name: checked(self.name, p, given.get(name, p.default)) for name, p in known.items()
        }
        if values.get("pct_final", 1.0) <= values.get("pct_start", 0.0):
            raise ValueError(
                f"{self.name}: pct_final must be above pct_start, {values['pct_start']}, not "
                f"{values['pct_final']}."
            )
        object.__setattr__(self, "parameters", tuple(values.items()))

    def __call__(self, steps: int) -> Float[np.ndarray, " steps"]:
        """Compute the shape of the learning rate at t = 1..steps: in float64, then rounded."""
        with (
            jax.ensure_compile_time_eval(),
            jax.enable_x64(True),
            jax.numpy_dtype_promotion("standard"),
        ):
            return np.asarray(CURVES[self.name](steps, **dict(self.parameters)), np.float32)

    def __str__(self) -> str:
        """The shortest text that means this: what is at its default is left out."""
        known = declared(self.name)
        said = [
            f"{name}={value!r}" for name, value in self.parameters if value != known[name].default
        ]
        return f"{self.name}({', '.join(said)})" if said else self.name


def declared(name: str) -> dict[str, inspect.Parameter]:
    """Return the parameters of a curve."""
    parameters = dict(inspect.signature(CURVES[name]).parameters)
    del parameters["steps"]
    return parameters


def written(parameters: dict[str, inspect.Parameter]) -> list[str]:
    """Show what can be given: `factor=..., every=...`."""
    return [
        f"{name}=..." if p.default is p.empty else f"{name}={p.default}"
        for name, p in parameters.items()
    ]


def checked(schedule: str, parameter: inspect.Parameter, value: Any) -> float:
    """Return a parameter's value as a float, if it can be one."""
    limits: Limits = parameter.annotation.__metadata__[0]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not limits.hold(value):
        raise ValueError(f"{schedule}: {parameter.name} must be {limits.said}, not {value!r}.")
    return float(value)


def parse_schedule(text: str) -> Schedule:
    """Read a schedule from its text, such as `cosine` or `step_decay(factor=0.5, every=0.25)`.

    Raises  ValueError, one sentence, when it is none.

    >>> str(parse_schedule("cosine( end = 0.1 )"))
    'cosine(end=0.1)'
    """
    example = "write one such as cosine or step_decay(factor=0.5, every=0.25)"
    if not isinstance(text, str):
        raise ValueError(f"a schedule is text, not {text!r}; {example}.")
    if len(text) > LONGEST:
        raise ValueError(
            f"a schedule has at most {LONGEST} characters, not {len(text)}; {example}."
        )
    try:
        match ast.parse(text.strip(), mode="eval").body:
            case ast.Name(name):
                words = []
            case ast.Call(ast.Name(name), [], keywords):
                words = [(word.arg or "**", ast.literal_eval(word.value)) for word in keywords]
            case _:
                raise SyntaxError
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise ValueError(f"{text!r} is no schedule; {example}.") from None
    parameters = dict(words)
    if len(parameters) < len(words):
        raise ValueError(f"{text!r} gives a parameter twice.")
    return Schedule(name, tuple(parameters.items()))
