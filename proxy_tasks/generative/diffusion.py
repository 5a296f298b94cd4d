"""Tell the noise in noisy handwritten digits, at every level of it."""

from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.data.digits import TRAIN_ROWS
from proxy_tasks.kit.networks import affine_row, affine_row_init, numbered
from proxy_tasks.kit.on_digits import OnDigits
from proxy_tasks.kit.parts import fixed_noise, shuffled_batches, take_rows
from proxy_tasks.task import Params, Task

FREQUENCIES = 4  # of sines and cosines that tell the network the time
LEVELS = 16  # of noise, that an evaluation averages over
SEED = 2006  # of the noise of evaluations


@dataclass(frozen=True)
class Diffusion(OnDigits, Task):
    """Denoising loss of a diffusion model of 8x8 digits.

        noisy = cos(πt/2) image + sin(πt/2) noise,   t in (0, 1),   pixels in [-1, 1]
        noisy and 8 waves of t → width (depth times) → 64, the noise

    The times of a batch are evenly spaced with one random shift, which takes noise out of the loss
    (Kingma et al. 2021). An evaluation has every image at 16 fixed times, with the same noise
    always.

    Shape   22,528 parameters at the defaults; a draw holds rows of the train part, their noise and
            the shift of their times.
    Unit    squared error per pixel; 1 for saying 0.
    Size    search; `confirm` is width 256, depth 3, steps 1500.
    Source  Ho et al. 2020, arXiv:2006.11239; the cosine: Nichol and Dhariwal 2021,
            arXiv:2102.09672.
    """

    measures: ClassVar[str] = (
        "Whether one network learns regressions of unlike difficulty at once, from targets that "
        "are pure noise."
    )
    cannot: ClassVar[str] = (
        "Nothing about the quality of samples, attention or convolutions: a dense network on 8x8 "
        "pixels, and its loss."
    )

    small: ClassVar[dict[str, Any]] = {"width": 32, "depth": 1, "batch": 32, "steps": 150}

    width: int = 96
    depth: int = 2  # hidden layers
    batch: int = 128
    steps: int = 500
    init_scale: float = 1.0  # times the usual first parameters

    @property
    def names(self) -> tuple[str, ...]:
        """The layers from noisy image to noise."""
        return numbered("layer", self.depth + 1)

    def init(self, key: PRNGKeyArray) -> Params:
        sizes = (64 + 2 * FREQUENCIES, *(self.width,) * self.depth, 64)
        return affine_row_init(key, self.names, sizes, 2.0, self.init_scale)

    def draws(self, key: PRNGKeyArray) -> dict[str, Array]:
        rows, noise, shift = jax.random.split(key, 3)
        return {
            "rows": shuffled_batches(rows, self.steps, self.batch, TRAIN_ROWS),
            "noise": jax.random.normal(noise, (self.steps, self.batch, 64), jnp.float32),
            "shift": jax.random.uniform(shift, (self.steps,), jnp.float32),
        }

    def loss(
        self, params: Params, data: dict[str, Any], draw: dict[str, Array]
    ) -> Float[Array, ""]:
        images = take_rows(data["train"]["image"], draw["rows"]).reshape(-1, 64)
        number = jnp.arange(self.batch, dtype=images.dtype)
        times = (number + jnp.broadcast_to(draw["shift"], number.shape)) / self.batch
        return self.missed(params, images, draw["noise"], times)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        images = jnp.tile(jnp.asarray(data[part]["image"]).reshape(-1, 64), (LEVELS, 1))
        noise = jnp.asarray(fixed_noise(SEED, *images.shape), images.dtype)
        times = (np.arange(LEVELS) + 0.5) / LEVELS
        each = jnp.asarray(np.repeat(times, images.shape[0] // LEVELS), images.dtype)
        return self.missed(params, images, noise, each)

    def missed(
        self,
        params: Params,
        images: Float[Array, "row 64"],
        noise: Float[Array, "row 64"],
        times: Float[Array, " row"],
    ) -> Float[Array, ""]:
        """Compute the mean squared error of the noise that the network sees."""
        angle = 0.5 * jnp.pi * times[:, None]
        signal = jnp.broadcast_to(jnp.cos(angle), images.shape) * (2 * images - 1)
        noisy = signal + jnp.broadcast_to(jnp.sin(angle), images.shape) * noise
        # Whole numbers of half turns over the run of t, the slowest of which tells all times apart.
        turns = [angle * (2 * n) for n in range(1, FREQUENCIES + 1)]
        waves = [wave(turn) for turn in turns for wave in (jnp.cos, jnp.sin)]
        seen = jnp.concatenate([noisy, *waves], axis=1)
        said, _ = affine_row(params, self.names, seen, jax.nn.silu)
        return jnp.mean((said - noise) ** 2)
