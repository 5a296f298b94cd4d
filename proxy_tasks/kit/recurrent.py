"""Recurrent layers: a cell, and what carries its state from one position to the next.

Equinox has the same cells, and `tests/tasks/test_networks.py` compares them. It stores outputs
before inputs, where optimizers of matrices here expect inputs first.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.kit.networks import Layer, affine, matmul, normal


class Cell(NamedTuple):
    """One step of a recurrent layer.

    gates: how many rows of outputs stand side by side in its kernels. states: how many vectors of
    the layer's width it carries; the first is what it shows. step: `(from the input, the product
    of the first state with the recurrent kernel, states) -> states`.
    """

    gates: int
    states: int
    step: Callable[..., tuple[Float[Array, "row width"], ...]]


def gru(seen, recalled, states):
    """Update a gated recurrent unit (Cho et al. 2014), the reset after the product, as in cuDNN.

    r, z = σ(x W + h U)        n = tanh(x W + r·(h U))        h = (1 - z) n + z h
    """
    (h,) = states
    r, z, n = jnp.split(seen, 3, axis=-1)
    r_h, z_h, n_h = jnp.split(recalled, 3, axis=-1)
    z = jax.nn.sigmoid(z + z_h)
    n = jnp.tanh(n + jax.nn.sigmoid(r + r_h) * n_h)
    return (n + z * (h - n),)


def lstm(seen, recalled, states):
    """Update a long short-term memory (Hochreiter and Schmidhuber 1997; Gers et al. 2000).

    i, f, g, o = σ, σ, tanh, σ of (x W + h U)        c = f c + i g        h = o tanh(c)
    """
    i, f, g, o = jnp.split(seen + recalled, 4, axis=-1)
    c = jax.nn.sigmoid(f) * states[1] + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


CELLS = {"gru": Cell(3, 1, gru), "lstm": Cell(4, 2, lstm)}


def cell_init(key: PRNGKeyArray, cell: str, width: int) -> Layer:
    """Draw a layer: kernels inputs before outputs, gates side by side, biases of 0.

    An LSTM's forget gate has a bias of 1, so that it remembers at first (Jozefowicz et al. 2015).
    """
    seen, recalled = jax.random.split(key)
    gates = CELLS[cell].gates
    bias = jnp.zeros((gates, width), jnp.float32)
    if cell == "lstm":
        bias = bias.at[1].set(1.0)
    return {
        "kernel": normal(seen, (width, gates * width)),
        "recurrent": normal(recalled, (width, gates * width)),
        "bias": bias.reshape(-1),
    }


def unroll(
    cell: Cell, layer: Layer, x: Float[Array, "time row width"]
) -> Float[Array, "time row width"]:
    """Compute what a layer shows at every position, from a state of 0 on.

    The products with inputs are made for all positions at once.
    """

    def step(states, seen):
        states = cell.step(seen, matmul(states[0], layer["recurrent"]), states)
        return states, states[0]

    return jax.lax.scan(step, (jnp.zeros_like(x[0]),) * cell.states, affine(layer, x))[1]
