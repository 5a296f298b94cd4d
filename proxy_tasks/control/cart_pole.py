"""Learn to balance a pole on a cart by the policy gradient."""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from proxy_tasks.kit.networks import affine_row, affine_row_init, numbered
from proxy_tasks.kit.parts import PARTS, frozen
from proxy_tasks.task import Params, Task

GRAVITY, CART, POLE, HALF_LENGTH = 9.8, 1.0, 0.1, 0.5  # m/s², kg, kg, m
TICK = 0.04  # seconds from one action to the next
FORCE = 10.0  # newtons at most
FAR, TILTED = 2.4, 0.2095  # metres from the middle, and radians (12 degrees): beyond, it has fallen
START = (1.0, 0.5, 0.15, 0.5)  # the first state is uniform within these: m, m/s, rad, rad/s
EXPLORATION = 0.5  # standard deviation of an action around the policy's
DISCOUNT = 0.95  # a tick, of costs that an action is blamed for
STARTS, SEED = 512, 1983  # of evaluations


@dataclass(frozen=True)
class CartPole(Task):
    """Mean cost of balancing a pole on a cart, from a policy gradient with a baseline.

        position, speed, angle, turning → width (depth times) → action,   force = 10 tanh(action) N

    A tick costs ½ (x / 2.4 m)² + ½ (angle / 12°)², and 1 from the fall on, which nothing undoes.
    Training plays `batch` episodes a step, with actions that are normal around the policy's. Its
    loss is their mean cost; its gradient is that of the log probabilities of the actions, each
    times the discounted cost to come, less the mean over the episodes at that tick. That is an
    estimate and no gradient of a function, so Hessian products are not offered.

    An evaluation plays 512 episodes from fixed starts without exploration, other ones for each
    part.

    Shape   193 parameters at the defaults; a draw holds first states and the noise of actions.
    Unit    cost a tick; 1 for falling at once, about 0.04 for the best seen, which has to bring
            the cart back.
    Size    search; `confirm` is width 64, depth 2, ticks 100, steps 600.
    Source  the equations: Barto, Sutton and Anderson 1983, doi:10.1109/TSMC.1983.6313077, without
            friction; REINFORCE: Williams 1992, doi:10.1007/BF00992696.
    """

    measures: ClassVar[str] = (
        "Whether a policy improves from noisy estimates of its gradient, on data that change as "
        "it does."
    )
    cannot: ClassVar[str] = (
        "Nothing about exploration, learned critics or reusing experience: the cost guides every "
        "tick, and one seed's luck is larger than in supervised tasks."
    )
    source: ClassVar[str] = "Simulated here; Barto, Sutton and Anderson 1983 (no data set)"
    offers = Task.offers - {"hvp"}

    small: ClassVar[dict[str, Any]] = {"width": 8, "ticks": 24, "batch": 32, "steps": 60}

    width: int = 32
    depth: int = 1  # hidden layers
    ticks: int = 50  # of an episode
    batch: int = 128  # episodes a step
    steps: int = 200
    init_scale: float = 1.0  # times the usual first parameters

    @property
    def names(self) -> tuple[str, ...]:
        """The layers from state to action."""
        return numbered("layer", self.depth + 1)

    def init(self, key: PRNGKeyArray) -> Params:
        sizes = (4, *(self.width,) * self.depth, 1)
        return affine_row_init(key, self.names, sizes, scale=self.init_scale)

    def draws(self, key: PRNGKeyArray) -> dict[str, Array]:
        start, noise = jax.random.split(key)
        shape = (self.steps, self.ticks, self.batch)
        return {
            "start": first_states(start, (self.steps, self.batch)),
            "noise": EXPLORATION * jax.random.normal(noise, shape, jnp.float32),
        }

    def loss(
        self, params: Params, data: dict[str, Any], draw: dict[str, Array]
    ) -> Float[Array, ""]:
        seen, costs = self.play(jax.lax.stop_gradient(params), draw["start"], draw["noise"])

        def add(later: Array, cost: Array) -> tuple[Array, Array]:
            to_come = cost + DISCOUNT * later
            return to_come, to_come

        _, to_come = jax.lax.scan(add, jnp.zeros_like(costs[0]), costs, reverse=True)
        blame = to_come - jnp.broadcast_to(to_come.mean(axis=1, keepdims=True), to_come.shape)
        # What is done after the fall changes nothing: it would be noise.
        blame = jnp.where(fallen(seen), 0.0, blame)
        # log p(action) = -½ (action - policy)² / σ², with the actions as they were played; its
        # slope in the policy is noise / σ² there. The term is 0 itself and has that slope.
        policy = self.policy(params, seen.reshape(-1, 4)).reshape(costs.shape)
        likely = (policy - jax.lax.stop_gradient(policy)) * draw["noise"] / EXPLORATION**2
        return costs.mean() + jnp.mean(blame * likely)

    def evaluate(self, params: Params, data: dict[str, Any], part: str) -> Float[Array, ""]:
        start = jnp.asarray(fixed_starts(part), params[self.names[0]]["kernel"].dtype)
        _, costs = self.play(params, start, jnp.zeros((self.ticks, STARTS), start.dtype))
        return costs.mean()

    def policy(self, params: Params, states: Float[Array, "row 4"]) -> Float[Array, " row"]:
        """Compute the action in each state, without exploration."""
        return affine_row(params, self.names, states, jnp.tanh)[0][:, 0]

    def play(
        self, params: Params, start: Float[Array, "episode 4"], noise: Float[Array, "tick episode"]
    ) -> tuple[Float[Array, "tick episode 4"], Float[Array, "tick episode"]]:
        """Play episodes side by side; return the states that were acted in, and what came of it."""

        def act(states: Array, noise: Array) -> tuple[Array, tuple[Array, Array]]:
            after = moved(states, FORCE * jnp.tanh(self.policy(params, states) + noise))
            after = jnp.where(fallen(states)[:, None], states, after)
            return after, (states, cost(after))

        return jax.lax.scan(act, start, noise)[1]


