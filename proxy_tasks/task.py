"""What a proxy task is: a frozen dataclass that answers the same questions as every other.

Read `Task`, which says what a task must fulfil and how to write one. `contract.py` checks it.
"""

import abc
import contextlib
import dataclasses
import functools
import hashlib
import inspect
import json
import math
import sys
import typing
from typing import Any, ClassVar, Literal

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from proxy_tasks.kit.parts import PARTS
from proxy_tasks.registry import hash_of_file, register, snake_case
from proxy_tasks.schedules import parse_schedule
from proxy_tasks.sentences import listed

TYPE_NAMES = {int: "a whole number", float: "a finite number"}
Params = dict[str, dict[str, Array]]
"""The parameters of a task: a leaf is `params[layer][name]`, always float32 outside tests."""


DEFAULT_SCHEDULE = "warmup_cosine"


def setting(default: Any, *, from_zero: bool = False, later: bool = False) -> Any:
    """Declare a field of a task, where a plain default does not say enough.

    from_zero: 0 is allowed, for what can be left out, such as a share of wrong labels.
    later: a task got the field after it had scores. At its default it stays out of the fingerprint,
    so that they remain its own.
    """
    metadata = {"from_zero": from_zero, "later": later}
    return dataclasses.field(default=default, metadata=metadata)


