"""From plain data to a typed configuration; what does not fit is explained in the user's words.

The schema is pydantic's. Its errors name Python types and branches of unions, so they are told
again here: the key as people write it, what is allowed, and the nearest name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from evolve.config.errors import ConfigError
from evolve.config.schema import (
    Config,
    Strict,
    SuiteFile,
    TaskSettings,
    WorkersAlone,
    WorkerSettings,
)
from evolve.config.yaml import read_yaml
from primitives.errors import nearest, printable

MAX_SAID = 5  # errors that are told at once

# Pydantic's words in the path of an error, which are none of the user's.
_BRANCHES = ("str", "int", "float", "constrained-int", "constrained-float", "fields")

Model = TypeVar("Model", bound=Strict)


def validated(given: Any, where: str, overrides: Sequence[str] = ()) -> Config:
    """Return the typed configuration.

    Raises `ConfigError` naming the key, what is allowed and the nearest name; `where` is what it
    calls the data, but for what the `overrides` have said.
    """
    return _validated(Config, mapping(given, where), where, overrides)


def validated_tasks(given: Any, where: str) -> list[TaskSettings]:
    """Return the tasks of a suite that stands in a file of its own. Raises `ConfigError`."""
    if not isinstance(given, dict) or set(given) != {"tasks"}:
        raise ConfigError(f"{where}: a suite has one key, `tasks`, with a list of tasks")
    return _validated(SuiteFile, given, where).tasks


def validated_workers(given: Mapping[str, Any], where: str) -> WorkerSettings:
    """Return who scores, from data with the one key `workers`. Raises `ConfigError`."""
    return _validated(WorkersAlone, given, where).workers


def mapping(given: Any, where: str) -> dict[str, Any]:
    """Return the data, if it is a mapping at all. Raises `ConfigError`."""
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: a configuration is a mapping of keys to values")
    return given


def overridden(given: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """Change plain data in place by `a.b=c` overrides, and return it. Raises `ConfigError`."""
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {override}: write --set budget.candidates=100000")
        _put(given, key.strip().split("."), read_yaml(value, f"--set {key}"), override)
    return given


def _put(given: dict[str, Any], path: list[str], value: Any, override: str) -> None:
    at = given
    for part in path[:-1]:
        at = at.setdefault(part, {})
        if not isinstance(at, dict):
            raise ConfigError(f"--set {override}: {part!r} has no keys of its own")
    at[path[-1]] = value


def _validated(
    model: type[Model], given: Mapping[str, Any], where: str, overrides: Sequence[str] = ()
) -> Model:
    try:
        return model.model_validate(given)
    except ValidationError as fault:
        raise ConfigError(explained(fault, model, where, overrides)) from None


def explained(
    fault: ValidationError,
    model: type[BaseModel] | None = None,
    where: str = "",
    overrides: Sequence[str] = (),
) -> str:
    """Say what does not fit, in the words of who wrote it, and where that stands.

    model: what it was to be, where the nearest name of a key is wanted.
    """
    errors = [e for e in fault.errors() if not _is_other_branch(e)] or fault.errors()
    said = dict.fromkeys((_place(e, where, overrides), _explain(model, e)) for e in errors)
    words = [
        printable(why if place == before else f"{place}: {why}", 300)
        for (before, _), (place, why) in pairwise([("", ""), *said])
    ]
    more = [f"and {len(words) - MAX_SAID} more"] if len(words) > MAX_SAID else []
    return "; ".join(words[:MAX_SAID] + more)


def _place(error: ErrorDetails, where: str, overrides: Sequence[str]) -> str:
    """Say where the value stands that an error is about: in the file, or in an override of it."""
    path = [str(part) for part in _user_path(error)]
    for override in reversed(overrides):  # the last one counts
        key = override.partition("=")[0].strip().split(".")
        shorter = min(len(key), len(path))
        if shorter and key[:shorter] == path[:shorter]:
            return f"--set {override}"
    return where


def _is_other_branch(error: ErrorDetails) -> bool:
    """Tell whether an error is about that branch of `str | list` which was not meant."""
    return error["loc"][-1:] == ("str",) and isinstance(error["input"], list)


def _explain(model: type[BaseModel] | None, error: ErrorDetails) -> str:
    """Say one error in the words of the file."""
    path = _user_path(error)
    key = ".".join(str(p + 1) if isinstance(p, int) else str(p) for p in path)

    if error["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = nearest(str(path[-1]), known)
        if near:
            return f"no key is called {key!r}; did you mean {near!r}?"
        return f"no key is called {key!r}" + (f"; there are: {', '.join(known)}" if known else "")

    if error["type"] == "missing":
        return f"the key {key!r} is missing"

    if error["type"] == "model_type":
        return f"{key}: a mapping of keys to values belongs here"

    message = error["msg"].removeprefix("Value error, ")
    shown = repr(error["input"])
    if len(shown) > 40 or error["type"] == "value_error":
        return f"{key}: {message}" if key else message
    return f"{key}: {message}, not {shown}"


def _user_path(error: ErrorDetails) -> list[int | str]:
    """Return the keys that lead to an error, as the user wrote them."""
    *path, last = [p for p in error["loc"] if not str(p).startswith(("list[", "literal["))] or [""]
    path = [p for p in path if p not in _BRANCHES]
    if last not in _BRANCHES or error["type"] == "extra_forbidden":
        path.append(last)
    return path


def _keys_at(model: type[BaseModel] | None, path: list[int | str]) -> list[str]:
    """List the keys that are known at a place of the schema; none where it is no model."""
    if model is None:
        return []
    for part in path:
        field = model.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return list(model.model_fields)
