"""Full-batch regression by a network with badly scaled inputs and layers."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from proxy_tasks.kit.laws import deal_law, normal_rows
from proxy_tasks.kit.networks import affine, normal
from proxy_tasks.kit.parts import batch_above, frozen, shuffled_batches, take_rows
from proxy_tasks.kit.targets import NumberTargets
from proxy_tasks.task import DenseTask, Params, setting

SEED = 1998
INPUTS, HIDDEN = 8, 16  # of the teacher
TRAIN_ROWS = 512
FLOOR = 1e-4


@functools.cache
def rows_of_inputs() -> dict[str, Any]:
    """Return the parts: {"x": f32[row, 8], "luck": f32[row], "into": f32[8, 16], "from": f32[16]},
    all N(0, 1); the last two are the teacher's weights.
    """
    rng = np.random.default_rng([SEED, 7])
    teacher = {
        "into": frozen(rng.standard_normal((INPUTS, HIDDEN)), np.float32),
        "from": frozen(rng.standard_normal(HIDDEN), np.float32),
    }
    xs, luck = normal_rows(SEED, TRAIN_ROWS, INPUTS), normal_rows(SEED + 1, TRAIN_ROWS)
    return {part: {"x": xs[part], "luck": luck[part]} | teacher for part in xs}


@dataclass(frozen=True)
class IllScaledRegression(NumberTargets, DenseTask):
    """Half the squared error of a tanh network whose inputs and layers are badly scaled.

    Inputs have standard deviations from 1 to 1/input_scales. Layer l holds kernels that are
    layer_scales times too large or too small, in turns, and computes with them divided by that
    number: the function at the start is a usual network, its parameters are not. Targets are a
    teacher's, who sees the inputs before they were scaled, with weights of the seed's own.

    Theory  Dividing a layer's parameters by c multiplies its curvature by c²: one rate for all is
            wrong by layer_scales⁴ between two layers. Steps that follow each leaf's own scale
            (LARS, LAMB) do not see it, those of one size a coordinate see layer_scales², and all
            but second-order methods see the scales of the inputs (LeCun et al. 1998, Efficient
            BackProp).

    Shape   8-width-...-1 with `depth` hidden layers; a batch is all 512 rows.
    Unit    half the variance of the targets, + 1e-4; ½ for predicting their mean.
    """

    measures: ClassVar[str] = (
        "Whether one learning rate serves layers and inputs of very different scales, without any "
        "noise of batches."
    )
    cannot: ClassVar[str] = "Nothing about noise, attention or generalisation from real data."
    source: ClassVar[str] = "Generated; after LeCun, Bottou, Orr, Müller 1998, Efficient BackProp"

    small: ClassVar[dict[str, Any]] = {
        "width": 8, "depth": 1, "batch": 64, "steps": 150, "input_scales": 2.0,
        "layer_scales": 1.0,
    }  # fmt: skip

    width: int = 32
    depth: int = 2  # hidden layers
    input_scales: float = 10.0  # largest standard deviation of an input over smallest
    layer_scales: float = 3.0
    batch: int = TRAIN_ROWS
    label_noise: float = setting(0.0, from_zero=True)  # standard deviation, in the train part alone
    init_scale: float = 1.0
    steps: int = 500

    def impossible(self) -> str | None:
        return batch_above(self.batch, TRAIN_ROWS)

    def data(self) -> dict[str, Any]:
        return rows_of_inputs()

    def deal(self, key: PRNGKeyArray, data: dict[str, Any]) -> dict[str, Any]:
        return deal_law(key, data, ("into", "from"))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers, from the inputs on."""
        return (*(f"hidden_{layer}" for layer in range(self.depth)), "head")

    def scale(self, layer: int) -> float:
        """Return by how much the parameters of a layer are too large."""
        return self.layer_scales ** (-1 if layer % 2 else 1)

    def init(self, key: PRNGKeyArray) -> Params:
        sizes = (INPUTS, *[self.width] * self.depth, 1)
        params = {}
        for layer, (name, own) in enumerate(
            zip(self.names, jax.random.split(key, len(self.names)), strict=True)
        ):
            size = self.scale(layer) * self.init_scale
            params[name] = {
                "kernel": size * normal(own, sizes[layer : layer + 2]),
                "bias": jnp.zeros(sizes[layer + 1], jnp.float32),
            }
        return params

    def draws(self, key: PRNGKeyArray) -> Int[Array, "steps batch"]:
        return shuffled_batches(key, self.steps, self.batch, TRAIN_ROWS)

    def layers(
        self, params: Params, data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> tuple[Float[Array, " batch"], dict[str, Float[Array, "batch _"]]]:
        return self.network(params, take_rows(data["train"]["x"], draw))

    def network(
        self, params: Params, x: Float[Array, "row 8"]
    ) -> tuple[Float[Array, " row"], dict[str, Float[Array, "row _"]]]:
        """Predict the targets of some rows, and show what enters each layer."""
        scales = np.geomspace(1.0, 1.0 / self.input_scales, INPUTS)
        seen, y = {}, x * jnp.asarray(scales, x.dtype)[None]
        for layer, name in enumerate(self.names):
            # to divide the input is to divide the kernel
            seen[name] = (jnp.tanh(y) if layer else y) / self.scale(layer)
            y = affine(params[name], seen[name])
        return y[:, 0], seen

    def target(self, law: dict[str, Array], x: Float[Array, "row 8"]) -> Float[Array, " row"]:
        """Compute what the teacher says, of variance about 1."""
        hidden = jnp.tanh(x @ law["into"] * INPUTS**-0.5)
        return hidden @ law["from"] * (0.4 * HIDDEN) ** -0.5  # tanh of N(0, 1) has variance 0.39

    def judge(
        self, predictions: Float[Array, " batch"], data: dict[str, Any], draw: Int[Array, " batch"]
    ) -> Float[Array, ""]:
        rows = {name: take_rows(data["train"][name], draw) for name in ("x", "luck")}
        targets = self.target(data["train"], rows["x"]) + self.label_noise * rows["luck"]
        return self.penalty(predictions, targets)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        x = jnp.asarray(data[part]["x"])
        return self.penalty(self.network(params, x)[0], self.target(data["train"], x)) + FLOOR
