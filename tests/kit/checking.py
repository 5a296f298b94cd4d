"""What checks the shapes and dtypes of arrays under test, where signatures state them.

`check_arrays` makes jaxtyping look at every call of some packages: letters of shapes agree between
the arguments and the result. Other annotations are pyright's matter. A general checker of types,
tried here, took words out of our mouth where a user's wrong value has a sentence of its own,
and slowed down the paths on the host three to eight times.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import AbstractArray, install_import_hook

CHECKED = (
    "proxy_tasks",
    "primitives.machine.step",
    "evolve.scoring.loops",
    "evolve.scoring.trial",
    "evolve.scoring.stepwise",
)
"""The packages and modules that state shapes."""


def check_arrays() -> None:
    """Check what is imported from now on; to be called before anything imports those packages."""
    install_import_hook(list(CHECKED), f"{__name__}.fitting")


def fitting(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that it raises `TypeError` for an array of another shape or dtype.

    jaxtyping calls it with functions that have our signatures, and reports what they raise. One
    without an array in its signature stays as it is.
    """
    hints = {name: hint for name, hint in function.__annotations__.items() if states_shape(hint)}
    if not hints:
        return function
    signature = inspect.signature(function)

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        for name, value in given.arguments.items():
            if name in hints and not fits(value, hints[name]):
                raise TypeError(f"{name} is no {hints[name]}")
        result = function(*args, **kwargs)
        if "return" in hints and not fits(result, hints["return"]):
            raise TypeError(f"the result is no {hints['return']}")
        return result

    return checked


def states_shape(hint: Any) -> bool:
    """Tell whether an annotation, or a part of one, states the shape of an array."""
    if inspect.isclass(hint) and not isinstance(hint, types.GenericAlias):
        return issubclass(hint, AbstractArray)
    return any(states_shape(part) for part in typing.get_args(hint))


def fits(value: Any, hint: Any) -> bool:
    """Tell whether all arrays of a value have the shapes that an annotation states."""
    if not states_shape(hint):
        return True
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin is typing.Annotated:
        return fits(value, parts[0])
    if origin is tuple and Ellipsis not in parts:
        return len(value) == len(parts) and all(map(fits, value, parts))
    if origin in (tuple, list):
        return all(fits(item, parts[0]) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        return all(fits(item, parts[1]) for item in value.values())
    if origin is not None:
        return True  # functions and iterators: what they give is checked where it is made
    return isinstance(value, in_numpy(hint) if isinstance(value, np.ndarray) else hint)


@functools.cache
def in_numpy(hint: type[AbstractArray]) -> Any:
    """Return the same shape and dtype of a numpy array: jax's functions take both."""
    return hint.dtype[np.ndarray, hint.dim_str]
