"""What a proxy task is: a frozen dataclass that answers the same eight questions as every other."""

import abc
import dataclasses
import hashlib
import json
import math
from typing import Any, ClassVar

import jax
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from proxy_tasks.schedules import parse_schedule
from proxy_tasks.sentences import listed, nearest

type_names = {int: "a whole number", float: "a finite number"}

TASKS: dict[str, type["Task"]] = {}  # kind -> class; a class enters by being defined

Params = dict[str, dict[str, Array]]
"""The parameters of a task: a leaf is `params[layer][name]`, always float32 outside tests."""


DEFAULT_SCHEDULE = "warmup_cosine"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(abc.ABC):
    """A question put to an optimizer: parameters, batches, a loss, an evaluation, a number of
    steps.

    A task is a frozen dataclass whose fields are its configuration. Randomness comes in as keys,
    data as an argument, so everything but `data` and `learning_rates` can be traced, compiled and
    vmapped. A task never knows what trains it.

    Raises  ValueError, one sentence, when a field has the wrong type or an impossible value.
    """

    kind: ClassVar[str]  # the name in suites
    version: ClassVar[int] = (
        1  # raised when the meaning changes, so that old scores are not mixed with new
    )
    measures: ClassVar[str]
    cannot: ClassVar[str]
    source: ClassVar[str]
    offers = frozenset({"loss", "hvp", "noise", "rademacher"})
    """The inputs that a program may ask for here, beyond w, g, lr and t."""

    steps: int  # training steps, the length of the schedule
    schedule: str = DEFAULT_SCHEDULE  # of the learning rate, in the words of `schedules.py`

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            if cls.kind in TASKS:
                raise TypeError(
                    f"{cls.__qualname__} and {TASKS[cls.kind].__qualname__} are both {cls.kind!r}"
                )
            TASKS[cls.kind] = cls

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if field.name == "schedule":
                continue
            value, name = getattr(self, field.name), f"{self.kind}: {field.name}"
            accepted = (
                (int, np.integer) if field.type is int else (int, float, np.integer, np.floating)
            )
            if (
                isinstance(value, bool)
                or not isinstance(value, accepted)
                or not math.isfinite(value)
            ):
                raise ValueError(f"{name} must be {type_names[field.type]}, not {value!r}.")
            # converted, so that a condition of 1000 and one of 1e3 have the same fingerprint
            value = int(value) if field.type is int else float(value)
            if field.type is int and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}.")
            if field.type is float and value <= 0:
                raise ValueError(f"{name} must be above 0, not {value}.")
            object.__setattr__(self, field.name, value)
        try:
            # in its shortest form, so that two ways to write one schedule have the same fingerprint
            object.__setattr__(self, "schedule", str(parse_schedule(self.schedule)))
        except ValueError as fault:
            raise ValueError(f"{self.kind}: {fault}") from None
        if why := self.impossible():
            raise ValueError(f"{self.kind}: {why}.")

    def impossible(self) -> str | None:
        """Say why fields that are possible one by one are not so together or with the data, or
        None.
        """
        return None

    @abc.abstractmethod
    def data(self) -> dict[str, Any]:
        """Return {"train": ..., "validation": ..., "test": ...}, the same read-only arrays for
        every seed.
        """

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

    @abc.abstractmethod
    def draws(self, key: PRNGKeyArray) -> PyTree[Array]:
        """Draw everything that is random in training, at once; leaves have a leading axis
        `steps`.
        """

    @abc.abstractmethod
    def loss(self, params: Params, data: dict[str, Any], draw: PyTree[Array]) -> Float[Array, ""]:
        """Compute the training loss of one step; `draw` is one slice of `draws`."""

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
        splits it otherwise, changes the fingerprint too.
        """
        fields = dataclasses.asdict(self)
        if self.schedule == DEFAULT_SCHEDULE:
            del fields[
                "schedule"
            ]  # as before there was a choice, so that references stay those of their tasks
        digest = hashlib.sha256(
            json.dumps([self.kind, self.version, fields], sort_keys=True).encode()
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(self.data()):
            little_endian = np.ascontiguousarray(leaf, leaf.dtype.newbyteorder("<"))
            header = [jax.tree_util.keystr(path), little_endian.dtype.str, list(leaf.shape)]
            digest.update(json.dumps(header).encode())
            digest.update(little_endian.tobytes())
        return digest.hexdigest()[:16]


class PredictionTask(Task):
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


class DenseTask(PredictionTask):
    """A task whose predictions come from affine layers in a row, one row of a batch at a time.

    It shows what goes into its layers, and says what targets its predictions expect: what an
    optimizer needs that models the curvature layer by layer.
    """

    @abc.abstractmethod
    def layers(
        self, params: Params, data: dict[str, Any], draw: PyTree[Array]
    ) -> tuple[Float[Array, "row ..."], dict[str, Float[Array, "row inputs"]]]:
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


def make_task(kind: str, **fields: Any) -> Task:
    """Build the task that a suite's line names; fields left out keep their defaults.

    Raises  ValueError, one sentence, for an unknown kind, an unknown field or an impossible value.

    >>> make_task("noisy_quadratic", dim=32, schedule="cosine").steps
    400
    """
    if not isinstance(kind, str) or kind not in TASKS:
        raise ValueError(
            f"no task is called {kind!r}{nearest(kind, TASKS)}; there are {listed(TASKS)}."
        )
    known = [field.name for field in dataclasses.fields(TASKS[kind])]
    for name in fields:
        if name not in known:
            raise ValueError(
                f"{kind} has no field {name!r}{nearest(name, known)}; it has {listed(known)}."
            )
    return TASKS[kind](**fields)
