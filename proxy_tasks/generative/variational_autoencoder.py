"""Fit a latent-variable model to handwritten digits by its variational bound."""

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

SPREAD = 0.2  # standard deviation of a pixel around what is decoded
SAMPLES = 4  # of the code of every image, that an evaluation averages over
SEED = 1312  # of the noise of evaluations


@dataclass(frozen=True)
class VariationalAutoencoder(OnDigits, Task):
    """The variational bound of a decoder of digits and its encoder.

        64 → width (depth times) → mean and log variance of the code
        code → width (depth times) → 64

    Pixels are normal around what is decoded, with a standard deviation of 0.2; constants are left
    out, so that the bound is a squared error plus a divergence, and both are above 0. An evaluation
    has the same noise always, four draws an image, which no training sees.

    Shape   9,936 parameters at the defaults; a draw holds rows of the train part and the noise of
            their codes.
    Unit    nats per image; about 58 for the mean image and no code.
    Size    search; `confirm` is width 128, depth 2, steps 1500.
    Source  Kingma and Welling 2014, arXiv:1312.6114.
    """

    measures: ClassVar[str] = (
        "Whether two networks that meet in a noisy code are trained together, when the loss "
        "weighs what the code tells against what it costs."
    )
    cannot: ClassVar[str] = (
        "Nothing about the quality of samples, large images or codes that go unused: 8x8 pixels "
        "and a code of 8 numbers."
    )

    small: ClassVar[dict[str, Any]] = {
        "width": 8,
        "code": 2,
        "batch": 16,
        "steps": 150,
    }

    width: int = 64
    depth: int = 1  # hidden layers of each network
    code: int = 8
    batch: int = 128
    steps: int = 500
    init_scale: float = 1.0  # times the usual first parameters

    def init(self, key: PRNGKeyArray) -> Params:
        encoder, decoder = jax.random.split(key)
        hidden = (self.width,) * self.depth
        return affine_row_init(
            encoder, self.names("encoder"), (64, *hidden, 2 * self.code), 2.0, self.init_scale
        ) | affine_row_init(
            decoder, self.names("decoder"), (self.code, *hidden, 64), 2.0, self.init_scale
        )

    def names(self, network: str) -> tuple[str, ...]:
        """Name the layers of one of the two networks."""
        return numbered(network, self.depth + 1)

    def draws(self, key: PRNGKeyArray) -> dict[str, Array]:
        rows, noise = jax.random.split(key)
        return {
            "rows": shuffled_batches(rows, self.steps, self.batch, TRAIN_ROWS),
            "noise": jax.random.normal(noise, (self.steps, self.batch, self.code), jnp.float32),
        }

    def loss(
        self, params: Params, data: dict[str, Any], draw: dict[str, Array]
    ) -> Float[Array, ""]:
        images = take_rows(data["train"]["image"], draw["rows"])
        return self.bound(params, images.reshape(-1, 64), draw["noise"][None])

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        images = jnp.asarray(data[part]["image"]).reshape(-1, 64)
        noise = fixed_noise(SEED, SAMPLES, images.shape[0], self.code)
        return self.bound(params, images, jnp.asarray(noise, images.dtype))

    def bound(
        self,
        params: Params,
        images: Float[Array, "image 64"],
        noise: Float[Array, "sample image code"],
    ) -> Float[Array, ""]:
        """Compute -log p(image) at most, up to a constant: the mean over images and samples."""
        seen, _ = affine_row(params, self.names("encoder"), images, jax.nn.relu)
        mean, log_variance = jnp.split(seen, 2, axis=1)
        divergence = 0.5 * (mean**2 + jnp.exp(log_variance) - 1 - log_variance)

        spread = jnp.exp(0.5 * log_variance)
        codes = jnp.broadcast_to(mean, noise.shape) + jnp.broadcast_to(spread, noise.shape) * noise
        decoded, _ = affine_row(
            params, self.names("decoder"), codes.reshape(-1, self.code), jax.nn.relu
        )
        error = decoded.reshape(noise.shape[0], *images.shape) - images[None]
        missed = jnp.sum(error**2, axis=2) / (2 * SPREAD**2)
        return missed.mean() + jnp.sum(divergence, axis=1).mean()