LEAST_LOSS = 1e-30
"""Below it one loss cannot be told from another: a score is a logarithm, and must stay finite."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(abc.ABC):
    """A question put to an optimizer: parameters, batches, a loss, an evaluation, a number of
    steps.

    **Writing one.** A task is a frozen dataclass that enters `TASKS` by being defined, under a
    `kind` made of its class's name unless it states another. `init`, `evaluate` and a default for
    `steps` are enough; what else there is has a default:

        data     no data          draws    a random key a step      loss   `evaluate` on "train"
        deal     data as it is    learning_rates    the schedule

        @dataclass(frozen=True)
        class Rosenbrock(Task):
            "Minimise 0.01 + (1 - x)² + 100 (y - x²)² from around the origin."

            steps: int = 1000

            def init(self, key):
                return {"point": {"w": 0.1 * jax.random.normal(key, (2,))}}

            def evaluate(self, params, data, part):
                x, y = params["point"]["w"]
                return 0.01 + (1 - x) ** 2 + 100 * (y - x**2) ** 2

    **What a task must fulfil**, so that scores are comparable and can be repeated:

    - Fields are whole numbers (`int`), finite numbers (`float`) or words of a few
      (`Literal["relu", "tanh"]`), with defaults; they are its whole configuration. An `int` is at
      least 1, a `float` above 0, unless the field is a
      `setting(0.0, from_zero=True)`.
    - `data` gives the parts train, validation and test, in arrays of 32 bits or fewer, all finite,
      and the same every time.
    - `init` gives a tree of finite float32 arrays with at least one number.
    - Every leaf of `draws` has a leading axis of `steps`.
    - `deal` keeps the test part, and all shapes and dtypes; its rows are those of train and
      validation.
    - `loss` is one float32, finite at the start, with a finite gradient that is not 0 everywhere.
      It reads the train part alone.
    - `evaluate` is one float32, finite at the start, and above 0 wherever training leads, because
      a score is the logarithm of a ratio of losses.
    - Randomness comes in as keys and data as an argument, so that the same key gives the same bits.
      Everything but `data` and `learning_rates` can be traced, compiled and vmapped.

    A task never knows what trains it.

    Raises  ValueError, one sentence, when a field has the wrong type or an impossible value;
            TypeError when a class is defined under a kind that is taken or is no name.
    """

    kind: ClassVar[str]
    """The name in suites: letters, digits and underscores."""

    version: ClassVar[int] = 1
    """Raised when the meaning changes, so that old scores are not mixed with new ones."""

    measures: ClassVar[str] = ""
    """One sentence; the first line of the docstring where nothing is stated."""

    cannot: ClassVar[str] = "not stated"
    """What it says nothing about, one sentence."""

    source: ClassVar[str] = "not stated"
    """Where the data come from, and their licence."""

    small: ClassVar[dict[str, int | float | str]] = {}
    """Fields with which it takes milliseconds and still learns: for tests and for trying it out."""

    written_in: ClassVar[str] = ""
    """Hash of the file that defines the class; empty for the tasks of this package, whose `version`
    says when they change, and for a class that no file defines.
    """

    offers = frozenset({"loss", "hvp", "noise", "rademacher", "run_progress"})
    """The inputs that a program may ask for here, beyond w, g, lr and t."""

    steps: int  # training steps, the length of the schedule
    schedule: str = setting(
        DEFAULT_SCHEDULE, later=True
    )  # of the learning rate, in the words of `schedules.py`

    def __init_subclass__(cls, base: bool = False, **kwargs: Any) -> None:
        """Register the class, unless it is a `base` that tasks are derived from."""
        super().__init_subclass__(**kwargs)
        cls.written_in = hash_of_file(cls.__module__)
        if base:
            return
        if "kind" not in cls.__dict__:
            cls.kind = snake_case(cls.__name__)
        if not cls.measures:
            cls.measures = inspect.cleandoc(cls.__doc__ or "").partition("\n")[0]
        register(cls)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.name != "schedule":
                # converted, so that a condition of 1000 and one of 1e3 have the same fingerprint
                value = checked(type(self), field, getattr(self, field.name))
                object.__setattr__(self, field.name, value)
        try:
            # in its shortest form, so that two ways to write one schedule have the same fingerprint
            object.__setattr__(self, "schedule", str(parse_schedule(self.schedule)))
        except ValueError as fault:
            raise ValueError(f"{self.kind}: {fault}") from None
        if why := self.impossible():
            raise ValueError(f"{self.kind}: {why}.")

    def impossible(self) -> str | None:
        """Say why fields that are possible one by one are not so together, or None."""
        return None

    def data(self) -> dict[str, Any]:
        """Return {"train": ..., "validation": ..., "test": ...}, the same read-only arrays for
        every seed; here, none.
        """
        return {part: {} for part in PARTS}

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        """Return the data as one seed sees them; here, as every seed does.

        A task may deal its train and validation rows anew for every seed, so that a search which
        sees many seeds cannot adapt to one small validation part. The test part is the same for all
        and never dealt.
        """
        return data

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray) -> Params:
        """Draw the parameters a run starts from."""

    def draws(self, key: PRNGKeyArray) -> PyTree[Array]:
        """Draw everything that is random in training, at once; leaves have a leading axis `steps`.

        Here, a random key for every step.
        """
        return jax.random.split(key, self.steps)

    def loss(self, params: Params, data: dict[str, Any], draw: PyTree[Array]) -> Float[Array, ""]:
        """Compute the training loss of one step; `draw` is one slice of `draws`.

        Here, the evaluation on all of the train part.
        """
        return self.evaluate(params, data, "train")

    @abc.abstractmethod
    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        """Compute the mean loss on `data[part]`; finite and above 0 for any parameters worth a
        score.
        """

    def learning_rates(self) -> Float[np.ndarray, " steps"]:
        """Compute the schedule: the learning rate at t = 1..steps, in units of the program's, which
        is the peak.
        """
        return parse_schedule(self.schedule)(self.steps)

    @property
    def fingerprint(self) -> str:
        """16 hex digits of what this task is: kind, version, fields and the bytes of its data.

        Numbers with different fingerprints are never mixed. A dependency that ships other data, or
        splits it otherwise, changes the fingerprint too; and so does any change of the file that
        defines a task outside of this package.
        """
        fields = dataclasses.asdict(self)
        for field in dataclasses.fields(self):
            if field.metadata.get("later") and fields[field.name] == field.default:
                del fields[field.name]
        said = [self.kind, self.version, fields]
        files = [c.written_in for c in type(self).__mro__ if issubclass(c, Task) and c.written_in]
        if files:
            said.append(files)
        return hashed(json.dumps(said, sort_keys=True), self.data())


class PredictionTask(Task, base=True):
    """A task whose loss judges predictions.

    It offers `gnvp` too, products with the Gauss-Newton matrix.

    That is the matrix Jᵀ H J, with J the Jacobian of the predictions in the parameters and H the
    Hessian of `judge` in the predictions. It is never negative, because `judge` is convex in the
    predictions.
    """

    offers = Task.offers | {"gnvp"}

    @abc.abstractmethod
    def predict(
        self, params: Params, data: dict[str, Any], draw: PyTree[Array]
    ) -> Float[Array, "..."]:
        """Compute what the parameters say about the batch of one step."""

    @abc.abstractmethod
    def judge(
        self, predictions: Float[Array, "..."], data: dict[str, Any], draw: PyTree[Array]
    ) -> Float[Array, ""]:
        """Compute the training loss of predictions for the batch of one step; convex in them."""

    def loss(self, params: Params, data: dict[str, Any], draw: PyTree[Array]) -> Float[Array, ""]:
        return self.judge(self.predict(params, data, draw), data, draw)


class DenseTask(PredictionTask, base=True):
    """A task whose predictions come from affine layers in a row, one row of a batch at a time.

    It shows what goes into its layers, and says what targets its predictions expect: what an
    optimizer needs that models the curvature layer by layer.
    """

    @abc.abstractmethod
    def layers(
        self, params: Params, data: dict[str, Any], draw: PyTree[Array]
    ) -> tuple[Float[Array, "row ..."], dict[str, Float[Array, "row _"]]]:
        """Compute the predictions, and the input of every layer by name, for the batch of one
        step.
        """

    @abc.abstractmethod
    def penalty(self, predictions: Float[Array, "row ..."], targets: Array) -> Float[Array, ""]:
        """Compute the mean over rows of -log p(target | prediction), up to a constant."""

    @abc.abstractmethod
    def sample(self, key: PRNGKeyArray, predictions: Float[Array, "row ..."]) -> Array:
        """Draw a target for every row from that same p."""

    def predict(
        self, params: Params, data: dict[str, Any], draw: PyTree[Array]
    ) -> Float[Array, "row ..."]:
        return self.layers(params, data, draw)[0]


class Arrays:
    """Arrays by what they are called, to be looked up by which they are and not what they hold."""

    def __init__(self, data: Any) -> None:
        self.leaves = jax.tree_util.tree_leaves_with_path(data)
        self.which = tuple((jax.tree_util.keystr(path), id(leaf)) for path, leaf in self.leaves)

    def __hash__(self) -> int:
        return hash(self.which)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Arrays) and self.which == other.which

    @property
    def final(self) -> bool:
        """Whether none can change: read-only, and no view of one that may be written."""
        return all(
            isinstance(leaf, np.ndarray) and leaf.base is None and not leaf.flags.writeable
            for _, leaf in self.leaves
        )


def hashed(said: str, data: Any) -> str:
    """Hash what a task says and the bytes of its data, to 16 hex digits.

    A run asks dozens of times, and 47 MB of images take 0.1 s or more; read-only arrays are
    therefore hashed once.
    """
    arrays = Arrays(data)
    return _hashed_once(said, arrays) if arrays.final else _hashed(said, arrays)


def _hashed(said: str, data: Arrays) -> str:
    digest = hashlib.sha256(said.encode())
    for path, leaf in data.leaves:
        little_endian = np.ascontiguousarray(leaf, leaf.dtype.newbyteorder("<"))
        header = [jax.tree_util.keystr(path), little_endian.dtype.str, list(leaf.shape)]
        digest.update(json.dumps(header).encode())
        digest.update(little_endian.tobytes())
    return digest.hexdigest()[:16]


# It holds the arrays, so that another cannot come to lie where one of them was.
_hashed_once = functools.lru_cache(maxsize=16)(_hashed)


def checked(cls: type[Any], field: "dataclasses.Field[Any]", value: Any) -> int | float | str:
    """Return the value of a field as what it is declared to be.

    Raises  ValueError, one sentence, where it can be none.
    """
    name = f"{cls.kind}: {field.name}"
    declared: Any = field.type
    if isinstance(declared, str):  # as in a file that postpones its annotations
        scope = {**typing.__dict__, **vars(sys.modules.get(cls.__module__, typing))}
        with contextlib.suppress(Exception):  # of a name that is not there
            declared = typing.get_type_hints(
                type("", (), {"__annotations__": {"it": declared}}), scope
            )["it"]

    if typing.get_origin(declared) is Literal:
        words = typing.get_args(declared)
        if value not in words:
            raise ValueError(f"{name} must be one of {listed(words)}, not {value!r}.")
        return value
    if declared not in TYPE_NAMES:
        shown = declared if isinstance(declared, str) else inspect.formatannotation(declared)
        raise ValueError(
            f"{name} must be declared as int, float or a Literal of words, not {shown}; what never "
            "changes is a ClassVar."
        )
    whole = (int, np.integer)
    accepted = whole if declared is int else (*whole, float, np.floating)
    if isinstance(value, bool) or not isinstance(value, accepted) or not math.isfinite(value):
        raise ValueError(f"{name} must be {TYPE_NAMES[declared]}, not {value!r}.")
    value = int(value) if declared is int else float(value)
    least = 0 if field.metadata.get("from_zero") else 1
    if declared is int and value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}.")
    if declared is float and (value < 0 or (value == 0 and least)):
        raise ValueError(f"{name} must be {'above 0' if least else 'at least 0'}, not {value}.")
    return value
