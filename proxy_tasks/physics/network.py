"""What networks for differential equations have in common: a smooth function of coordinates."""

import functools
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.kit.laws import scaled
from proxy_tasks.kit.networks import affine_init
from proxy_tasks.kit.parts import PARTS, frozen
from proxy_tasks.task import Params, PredictionTask

AMPLITUDES = (1.0, 0.5, 0.25, 0.125)


@functools.cache
def signs_of_modes() -> dict[str, dict[str, np.ndarray]]:
    """Return the parts, each {"sign": f32[8]}, four 1s and four -1s; `modes` takes four."""
    signs = {"sign": frozen(np.resize([1.0, -1.0], 8), np.float32)}
    return {part: signs for part in PARTS}


def modes(signs: Float[Array, " sign"]) -> Float[Array, " mode"]:
    """Return the amplitudes of the made-up solution's four modes: the seed decides their signs."""
    return jnp.asarray(AMPLITUDES, signs.dtype) * signs[: len(AMPLITUDES)]


@dataclass(frozen=True)
class PhysicsTask(PredictionTask, base=True):
    """Train a tanh network of `coordinates` inputs until it solves an equation."""

    coordinates: ClassVar[int]

    width: int = 16
    depth: int = 2  # hidden layers
    batch: int = 64  # points at which the equation is asked for, in a step
    init_scale: float = 1.0
    steps: int = 500

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the layers, from the coordinates on."""
        return (*(f"hidden_{layer}" for layer in range(self.depth)), "head")

    def init(self, key: PRNGKeyArray) -> Params:
        sizes = (self.coordinates, *[self.width] * self.depth, 1)
        params = {}
        for at, own in enumerate(jax.random.split(key, self.depth + 1)):
            params[self.names[at]] = affine_init(own, sizes[at : at + 2])
        return scaled(params, self.init_scale)

    def network(self, params: Params, points: Float[Array, "point _"]) -> Float[Array, " point"]:
        """Compute the network's function, in plain products that forward mode can pass."""
        y = 4 * (points - 0.5)  # of unit size around 0, so that units of the first layer differ
        for at, name in enumerate(self.names):
            y = y @ params[name]["kernel"]
            y = y + jnp.broadcast_to(params[name]["bias"], y.shape)
            y = jnp.tanh(y) if at < self.depth else y
        return y[:, 0]


def second(function, points: Float[Array, "point axis"], axis: int) -> Float[Array, " point"]:
    """Compute the second derivative of a function of points along one axis, in forward mode."""
    way = jnp.zeros_like(points).at[:, axis].set(1)

    def slope(at: Float[Array, "point axis"]) -> Float[Array, " point"]:
        return jax.jvp(function, (at,), (way,))[1]

    return jax.jvp(slope, (points,), (way,))[1]
