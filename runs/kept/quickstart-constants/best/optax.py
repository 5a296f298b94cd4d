"""found_4239: adamw with other constants by Pride.

Candidate 4239 of the run 'quickstart-constants', seed 0. Score on the selection seeds +0.0992 (0 is tuned AdamW, 0.1 is 10 % less loss).
Confirmed on the test part in 10 fresh seeds: +0.0658 (95 % interval -0.0105 to +0.1149).

The rule, for one leaf w of the parameters and its gradient g, in step t = 1, 2, ...:

    m[0] = 0
    v[0] = 0
    m[t] = (1 - beta1)·g + beta1·m[t-1]
    g2 = g·g
    v[t] = (1 - beta2)·g2 + beta2·v[t-1]
    p1 = beta1^t
    c1 = 1 - p1
    m_hat = m[t] / c1
    p2 = beta2^t
    c2 = 1 - p2
    v_hat = v[t] / c2
    root = sqrt(v_hat)
    denominator = root + eps
    direction₁ = m_hat / denominator
    decay = w·weight_decay
    direction₂ = direction₁ + decay
    update = direction₂·lr
    w ← w - update

where

    x^y: x to the power y.
    x / y; 0 where y is exactly 0.
    sqrt(x): Square root of |x|.

Learning rate: 0.0987817 is the peak of the schedule that the program was tuned with
(looked for between 3e-05 and 0.3); `lr` in the rule is the schedule's value at this
step, so pass a schedule that decays, for example
`optax.cosine_decay_schedule(0.0987817, steps)`, or a number to keep it constant.

The program, in Pride's language:

    learning_rate = tunable(0.0987817404190092, low=3e-05, high=0.3, scale="log")
    beta1 = tunable(0.6369, low=0.5, high=0.99, scale="log1m")
    beta2 = tunable(0.6851725051474741, low=0.8, high=0.9999, scale="log1m")
    eps = 5.8544488017501725e-09
    weight_decay = tunable(0.006211043733325382, low=1e-05, high=3.0, scale="log")
    m = zeros_like(w)
    v = zeros_like(w)

    def step(w, g, lr, t):
        m = interp(g, m, beta1)
        g2 = square(g)
        v = interp(g2, v, beta2)
        p1 = beta1 ** t
        c1 = 1.0 - p1
        m_hat = m / c1
        p2 = beta2 ** t
        c2 = 1.0 - p2
        v_hat = v / c2
        root = sqrt(v_hat)
        denominator = root + eps
        direction = m_hat / denominator
        decay = w * weight_decay
        direction = direction + decay
        update = direction * lr
        return update
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax


class ScaleByFound4239State(NamedTuple):
    """State of `scale_by_found_4239`: the steps taken, and what the rule remembers."""

    count: jax.Array
    m: optax.Updates
    v: optax.Updates


def _direction(g, m, v, t, beta1, beta2, eps):
    """The direction to descend, then the new m, v; on one leaf."""
    m = (1.0 - beta1) * g + beta1 * m
    g2 = g * g
    v = (1.0 - beta2) * g2 + beta2 * v
    p1 = _power(beta1, t)
    c1 = 1.0 - p1
    m_hat = _quotient(m, c1)
    p2 = _power(beta2, t)
    c2 = 1.0 - p2
    v_hat = _quotient(v, c2)
    root = jnp.sqrt(jnp.abs(v_hat))
    denominator = root + eps
    direction = _quotient(m_hat, denominator)
    return direction, m, v


def scale_by_found_4239(
    beta1: jax.typing.ArrayLike = 0.6369,
    beta2: jax.typing.ArrayLike = 0.6851725051474741,
    eps: jax.typing.ArrayLike = 5.8544488017501725e-09,
) -> optax.GradientTransformation:
    """The direction of `found_4239`: its step before the learning rate."""

    def init_fn(params):
        return ScaleByFound4239State(
            count=jnp.zeros([], jnp.int32),
            m=jax.tree.map(lambda p: jnp.zeros_like(p, dtype=_dtype(p)), params),
            v=jax.tree.map(lambda p: jnp.zeros_like(p, dtype=_dtype(p)), params),
        )

    def update_fn(updates, state, params=None):
        del params
        count = optax.safe_increment(state.count)
        updates, m, v = _each_leaf(
            _direction,
            kept=(updates, state.m, state.v),
            read=(),
            numbers=(count, beta1, beta2, eps),
        )
        return updates, ScaleByFound4239State(count=count, m=m, v=v)

    return optax.GradientTransformation(init_fn, update_fn)


def found_4239(
    learning_rate: optax.ScalarOrSchedule = 0.0987817404190092,
    beta1: jax.typing.ArrayLike = 0.6369,
    beta2: jax.typing.ArrayLike = 0.6851725051474741,
    eps: jax.typing.ArrayLike = 5.8544488017501725e-09,
    weight_decay: optax.ScalarOrSchedule = 0.006211043733325382,
    mask: optax.MaskOrFn = None,
) -> optax.GradientTransformationExtraArgs:
    """found_4239: adamw with other constants by Pride.

    Args:
        learning_rate: a number, or a schedule of the step count.
        beta1: `beta1` in the rule; tuned between 0.5 and 0.99.
        beta2: `beta2` in the rule; tuned between 0.8 and 0.9999.
        eps: `eps` in the rule.
        weight_decay: decoupled weight decay; tuned between 1e-05 and 3.
        mask: a tree of bools, or a function that makes it from the parameters:
            which of them decay.

    Returns:
        The corresponding `optax.GradientTransformationExtraArgs`.
    """
    return optax.chain(
        scale_by_found_4239(beta1=beta1, beta2=beta2, eps=eps),
        optax.add_decayed_weights(weight_decay, mask),
        optax.scale_by_learning_rate(learning_rate),
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
            "found_4239 takes real parameters; for complex ones, wrap it in "
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
