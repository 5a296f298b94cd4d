"""What can be scored: a program, an optimizer written by hand, one written with Optax.

Those that have a name are known: the programs in `baselines`, what is written by hand there, and
what plug-ins have registered.
"""

from __future__ import annotations

import baselines
from baselines import handwritten
from baselines.handwritten import Handwritten
from evolve.scoring.optax_optimizer import OPTIMIZERS, OptaxOptimizer
from primitives import Program
from primitives.registry import first_paragraph

Optimizer = Program | Handwritten | OptaxOptimizer


def known_names() -> tuple[str, ...]:
    """List the names of all optimizers that can be scored by name, sorted."""
    return tuple(sorted((*baselines.names(), *handwritten.names(), *OPTIMIZERS)))


def known(name: str) -> Optimizer:
    """Return a known optimizer. Raises `ProgramError` for a name that nobody knows."""
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    return handwritten.get(name) if name in handwritten.names() else baselines.get(name)


def title(optimizer: Optimizer) -> str:
    """Return what people call an optimizer: how its docstring begins, as in "AdamW: Adam with...".

    Where that is no such beginning, it is the optimizer's name.
    """
    words, colon, _ = first_paragraph(optimizer.doc).partition(": ")
    return words if colon else optimizer.name
