"""K-FAC, which is out of reach, and why."""

from __future__ import annotations

from baselines.handwritten.entry import Rule, handwritten, tunable


@handwritten(
    learning_rate=tunable(0.1, 1e-3, 10.0),
    missing="K-FAC needs the inputs and the back-propagated signals of every layer, which a task does not show, "
    "and the released library for it (kfac-jax 0.0.8) fails on jax 0.10.2.",
)
def kfac() -> Rule:
    """K-FAC: natural gradient with one Kronecker product a layer, from its inputs and back-propagated signals.

    Convention: none yet. kfac-jax 0.0.8, the newest release, was tried on a network of two dense layers with
        jax 0.10.2: its tracer raises "ValueError: too many values to unpack (expected 2)" in the first step
        (get_bind_params gives one result since, not two). It also wants losses registered inside the model.
    Family: second order
    Why: what it averages are inputs and signals of layers; a program, like every entry here, sees parameters
        and their gradient only.
    Source: Martens and Grosse 2015, arXiv:1503.05671
    """
    raise NotImplementedError
