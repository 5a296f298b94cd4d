"""The definitions of our primitives, a module a family; to import them registers them."""

from importlib import import_module

FAMILIES = (
    "arithmetic",
    "lion",
    "logic",
    "matrix",
    "oracles",
    "reductions",
    "statistics",
    "projections",
)
"""The modules of our primitives, in the order in which they register.

Mutations draw from the registry in its order, so another order here is another search from the same
seed. A new family comes last.
"""

for _family in FAMILIES:
    import_module(f"{__name__}.{_family}")
