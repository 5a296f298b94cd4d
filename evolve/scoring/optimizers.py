"""What can be scored: a program, an optimizer written by hand, one written with Optax.

Those that have a name are known: the programs in `baselines`, what is written by hand there, and
what plug-ins have registered.
"""

from __future__ import annotations

from dataclasses import replace

import baselines
from baselines import handwritten
from baselines.handwritten import Handwritten
from evolve.scoring.optax_optimizer import OPTIMIZERS, OptaxOptimizer
from primitives import Program
from primitives.registry import first_paragraph

ONE = "_one"

Optimizer = Program | Handwritten | OptaxOptimizer


def known_names() -> tuple[str, ...]:
    """List the names of all optimizers that can be scored by name, sorted."""
    return tuple(sorted((*baselines.names(), *handwritten.names(), *OPTIMIZERS)))


def known(name: str) -> Optimizer:
    """Return a known optimizer. Raises `ProgramError` for a name that nobody knows.

    Its name with `ONE` is the same optimizer, which gets one configuration for all tasks of a
    suite: what somebody has who does not tune.
    """
    found = name.removesuffix(ONE)
    if found != name and name not in known_names() and is_known(found):
        base = known(found)
        doc = f"{title(base)} with one configuration: the best single one for the whole suite."
        return replace(base, name=name, doc=doc)
    if name in OPTIMIZERS:
        return OPTIMIZERS[name]
    return handwritten.get(name) if name in handwritten.names() else baselines.get(name)


def is_known(name: str) -> bool:
    """Tell whether a name is that of a known optimizer, or of one configuration of it."""
    return not {name, name.removesuffix(ONE)}.isdisjoint(known_names())


def title(optimizer: Optimizer) -> str:
    """Return what people call an optimizer: how its docstring begins, as in "AdamW: Adam with...".

    Where that is no such beginning, it is the optimizer's name.
    """
    words, colon, _ = first_paragraph(optimizer.doc).partition(": ")
    return words if colon else optimizer.name
