"""found_16720: evolved from adamw by Pride.

Candidate 16720 of the run 'quickstart', seed 0. Score on the selection seeds +0.1394 (0 is tuned AdamW, 0.1 is 10 % less loss).
Confirmed on the test part in 10 fresh seeds: +0.1025 (95 % interval +0.0474 to +0.1501).

The rule, for one leaf w of the parameters and its gradient g, in step t = 1, 2, ...:

    m[0] = 0
    v[0] = 0
    m[t] = (1 - beta1)·g + beta1·m[t-1]
    g2 = g·g
    t₁ = (1 - beta1)·0.6738846255643008 + beta1·t
    w₁ = exp2(v[t-1])
    v[t] = (1 - beta2)·g2 + beta2·v[t-1]
    p1 = lr^t₁
    c1 = 1 - p1
    m_hat = m[t] / c1
    v3 = minimum(weight_decay, w₁)
    c2 = 1 - weight_decay
    v_hat = v[t] / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction₁ = m_hat / denominator
    decay = w₁·v3
    direction₂ = direction₁ + decay
    update = direction₂·lr
    w ← w - update

where

    exp2(x): 2^x; overflows to inf.
    x^y: x to the power y.
    x / y; 0 where y is exactly 0.
    minimum(x, y): The smaller of x and y.
    sqrt(x): Square root of |x|.

Learning rate: 0.1168 is the peak of the schedule that the program was tuned with
(looked for between 3e-05 and 0.3); `lr` in the rule is the schedule's value at this
step, so pass a schedule that decays, for example `optax.cosine_decay_schedule(0.1168,
steps)`, or a number to keep it constant.

The program, in Pride's language:

    learning_rate = tunable(0.1168, low=3e-05, high=0.3, scale="log")
    beta1 = tunable(0.6369, low=0.5, high=0.99, scale="log1m")
    beta2 = tunable(0.5717484998687368, low=0.8, high=0.9999, scale="log1m")
    eps = 3.675535359927236e-08
    weight_decay = tunable(0.0102, low=1e-05, high=3.0, scale="log")
    m = zeros_like(w)
    v = zeros_like(w)

    def step(w, g, lr, t):
        m = interp(g, m, beta1)
        g2 = square(g)
        t = interp(0.6738846255643008, t, beta1)
        w = exp2(v)
        v = interp(g2, v, beta2)
        p1 = lr ** t
        c1 = 1.0 - p1
        m_hat = m / c1
        v3 = minimum(weight_decay, w)
        c2 = 1.0 - weight_decay
        v_hat = v / c2
        root = sqrt(v_hat)
        denominator = root + eps
        direction = m_hat / denominator
        decay = w * v3
        direction = direction + decay
        update = direction * lr
        return update
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class ScaleByFound16720State(NamedTuple):
    """State of `scale_by_found_16720`: the steps taken, and what the rule remembers."""

    count: jax.Array
    m: optax.Updates
    v: optax.Updates


def _update(g, m, v, t, lr, beta1, beta2, eps, weight_decay):
    """What is added to the parameters, then the new m, v; on one leaf."""
    m = (1.0 - beta1) * g + beta1 * m
    g2 = g * g
    t = (1.0 - beta1) * 0.6738846255643008 + beta1 * t
    w = jnp.exp2(v)
    v = (1.0 - beta2) * g2 + beta2 * v
    p1 = _power(lr, t)
    c1 = 1.0 - p1
    m_hat = _quotient(m, c1)
    v3 = jnp.minimum(weight_decay, w)
    c2 = 1.0 - weight_decay
    v_hat = _quotient(v, c2)
    root = jnp.sqrt(jnp.abs(v_hat))
    denominator = root + eps
    direction = _quotient(m_hat, denominator)
    decay = w * v3
    direction = direction + decay
    update = direction * lr
    return -update, m, v


def scale_by_found_16720(
    learning_rate: optax.ScalarOrSchedule = 0.1168,
    beta1: jax.typing.ArrayLike = 0.6369,
    beta2: jax.typing.ArrayLike = 0.5717484998687368,
    eps: jax.typing.ArrayLike = 3.675535359927236e-08,
    weight_decay: jax.typing.ArrayLike = 0.0102,
) -> optax.GradientTransformation:
    """The steps of `found_16720`; its rule reads the learning rate inside."""

    def init_fn(params):
        return ScaleByFound16720State(
            count=jnp.zeros([], jnp.int32),
            m=jax.tree.map(lambda p: jnp.zeros_like(p, dtype=_dtype(p)), params),
            v=jax.tree.map(lambda p: jnp.zeros_like(p, dtype=_dtype(p)), params),
        )

    def update_fn(updates, state, params=None):
        del params
        count = optax.safe_increment(state.count)
        lr = learning_rate(state.count) if callable(learning_rate) else learning_rate
        updates, m, v = _each_leaf(
            _update,
            kept=(updates, state.m, state.v),
            read=(),
            numbers=(count, lr, beta1, beta2, eps, weight_decay),
        )
        return updates, ScaleByFound16720State(count=count, m=m, v=v)

    return optax.GradientTransformation(init_fn, update_fn)


def found_16720(
    learning_rate: optax.ScalarOrSchedule = 0.1168,
    beta1: jax.typing.ArrayLike = 0.6369,
    beta2: jax.typing.ArrayLike = 0.5717484998687368,
    eps: jax.typing.ArrayLike = 3.675535359927236e-08,
    weight_decay: jax.typing.ArrayLike = 0.0102,
) -> optax.GradientTransformationExtraArgs:
    """found_16720: evolved from adamw by Pride.

    Args:
        learning_rate: a number, or a schedule of the step count.
        beta1: `beta1` in the rule; tuned between 0.5 and 0.99.
        beta2: `beta2` in the rule; tuned between 0.8 and 0.9999.
        eps: `eps` in the rule.
        weight_decay: `weight_decay` in the rule; tuned between 1e-05 and 3.

    Returns:
        The corresponding `optax.GradientTransformationExtraArgs`.
    """
    return optax.with_extra_args_support(
        scale_by_found_16720(
            learning_rate=learning_rate,
            beta1=beta1,
            beta2=beta2,
            eps=eps,
            weight_decay=weight_decay,
        )
    )


def _each_leaf(rule, kept, read, numbers):
    """`rule` on each leaf of the trees `kept` and `read`; returns what becomes of `kept`.

    Arithmetic is in float32, or in float64 where a leaf has it: 16 bits are for storage.
    """
    tree = jax.tree.structure(kept[0])
    new = []
    for row in zip(*(tree.flatten_up_to(x) for x in (*kept, *read))):
        wide = _wide(*row)
        values = rule(*(jnp.asarray(x, wide) for x in (*row, *numbers)))
        new.append([jnp.asarray(x, _dtype(old)) for x, old in zip(values, row)])
    return [tree.unflatten(row[i] for row in new) for i in range(len(kept))]


def _dtype(leaf):
    """The dtype of a leaf that holds real numbers."""
    dtype = jnp.result_type(leaf)
    if jnp.issubdtype(dtype, jnp.complexfloating):
        raise TypeError(
            "found_16720 takes real parameters; for complex ones, wrap it in "
            "optax.contrib.split_real_and_imaginary"
        )
    return dtype


def _wide(*leaves):
    """float64 where a leaf has it, else float32."""
    return jnp.float64 if any(_dtype(x) == jnp.float64 for x in leaves) else jnp.float32


def _power(x, y):
    """x to the power y.

    Domain  A negative x with a y that is no whole number counts as |x|; 0 to a
            negative power is 0. Overflow becomes ±inf.
    """
    size = jnp.power(jnp.where(x == 0.0, 1.0, jnp.abs(x)), y)
    size = jnp.where((x == 0.0) & (y != 0.0), 0.0, size)
    odd = jnp.abs(jnp.fmod(y, 2.0)) == 1.0
    return jnp.where((x < 0.0) & odd, -size, size)


def _quotient(x, y):
    """x / y, 0 where y is exactly 0: the inner `where` keeps the division itself finite."""
    zero = y == 0.0
    return jnp.where(zero, 0.0, x / jnp.where(zero, 1.0, y))
