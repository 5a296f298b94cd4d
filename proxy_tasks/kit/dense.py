"""Tasks of a dense network with one hidden layer: all but the data."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from proxy_tasks.kit.networks import affine_init, affine_row
from proxy_tasks.kit.parts import PARTS, batch_above, deal_anew, shuffled_batches, take_rows
from proxy_tasks.kit.targets import ClassTargets, NumberTargets
from proxy_tasks.task import DenseTask, Params


@dataclass(frozen=True)
class DenseNetwork(DenseTask, base=True):
    """A network inputs-width-outputs, trained on rows of data in shuffled epochs.

    A task states `data` alone: parts {inputs: [row, ...], targets: [row]}, the same arrays at every
    call. The axes of a row become one; bytes, which pixels are, are divided by 255. Every seed
    deals the train and validation rows anew.
    """

    inputs: ClassVar[str] = "x"  # what the arrays of a part are called
    targets: ClassVar[str] = "y"
    gain: ClassVar[float]  # of the hidden layer: see `normal`
    kinds: ClassVar[str]  # of numbers that targets may be, as numpy writes them
    other: ClassVar[str]  # what to do with targets of another kind

    width: int = 32
    batch: int = 64
    steps: int = 500

    @abstractmethod
    def outputs(self) -> int:
        """Count the outputs of the network."""

    @abstractmethod
    def activation(self, x: Float[Array, "row width"]) -> Float[Array, "row width"]:
        """Compute what the hidden layer gives on."""

    @abstractmethod
    def data(self) -> dict[str, Any]:
        """Return {part: {inputs: [row, ...], targets: [row]}}, read-only."""

    @property
    def train(self) -> tuple[np.ndarray, np.ndarray]:
        """The inputs and targets of the train part."""
        part = self.data()["train"]
        return part[self.inputs], part[self.targets]

    def impossible(self) -> str | None:
        targets = self.train[1]
        if targets.dtype.kind not in self.kinds:
            return f"the targets {self.targets!r} are {targets.dtype}: {self.other}"
        return batch_above(self.batch, len(targets))

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_anew(key, data)

    def init(self, key: PRNGKeyArray) -> Params:
        hidden, head = jax.random.split(key)
        size = int(np.prod(self.train[0].shape[1:]))
        return {
            "hidden": affine_init(hidden, (size, self.width), self.gain),
            "head": affine_init(head, (self.width, self.outputs())),
        }

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        return shuffled_batches(key, self.steps, self.batch, len(self.train[1]))

    def layers(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> tuple[Float[Array, "batch ..."], dict[str, Float[Array, "batch _"]]]:
        return self.network(params, take_rows(data["train"][self.inputs], draw))

    def judge(
        self,
        predictions: Float[Array, "batch ..."],
        data: dict[str, Any],
        draw: Int[Array, " batch"],
    ) -> Float[Array, ""]:
        return self.penalty(predictions, take_rows(data["train"][self.targets], draw))

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        predictions, _ = self.network(params, jnp.asarray(data[part][self.inputs]))
        return self.penalty(predictions, jnp.asarray(data[part][self.targets]))

    def network(
        self, params: Params, rows: Shaped[Array, "row ..."]
    ) -> tuple[Float[Array, "row outputs"], dict[str, Float[Array, "row _"]]]:
        """Compute the outputs for some rows, and what goes into each layer."""
        x = rows.reshape(len(rows), -1)
        if x.dtype == jnp.uint8:
            x = x.astype(jnp.float32) / 255
        return affine_row(params, ("hidden", "head"), x, self.activation)


@dataclass(frozen=True)
class DenseClassification(ClassTargets, DenseNetwork, base=True):
    """Cross-entropy of an inputs-width-classes relu network; labels are numbered from 0.

    Unit    nats per row; log(classes) for a guess.
    """

    gain = 2.0
    kinds = "iu"
    other = "give labels as whole numbers, or derive the task from DenseRegression"

    def outputs(self) -> int:
        data = self.data()
        return 1 + max(int(data[part][self.targets].max()) for part in PARTS)

    def activation(self, x: Float[Array, "row width"]) -> Float[Array, "row width"]:
        return jax.nn.relu(x)


@dataclass(frozen=True)
class DenseRegression(NumberTargets, DenseNetwork, base=True):
    """Half the squared error of an inputs-width-1 tanh network.

    Unit    half the square of the targets' unit; ½ for predicting the mean of standardised ones.
    """

    gain = 1.0
    kinds = "f"
    other = "give numbers as float32, or derive the task from DenseClassification"

    def outputs(self) -> int:
        return 1

    def activation(self, x: Float[Array, "row width"]) -> Float[Array, "row width"]:
        return jnp.tanh(x)

    def network(
        self, params: Params, rows: Shaped[Array, "row ..."]
    ) -> tuple[Float[Array, " row"], dict[str, Float[Array, "row _"]]]:
        outputs, inputs = super().network(params, rows)
        return outputs[:, 0], inputs
