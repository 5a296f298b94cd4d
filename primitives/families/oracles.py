"""What only the task can compute. A program asks for it as an input: `def step(w, g, lr, hvp)`.

The task evaluates an oracle at w, on the batch of this step; a definition here is its signature
alone.
"""

from __future__ import annotations

import functools

from primitives.kinds import Tensor
from primitives.registry import ORACLE, primitive

oracle = functools.partial(primitive, family="oracle", scope=ORACLE, flops=4, linear=((0,),))


@oracle(source="Pearlmutter 1994, doi:10.1162/neco.1994.6.1.147")
def hvp(xp, x: Tensor) -> Tensor:
    """H x: the Hessian of this step's loss at w times x, over the whole model."""
    raise NotImplementedError("hvp is computed by the task")


@oracle(source="Schraudolph 2002, doi:10.1162/08997660260028683")
def gnvp(xp, x: Tensor) -> Tensor:
    """G x: the Gauss-Newton matrix of this step's loss at w times x, over the whole model; never
    below 0.
    """
    raise NotImplementedError("gnvp is computed by the task")
