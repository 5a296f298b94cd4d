"""A known optimizer for people: the program, its rule as mathematics, what a step of it costs."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

from baselines import catalogue
from baselines.handwritten import Handwritten
from evolve.reporting.tables import preformatted
from primitives import Hyperparameter, Program, ProgramError
from primitives.canonical.cost import cost
from primitives.canonical.graph import graph
from primitives.canonical.liveness import live_statements
from primitives.writing.mathematics import latex_rule, unicode_rule


@dataclass(frozen=True)
class Shown:
    """An optimizer and what is known of it.

    optimizer: the program, or an optimizer that is written by hand; facts: for machines, by name.
    """

    optimizer: Program | Handwritten
    facts: dict[str, Any]

    def __str__(self) -> str:
        if isinstance(self.optimizer, Program):
            return _program_text(self.optimizer, self.facts)
        return "\n".join([self.optimizer.doc, "", *map(_default, self.optimizer.hyperparameters)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return preformatted(str(self))

    def latex(self) -> str:
        """Write the rule alone, as LaTeX (amsmath). Raises `ProgramError` where there is none."""
        if not isinstance(self.optimizer, Program):
            raise ProgramError(f"{self.optimizer.name} is written by hand and has no program")
        return latex_rule(self.optimizer)


@dataclass(frozen=True)
class Exported:
    """An optimizer as a file of another library: its name there, and the text."""

    name: str
    source: str

    def __str__(self) -> str:
        return self.source

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return preformatted(self.source)


def shown(optimizer: Program | Handwritten) -> Shown:
    """Gather what is known of an optimizer."""
    if isinstance(optimizer, Handwritten):
        facts = catalogue.handwritten_row(optimizer).facts()
        return Shown(optimizer, facts | {"hyperparameters": optimizer.values})
    return Shown(optimizer, _program_facts(optimizer))


def _program_facts(program: Program) -> dict[str, Any]:
    values = graph(program)
    price = cost(program)
    alive, states = live_statements(program)
    return {
        "name": program.name,
        "program": str(program),
        "hyperparameters": program.values,
        "statements": len(program.body),
        "live_statements": len(alive),
        "state": [s.name for s in program.states],
        "rule": unicode_rule(program),
        "tuning": {
            h.name: [h.low, h.high, h.scale] for h in program.hyperparameters if h.low is not None
        },
        "live_state": sorted(states),
        "buffers_per_parameter": price.buffers,
        "state_per_leaf": price.state,
        "operations_per_parameter": price.operations,
        "inputs": list(program.inputs),
        "primitives": sorted({i.op for i in program.body}),
        "key": values.key.hex(),
    }


def _program_text(program: Program, facts: dict[str, Any]) -> str:
    """Write the program, and below it as comments what is known of it.

    The whole can be read again as the program.
    """
    notes = ["The rule:", "", *textwrap.indent(facts["rule"], "    ").splitlines(), ""]
    if facts["tuning"]:
        tuned = [_default(h) for h in program.hyperparameters if h.low is not None]
        notes += ["Default and tuning range:", "", *tuned, ""]
    notes += [
        f"{facts['live_statements']} of {facts['statements']} statements are live; "
        f"{facts['state_per_leaf']} state buffers and {facts['operations_per_parameter']:g} "
        f"operations a parameter",
        f"identity {facts['key']}",
    ]
    return "\n".join([str(program), *(f"# {line}".rstrip() for line in notes)])


def _default(h: Hyperparameter) -> str:
    """Write a hyperparameter for people: its default, and where tuning looks for it."""
    span = f", from {h.low:g} to {h.high:g} ({h.scale})" if h.low is not None else ""
    return f"    {h.name} = {h.value:g}{span}"
