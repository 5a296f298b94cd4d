"""The layers that networks here are made of: plain functions of (parameters, input).

Biases are broadcast by hand because tests forbid implicit rank promotion.
"""

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

Layer = dict[str, Array]


def normal(key: PRNGKeyArray, shape: tuple[int, ...], gain: float = 1.0) -> Float[Array, "..."]:
    """Draw N(0, gain / fan-in), where fan-in is the product of all axes but the last.

    gain = 2 keeps the variance through a relu (He et al. 2015), gain = 1 through a linear map.
    """
    fan_in = int(np.prod(shape[:-1]))
    return jax.random.normal(key, shape, jnp.float32) * (gain / fan_in) ** 0.5


def xavier(key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draw N(0, 2 / (fan-in + fan-out)), after Glorot and Bengio 2010.

    Of a convolution's kernel each output reaches as many positions as it is read from, so that both
    hold the window.
    """
    *window, inputs, outputs = shape
    scale = (2 / (int(np.prod(window)) * (inputs + outputs))) ** 0.5
    return jax.random.normal(key, shape, jnp.float32) * scale


def affine_init(key: PRNGKeyArray, shape: tuple[int, ...], gain: float = 1.0) -> Layer:
    """Draw a kernel, inputs before outputs, and a zero bias."""
    return {"kernel": normal(key, shape, gain), "bias": jnp.zeros(shape[-1], jnp.float32)}


@jax.custom_vjp
def matmul(
    x: Float[Array, "*rows inputs"], kernel: Float[Array, "inputs outputs"]
) -> Float[Array, "*rows outputs"]:
    """Compute x · kernel, with a gradient in the kernel that is quick on a CPU.

    That gradient, xᵀ · dy, sums over the first axis of both. XLA hands such a product to Eigen,
    which took 9 or 50 microseconds for 64x64 by 64x32 depending on where the buffers lay (jax
    0.10.2); with x turned around first it takes 4, always. The barrier keeps XLA from folding the
    turn into the product.
    """
    return x @ kernel


def _matmul_forward(x, kernel):
    return x @ kernel, (x, kernel)


def _matmul_backward(saved, dy):
    x, kernel = saved
    rows, seen = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
    flipped = jax.lax.optimization_barrier(seen.T)
    return (rows @ kernel.T).reshape(x.shape), flipped @ rows


matmul.defvjp(_matmul_forward, _matmul_backward)


def affine(layer: Layer, x: Float[Array, "*rows inputs"]) -> Float[Array, "*rows outputs"]:
    """Compute x · kernel + bias, or without a bias where a norm follows that has a shift.

    The bias may have rows of its own, one for every row of x.
    """
    y = matmul(x, layer["kernel"])
    if "bias" not in layer:
        return y
    return y + jnp.broadcast_to(layer["bias"], y.shape)


def affine_row(
    layers: dict[str, Layer],
    names: tuple[str, ...],
    x: Float[Array, "row inputs"],
    activation: Callable,
) -> tuple[Float[Array, "row outputs"], dict[str, Float[Array, "row _"]]]:
    """Compute affine layers in a row with an activation between them.

    Returns what comes out, and what goes into each layer by its name.
    """
    seen = {names[0]: x}
    for before, name in itertools.pairwise(names):
        seen[name] = activation(affine(layers[before], seen[before]))
    return affine(layers[names[-1]], seen[names[-1]]), seen


def affine_row_init(
    key: PRNGKeyArray,
    names: tuple[str, ...],
    sizes: tuple[int, ...],
    gain: float = 1.0,
    scale: float = 1.0,
) -> dict[str, Layer]:
    """Draw the layers of `affine_row`: sizes are those of the input and of what each one gives.

    gain: of all layers but the last, which has 1. scale: of all kernels, beyond their gain.
    """
    keys, gains = jax.random.split(key, len(names)), [gain] * (len(names) - 1) + [1.0]
    return {
        name: affine_init(key, shape, gain * scale**2)
        for name, key, shape, gain in zip(
            names, keys, itertools.pairwise(sizes), gains, strict=True
        )
    }


def numbered(name: str, count: int) -> tuple[str, ...]:
    """Name layers of one kind: name_0, name_1 and so on."""
    return tuple(f"{name}_{number}" for number in range(count))


def convolution(
    layer: Layer, images: Float[Array, "image height width channels"], stride: int
) -> Float[Array, "image rows columns outputs"]:
    """Convolve with a 3x3 kernel, zeros around the image, as a matrix product over patches.

    `jax.lax.conv_general_dilated` computes the same; on a CPU its gradient is 5x slower (measured
    on `digits_conv`, one thread, jax 0.10.2: 1.6 ms a step against 0.33 ms).
    """
    number, height, width, channels = images.shape
    rows, columns = -(-height // stride), -(-width // stride)
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = [
        padded[:, i : i + height : stride, j : j + width : stride, :]
        for i in range(3)
        for j in range(3)
    ]
    patches = jnp.concatenate(taps, axis=-1).reshape(number * rows * columns, 9 * channels)
    flat = layer | {"kernel": layer["kernel"].reshape(9 * channels, -1)}
    return affine(flat, patches).reshape(number, rows, columns, -1)


def layer_norm(layer: Layer, x: Float[Array, "*rows width"]) -> Float[Array, "*rows width"]:
    """Shift and scale every row to mean 0 and variance 1, then by the layer's own `scale` and
    `shift`.
    """
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    y = centred * jax.lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-5)
    return y * jnp.broadcast_to(layer["scale"], y.shape) + jnp.broadcast_to(layer["shift"], y.shape)


def batch_norm(
    layer: Layer, x: Float[Array, "row *rest width"], known: Float[Array, "some *rest width"]
) -> Float[Array, "row *rest width"]:
    """Shift and scale every channel by mean and variance of `known`, which is x itself in training,
    then by the layer's own `scale` and `shift`.
    """
    axes = tuple(range(known.ndim - 1))
    mean, variance = jnp.mean(known, axis=axes), jnp.var(known, axis=axes)
    factor = layer["scale"] * jax.lax.rsqrt(variance + 1e-5)
    y = (x - jnp.broadcast_to(mean, x.shape)) * jnp.broadcast_to(factor, x.shape)
    return y + jnp.broadcast_to(layer["shift"], y.shape)


FEW = 8  # positions, up to which the matrices of attention are small


def small_products(
    a: Float[Array, "*many rows inner"], b: Float[Array, "*many inner columns"]
) -> Float[Array, "*many rows columns"]:
    """Multiply many small matrices, as sums of products.

    XLA calls Eigen for each of them, which takes about a microsecond whatever their size: a
    training of `digits_transformer` took 1.54 s, and takes 0.44 so (jax 0.10.2, one thread).
    """
    return jnp.sum(a[..., :, :, None] * b[..., None, :, :], axis=-2)


def attention(
    qkv: Float[Array, "batch time triple_width"], heads: int, causal: bool
) -> Float[Array, "batch time width"]:
    """Mix into every position the others, or where it is causal the past (Vaswani et al. 2017).

    qkv: queries, keys and values side by side.
    """
    batch, time, _ = qkv.shape
    query, key, value = jnp.split(qkv.reshape(batch, time, 3 * heads, -1), 3, axis=2)
    if time <= FEW and not causal:
        q, k, v = (jnp.swapaxes(part, 1, 2) for part in (query, key, value))
        scores = small_products(q, jnp.swapaxes(k, 2, 3)) * query.shape[-1] ** -0.5
        mixed = small_products(jax.nn.softmax(scores, axis=-1), v)
        return jnp.swapaxes(mixed, 1, 2).reshape(batch, time, -1)
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) * query.shape[-1] ** -0.5
    if causal:
        past = jnp.broadcast_to(np.tri(time, dtype=bool), scores.shape)
        scores = jnp.where(past, scores, -jnp.inf)
    weights = jax.nn.softmax(scores, axis=-1)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, value).reshape(batch, time, -1)


def causal_attention(
    qkv: Float[Array, "batch time triple_width"], heads: int
) -> Float[Array, "batch time width"]:
    """Mix the past into every position; see `attention`."""
    return attention(qkv, heads, causal=True)


def cross_entropy(
    logits: Float[Array, "*rows classes"], labels: Int[Array, "*rows"]
) -> Float[Array, ""]:
    """Compute the mean of -log softmax(logits)[label], in nats.

    The largest logit is taken off first. Without that, as in optax's function for integer labels,
    equal logits of 1e17 give log(10) + 1e17 - 1e17 = 0: a perfect score for a network that has
    blown up. The search found this within a minute.
    """
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits, axis=-1), labels[..., None], axis=-1)
    return -chosen.mean()
