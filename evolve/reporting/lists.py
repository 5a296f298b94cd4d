"""Lists of what there is: optimizers, primitives, tasks, suites, presets, schedules, plug-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import baselines
from baselines import catalogue
from evolve import plugins
from evolve.config.presets import load_config, load_suite, preset_names
from evolve.reporting import referenced
from evolve.reporting.tables import Grid
from evolve.search.mutation import MUTATIONS
from evolve.tuning.measured import power_of
from primitives import PRIMITIVES
from proxy_tasks import TASKS, make_task
from proxy_tasks.schedules import CURVES

Row = dict[str, Any]


@dataclass(frozen=True)
class Listing(Sequence[Row]):
    """Facts on all there is of a kind, a row each."""

    what: str
    rows: tuple[Row, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, at: Any) -> Any:
        """Return a row by its number, or by its name."""
        if isinstance(at, str):
            return {row.get("name") or row["kind"]: row for row in self.rows}[at]
        return self.rows[at]

    def __repr__(self) -> str:
        return str(self.grid())

    def _repr_html_(self) -> str:
        return self.grid().html()

    def grid(self) -> Grid:
        """Choose the columns that people have room for."""
        if not self.rows:
            return Grid(("name",), ())
        columns = SHOWN.get(self.what) or tuple(
            k for k in self.rows[0] if k != "source" or len(self.rows[0]) < 5
        )
        cells = tuple(
            tuple(UNKNOWN if row[k] is None else str(row[k]) for k in columns) for row in self.rows
        )
        return Grid(columns, cells, caption=CAPTIONS.get(self.what, ""))


MEASURED = ("parameters", "steps", "seconds", "noise", "spread", "blow_ups", "power")
"""What is known of a task that was measured; `evolve.tuning.power` says what each is."""

SHOWN = {
    "optimizers": ("name", "year", "class", "state", "error", "what"),
    "primitives": ("name", "signature", "family", "what", "cost"),
    "tasks": ("kind", *MEASURED, "measures"),
}
"""The columns that a terminal has room for."""


CAPTIONS = {
    "optimizers": catalogue.LEGEND,
    "tasks": "At the defaults of the fields. noise: of one seed; spread: of tuned optimizers; both "
    "in units of a score. power = spread / noise / sqrt(seconds), and — where nobody has measured "
    "it: evolve power SUITE.",
}

UNKNOWN = "—"


def listing(what: str) -> Listing:
    """List what there is of a kind, one of `KINDS`. Raises `KeyError` for another one."""
    return Listing(what, tuple(_ROWS[what]()))


def _optimizers() -> list[Row]:
    return [row.facts() for row in catalogue.rows()]


def _prologues() -> list[Row]:
    names = baselines.prologues()
    return [{"name": n, "what": baselines.prologue(n).doc.splitlines()[0]} for n in names]


def _primitives() -> list[Row]:
    return [
        {
            "name": p.name,
            "signature": p.signature,
            "family": p.family,
            "what": p.summary,
            "scope": p.scope,
            "cost": p.flops,
            "source": p.source,
        }
        for p in PRIMITIVES.values()
    ]


def _schedules() -> list[Row]:
    return [
        {"name": name, "what": (curve.__doc__ or "").partition("\n")[0]}
        for name, curve in CURVES.items()
    ]


def _tasks() -> list[Row]:
    return [
        {"kind": kind, **_power(kind)}
        | {"measures": t.measures, "cannot": t.cannot, "data": t.source}
        for kind, t in sorted(TASKS.items())
    ]


def _power(kind: str) -> Row:
    """Return the size of a task with its defaults, and what a training on it is worth.

    What nobody has measured is None; a task of a user's own may have no defaults.
    """
    try:
        task = make_task(kind)
    except ValueError:
        return dict.fromkeys(MEASURED)
    facts = power_of(task) or {}
    return {name: facts.get(name) for name in MEASURED} | {"steps": task.steps}


def _suites() -> list[Row]:
    return [
        {"name": name, "tasks": ", ".join(t.kind for t in load_suite(name)[1])}
        for name in preset_names("suites")
    ]


def _presets() -> list[Row]:
    return [_preset(name) for name in preset_names()]


def _preset(name: str) -> Row:
    config = load_config(name)
    ends = config.budget.model_dump().items()
    budget = ", ".join(f"{value:,g} {end}" for end, value in ends if value is not None)
    suite = config.suite if isinstance(config.suite, str) else "of its own"
    return {"name": name, "search": config.search.kind, "suite": suite, "budget": budget}


def _mutations() -> list[Row]:
    return [{"name": name, "weight": m.weight, "what": m.summary} for name, m in MUTATIONS.items()]


def _plugins() -> list[Row]:
    return [{"name": p.name, "sha256": p.sha256, "what": "loaded"} for p in plugins.loaded()] + [
        {"name": name, "sha256": "", "what": f"installed: {module}"}
        for name, module in plugins.installed().items()
    ]


_ROWS: dict[str, Callable[[], list[Row]]] = {
    "optimizers": _optimizers,
    "prologues": _prologues,
    "primitives": _primitives,
    "schedules": _schedules,
    "tasks": _tasks,
    "presets": _presets,
    "suites": _suites,
    "references": referenced.rows,
    "mutations": _mutations,
    "plugins": _plugins,
}

KINDS = tuple(_ROWS)
