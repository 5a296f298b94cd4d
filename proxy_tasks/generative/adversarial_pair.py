"""Train a generator of handwritten digits against a network that tells them from real ones."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.data.digits import TRAIN_ROWS
from proxy_tasks.kit.networks import affine_row, affine_row_init, numbered
from proxy_tasks.kit.on_digits import OnDigits
from proxy_tasks.kit.parts import fixed_noise, shuffled_batches, take_rows
from proxy_tasks.task import Params, Task

GENERATED = 1000  # images, that an evaluation compares with those of its part
SEED = 1406  # of the codes of evaluations


@dataclass(frozen=True)
class AdversarialPair(OnDigits, Task):
    """The energy distance between digits and what a generator makes, that a critic has trained.

        code ~ N(0, 1) → width (depth times) → 64 pixels     the generator
        64 pixels → width (depth times) → real or not        the critic

    One optimizer moves both. The loss of a step is the sum of the critic's and the generator's,
    where neither is differentiated in the other's parameters: its gradient is the pair of
    gradients, and that is no gradient of any function, so Hessian products are not offered.

    The evaluation is not the loss. It is the energy distance between the images of a part and 1,000
    generated ones from codes that are always the same, in the space of pixels: 0 only where the two
    sets are the same, so neither one image many times nor a fooled critic wins.

    Shape   17,281 parameters at the defaults; a draw holds rows of the train part and codes.
    Unit    pixels are in [0, 1]; real digits among themselves, 360 against 1,000, have about 0.012.
    Size    search; `confirm` is width 128, depth 3, steps 2000.
    Source  Goodfellow et al. 2014, arXiv:1406.2661, with its non-saturating loss; the penalty on
            the critic's slope: Mescheder et al. 2018, arXiv:1801.04406; the distance: Székely and
            Rizzo 2013, doi:10.1016/j.jspi.2013.03.018.
    """

    measures: ClassVar[str] = (
        "Whether an optimizer finds the resting point of a game between two networks, where "
        "momentum can make them circle around it."
    )
    cannot: ClassVar[str] = (
        "Nothing about images that people would call good, or about separate rates for the two "
        "networks: dense ones on 8x8 pixels, at one rate."
    )
    offers = Task.offers - {"hvp"}

    small: ClassVar[dict[str, Any]] = {
        "width": 16,
        "depth": 1,
        "code": 4,
        "batch": 32,
        "steps": 150,
    }

    width: int = 64
    depth: int = 2  # hidden layers of each network
    code: int = 8
    batch: int = 128
    steps: int = 600
    slope_penalty: float = 1.0  # on the squared slope of the critic at real images
    init_scale: float = 1.0  # times the usual first parameters

    def init(self, key: PRNGKeyArray) -> Params:
        generator, critic = jax.random.split(key)
        hidden, scale = (self.width,) * self.depth, self.init_scale
        return affine_row_init(
            generator, self.names("generator"), (self.code, *hidden, 64), 2.0, scale
        ) | affine_row_init(critic, self.names("critic"), (64, *hidden, 1), 2.0, scale)

    def names(self, network: str) -> tuple[str, ...]:
        """Name the layers of one of the two networks."""
        return numbered(network, self.depth + 1)

    def draws(self, key: PRNGKeyArray) -> dict[str, Array]:
        rows, codes = jax.random.split(key)
        return {
            "rows": shuffled_batches(rows, self.steps, self.batch, TRAIN_ROWS),
            "codes": jax.random.normal(codes, (self.steps, self.batch, self.code), jnp.float32),
        }

    def loss(
        self, params: Params, data: dict[str, Any], draw: dict[str, Array]
    ) -> Float[Array, ""]:
        real = take_rows(data["train"]["image"], draw["rows"]).reshape(-1, 64)
        made = self.generate(params, draw["codes"])
        return self.loss_of_critic(params, real, jax.lax.stop_gradient(made)) + (
            self.loss_of_generator(jax.lax.stop_gradient(params), made)
        )

    def loss_of_critic(
        self, params: Params, real: Float[Array, "row 64"], made: Float[Array, "row 64"]
    ) -> Float[Array, ""]:
        """Compute -log p that each image is told for what it is, and the penalty on the slope."""
        said, back = jax.vjp(lambda images: self.criticise(params, images), real)
        (slope,) = back(jnp.ones_like(said))
        return (
            jax.nn.softplus(-said).mean()
            + jax.nn.softplus(self.criticise(params, made)).mean()
            + 0.5 * self.slope_penalty * jnp.sum(slope**2, axis=1).mean()
        )

    def loss_of_generator(self, params: Params, made: Float[Array, "row 64"]) -> Float[Array, ""]:
        """Compute -log p that the critic takes what is made for real."""
        return jax.nn.softplus(-self.criticise(params, made)).mean()

    def generate(self, params: Params, codes: Float[Array, "row code"]) -> Float[Array, "row 64"]:
        """Make an image of each code."""
        logits, _ = affine_row(params, self.names("generator"), codes, jax.nn.relu)
        return jax.nn.sigmoid(logits)

    def criticise(self, params: Params, images: Float[Array, "row 64"]) -> Float[Array, " row"]:
        """Compute the logarithm of the odds that each image is real."""
        return affine_row(params, self.names("critic"), images, jax.nn.silu)[0][:, 0]

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        real = jnp.asarray(data[part]["image"]).reshape(-1, 64)
        codes = jnp.asarray(fixed_noise(SEED, GENERATED, self.code), real.dtype)
        return energy_distance(real, self.generate(params, codes))


def energy_distance(x: Float[Array, "x feature"], y: Float[Array, "y feature"]) -> Float[Array, ""]:
    """Compute 2 E|x - y| - E|x - x'| - E|y - y'| over all pairs, a point with itself among them.

    Domain  Never below 0 but for rounding, and 0 only for equal samples. Two samples of one law
            have about E|x - x'| (1/n + 1/m).
    """
    across = distances(x, y).mean()
    within = sum(
        (distances(z, z) * (1 - jnp.eye(z.shape[0], dtype=z.dtype))).mean() for z in (x, y)
    )
    return 2 * across - within


def distances(x: Float[Array, "x feature"], y: Float[Array, "y feature"]) -> Float[Array, "x y"]:
    """Compute the Euclidean distances between the rows of x and those of y."""
    shape = (x.shape[0], y.shape[0])
    squares = [jnp.sum(z**2, axis=1) for z in (x, y)]
    both = jnp.broadcast_to(squares[0][:, None], shape) + jnp.broadcast_to(squares[1], shape)
    return jnp.sqrt(jnp.maximum(both - 2 * x @ y.T, 0))