def first_states(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draw states to start from."""
    unit = jax.random.uniform(key, (*shape, 4), jnp.float32, -1.0, 1.0)
    return unit * jnp.broadcast_to(jnp.asarray(START, jnp.float32), unit.shape)


@functools.cache
def fixed_starts(part: str) -> Float[np.ndarray, "episode 4"]:
    """Draw the first states of an evaluation, the same ones always."""
    unit = np.random.default_rng([SEED, PARTS.index(part)]).uniform(-1, 1, (STARTS, 4))
    return frozen(unit * START, np.float32)


def fallen(states: Float[Array, "*episodes 4"]) -> Bool[Array, "*episodes"]:
    """Tell which poles have fallen, or carts left."""
    return (jnp.abs(states[..., 0]) > FAR) | (jnp.abs(states[..., 2]) > TILTED)


def cost(states: Float[Array, "episode 4"]) -> Float[Array, " episode"]:
    """Compute what a tick costs that ends in these states, in (0, 1]."""
    away = 0.5 * (states[:, 0] / FAR) ** 2 + 0.5 * (states[:, 2] / TILTED) ** 2
    return jnp.where(fallen(states), 1.0, away)


def moved(
    states: Float[Array, "episode 4"], force: Float[Array, " episode"]
) -> Float[Array, "episode 4"]:
    """Move every cart by one tick: speeds first, then what moves at the new speeds."""
    x, speed, angle, turning = states.T
    sine, cosine, mass = jnp.sin(angle), jnp.cos(angle), CART + POLE
    push = (force + POLE * HALF_LENGTH * turning**2 * sine) / mass
    twist = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4 / 3 - POLE * cosine**2 / mass))
    speed = speed + TICK * (push - POLE * HALF_LENGTH * twist * cosine / mass)
    turning = turning + TICK * twist
    return jnp.stack([x + TICK * speed, speed, angle + TICK * turning, turning], axis=1)
