"""Known optimizers that are no straight-line program.

They search along a line, take steps back, or need layers. All stand behind one interface, so that
they are scored on the same tasks as programs are:

    entry = handwritten.get("lbfgs_zoom")
    state = entry.init(w, objective)
    w, state = entry.step(w, state, objective, lr)
"""

from __future__ import annotations

# An entry enters the registry by being defined.
from baselines.handwritten import kfac, line_search, newton, quasi_newton  # noqa: F401
from baselines.handwritten.entry import HANDWRITTEN, Handwritten, Rule
from baselines.handwritten.objective import Layer, Objective
from primitives import ProgramError
from primitives.errors import did_you_mean

__all__ = ["Handwritten", "Layer", "Objective", "Rule", "get", "names"]


def names() -> tuple[str, ...]:
    """Return the names of all entries, sorted; also of those that cannot be used here."""
    return tuple(sorted(HANDWRITTEN))


def get(name: str) -> Handwritten:
    """Return the entry of this name. Raises `ProgramError` for a name that nobody knows."""
    if name not in HANDWRITTEN:
        hint = f"{did_you_mean(name, names())} There are: {', '.join(names())}."
        raise ProgramError(f"no handwritten optimizer is called {name!r}", hint=hint.strip())
    return HANDWRITTEN[name]
