"""The blocks that transformers and their kin are made of: a mixer of positions, then an MLP.

    x = x + mix(norm(x))        x = x + down(gelu(up(norm(x))))

Source  Vaswani et al. 2017, arXiv:1706.03762; norms before the layers: Xiong et al. 2020,
        arXiv:2002.04745; the scale of the branches: Radford et al. 2019; gelu: Hendrycks and Gimpel
        2016, arXiv:1606.08415, which has no kink that differences would stumble over.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from proxy_tasks.kit.networks import Layer, attention, layer_norm, matmul, normal

WIDER = 4  # times the width: the hidden layer of an MLP


def norm_init(width: int) -> Layer:
    """Return a layer norm's scale of 1 and shift of 0."""
    return {"scale": jnp.ones(width, jnp.float32), "shift": jnp.zeros(width, jnp.float32)}


def blocks_init(key: PRNGKeyArray, depth: int, width: int, inputs: int = 3) -> dict[str, Layer]:
    """Draw the blocks: a `mixer` and an `mlp` each, by name.

    inputs: how many projections of its input a mixer takes, side by side: 3 are queries, keys and
    values.
    """
    residual = 0.5 / depth  # of a branch's variance: all 2·depth of them add up to 1
    layers = {}
    for block, one in enumerate(jax.random.split(key, depth)):
        into, out, up, down = jax.random.split(one, 4)
        layers[f"mixer_{block}"] = norm_init(width) | {
            "in": normal(into, (width, inputs * width)),
            "out": normal(out, (width, width), residual),
        }
        layers[f"mlp_{block}"] = norm_init(width) | {
            "up": normal(up, (width, WIDER * width), 2.0),
            "down": normal(down, (WIDER * width, width), residual),
        }
    return layers


def blocks(
    layers: dict[str, Layer],
    depth: int,
    x: Float[Array, "row time width"],
    mix: Callable[[Layer, Float[Array, "row time width"]], Float[Array, "row time width"]],
) -> Float[Array, "row time width"]:
    """Compute all blocks; `mix(layer, x)` is what goes into the product with `out`."""
    for block in range(depth):
        mixer, mlp = layers[f"mixer_{block}"], layers[f"mlp_{block}"]
        x = x + matmul(mix(mixer, layer_norm(mixer, x)), mixer["out"])
        x = x + matmul(jax.nn.gelu(matmul(layer_norm(mlp, x), mlp["up"])), mlp["down"])
    return x


def attend(heads: int, causal: bool) -> Callable[..., Float[Array, "row time width"]]:
    """Return the mixer of a transformer."""
    return lambda layer, x: attention(matmul(x, layer["in"]), heads, causal)


def heads_fault(width: int, heads: int) -> str | None:
    """Say that a width cannot be shared among heads, or None."""
    return (
        f"width must be a multiple of heads, not {width} for {heads} heads"
        if width % heads
        else None
    )
