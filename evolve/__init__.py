"""Pride finds optimizers: the front door, for scripts and notebooks.

>>> import evolve
>>> evolve.list_suites()["quickstart"]["tasks"]
'digits_dense'

Searching: `run`, `resume`, `open_run`. Comparing: `score`, `compare`, `train`, `tune`, `reference`,
`power`.
Taking home: `export`, `to_optax`. Looking: `show`, `validate`, `list_optimizers` and its like. Each
says in its docstring what it takes, gives and raises; `python -m evolve --help` has most of them as
commands.
Plug-ins are made with `Task`, `primitive`, `mutation` and `optimizer`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from evolve.environment import pin_on_import

__version__ = "0.1.0"

pin_on_import()  # before jax computes

if TYPE_CHECKING:
    from evolve.api import (
        compare,
        export,
        list_,
        list_mutations,
        list_optimizers,
        list_plugins,
        list_presets,
        list_primitives,
        list_prologues,
        list_schedules,
        list_suites,
        list_tasks,
        open_run,
        power,
        reference,
        resume,
        run,
        score,
        show,
        status,
        to_optax,
        train,
        tune,
        validate,
        verify,
    )
    from evolve.config.errors import ConfigError
    from evolve.interrupt import Interrupted
    from evolve.plugins import PluginError
    from evolve.reporting.comparison import Comparison
    from evolve.reporting.lists import Listing
    from evolve.reporting.programs import Shown
    from evolve.reporting.scores import Scores
    from evolve.reporting.study import Found, Study
    from evolve.running.listeners import Listener, Printer
    from evolve.scoring.optax_optimizer import optimizer, tunable
    from evolve.scoring.training import Training
    from evolve.search.mutation import mutation
    from primitives import Program, ProgramError, parse, primitive
    from proxy_tasks import Task

_WHERE = {
    "evolve.api": (
        "compare", "export", "list_", "list_mutations", "list_optimizers", "list_plugins",
        "list_presets", "list_primitives", "list_prologues", "list_schedules", "list_suites",
        "list_tasks", "open_run", "power", "reference", "resume", "run", "score", "show", "status",
        "to_optax", "train", "tune", "validate", "verify",
    ),
    "evolve.config.errors": ("ConfigError",),
    "evolve.interrupt": ("Interrupted",),
    "evolve.plugins": ("PluginError",),
    "evolve.reporting.comparison": ("Comparison",),
    "evolve.reporting.lists": ("Listing",),
    "evolve.reporting.programs": ("Shown",),
    "evolve.reporting.scores": ("Scores",),
    "evolve.reporting.study": ("Found", "Study"),
    "evolve.running.listeners": ("Listener", "Printer"),
    "evolve.scoring.optax_optimizer": ("optimizer", "tunable"),
    "evolve.scoring.training": ("Training",),
    "evolve.search.mutation": ("mutation",),
    "primitives": ("Program", "ProgramError", "parse", "primitive"),
    "proxy_tasks": ("Task",),
}  # fmt: skip
_MODULES = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "Comparison",
    "ConfigError",
    "Found",
    "Interrupted",
    "Listener",
    "Listing",
    "PluginError",
    "Printer",
    "Program",
    "ProgramError",
    "Scores",
    "Shown",
    "Study",
    "Task",
    "Training",
    "compare",
    "export",
    "list_",
    "list_mutations",
    "list_optimizers",
    "list_plugins",
    "list_presets",
    "list_primitives",
    "list_prologues",
    "list_schedules",
    "list_suites",
    "list_tasks",
    "mutation",
    "open_run",
    "optimizer",
    "parse",
    "power",
    "primitive",
    "reference",
    "resume",
    "run",
    "score",
    "show",
    "status",
    "to_optax",
    "train",
    "tunable",
    "tune",
    "validate",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for: a worker, and `evolve --help`, need little of all this."""
    if name not in _MODULES:
        raise AttributeError(f"module 'evolve' has no attribute {name!r}")
    found = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
