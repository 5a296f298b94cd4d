"""What people read: tables on the terminal. Higher scores are better; 0 is tuned AdamW."""

from __future__ import annotations

import json
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

import baselines
from baselines import catalogue
from baselines.handwritten import Handwritten
from evolve.comparison.contest import Verdict, shown_interval, shown_score
from evolve.config.schema import Config, load_config, load_suite, preset_names
from evolve.record.folder import command
from primitives import PRIMITIVES, Hyperparameter, Program
from primitives.canonical import probe as identity
from primitives.canonical.cost import cost
from primitives.canonical.graph import graph
from primitives.canonical.liveness import live_statements
from primitives.writing.mathematics import unicode_rule
from proxy_tasks import TASKS
from proxy_tasks.schedules import CURVES

if TYPE_CHECKING:
    from evolve.running.life import Result

NARROW = 100  # columns where the output is no terminal


def console() -> Console:
    width = None if sys.stdout.isatty() else NARROW
    return Console(file=sys.stdout, width=width, highlight=False, soft_wrap=False)


def verdict_table(verdicts: list[Verdict], title: str) -> Table:
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.add_column("program")
    for name in ("score", "95 % interval", "statements", "state buffers", "operations"):
        table.add_column(name, justify="right")
    for v in sorted(verdicts, key=lambda v: -v.score):
        mark = " *" if v.beats_adamw else ""
        table.add_row(
            v.name,
            shown_score(v) + mark,
            shown_interval(v),
            str(v.statements or ""),
            v.state,
            f"{v.operations:g}" if v.statements else "",
        )
    table.caption = (
        "score: log(loss of tuned AdamW / loss); higher is better, 0.1 is 10 % less loss\n"
        "state buffers and operations (cost of a step, in additions): per parameter\n"
        "*: above tuned AdamW, with allowance for the number of finalists"
    )
    return table


def print_verdicts(verdicts: list[Verdict], title: str) -> None:
    console().print(verdict_table(verdicts, title))


def print_result(result: Result, config: Config) -> None:
    """The end of a run."""
    out = console()
    suite = config.name
    title = f"{suite}: {config.confirm.seeds} fresh seeds, test part ({result.tally})"
    out.print()
    out.print(verdict_table(result.verdicts, title))
    path, evolve = result.folder.path, command()
    if result.best is None:
        print(
            "\nNothing was found: no candidate passed the selection seeds. A longer budget may "
            "help.\n"
        )
    else:
        print(f"\nThe best program found:\n\n{result.best}")
        print(f"The run:         {path}")
        print(f"The program:     {path / 'best' / 'program.py'}")
        print(f"As optax file:   {path / 'best' / 'optax.py'}\n")
    print(
        "Go on searching:       "
        + f"{evolve} resume {path} --set budget.candidates={more(config)} --set budget.seconds=null"
    )
    print(
        f"Score one of yours:    {evolve} score adamw lion {path} my_program.py --suite "
        f"{_suite_name(result)}"
    )
    print(f"Export:                {evolve} export {path} --to optax -o my_optimizer.py")


def more(config: Config) -> int:
    return 2 * (config.budget.candidates or 20000)


def _suite_name(result: Result) -> str:
    """The suite as it was given, which the resolved config writes out."""
    import yaml

    given = yaml.safe_load((result.folder.path / "config.yaml").read_text())
    return given["suite"] if isinstance(given["suite"], str) else "quickstart"


def program_facts(program: Program) -> dict[str, Any]:
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
        "key": identity.key(values),
    }


def print_program(program: Program) -> None:
    """The program, and below it as comments what is known of it: the whole can be read again as the
    program.
    """
    found = program_facts(program)
    print(program)
    notes = ["The rule:", "", *textwrap.indent(found["rule"], "    ").splitlines(), ""]
    if found["tuning"]:
        tuned = [_default(h) for h in program.hyperparameters if h.low is not None]
        notes += ["Default and tuning range:", "", *tuned, ""]
    notes.append(
        f"{found['live_statements']} of {found['statements']} statements are live; "
        f"{found['state_per_leaf']} state buffers and {found['operations_per_parameter']:g} "
        f"operations a parameter"
    )
    notes.append(f"identity {found['key']}")
    print("\n".join(f"# {line}".rstrip() for line in notes))


def print_handwritten(optimizer: Handwritten, as_json: bool) -> None:
    found = catalogue.handwritten_row(optimizer).facts() | {"hyperparameters": optimizer.values}
    if as_json:
        print(json.dumps(found, indent=1))
        return
    print(optimizer.doc)
    print()
    for h in optimizer.hyperparameters:
        print(_default(h))


def _default(h: Hyperparameter) -> str:
    """A hyperparameter for people: its default, and where tuning looks for it."""
    span = f", from {h.low:g} to {h.high:g} ({h.scale})" if h.low is not None else ""
    return f"    {h.name} = {h.value:g}{span}"


def listing(what: str) -> list[dict[str, Any]]:
    """Rows of facts on what there is."""
    if what == "optimizers":
        return [row.facts() for row in catalogue.rows()]
    if what == "prologues":
        return [
            {"name": name, "what": baselines.prologue(name).doc.splitlines()[0]}
            for name in baselines.prologues()
        ]
    if what == "schedules":
        return [
            {"name": name, "what": (curve.__doc__ or "").splitlines()[0]}
            for name, curve in CURVES.items()
        ]
    if what == "primitives":
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
    if what == "tasks":
        return [
            {"kind": t.kind, "measures": t.measures, "cannot": t.cannot, "data": t.source}
            for t in (TASKS[kind] for kind in sorted(TASKS))
        ]
    if what == "suites":
        return [
            {"name": name, "tasks": ", ".join(t.kind for t in load_suite(name)[1])}
            for name in preset_names("suites")
        ]
    return [_preset_row(name) for name in preset_names()]


def _preset_row(name: str) -> dict[str, Any]:
    config = load_config(name)
    budget = ", ".join(
        f"{v:,g} {k}" for k, v in config.budget.model_dump().items() if v is not None
    )
    suite = config.suite if isinstance(config.suite, str) else "of its own"
    return {"name": name, "search": config.search.kind, "suite": suite, "budget": budget}


SHOWN = {
    "optimizers": ("name", "year", "class", "state", "error", "what"),
    "primitives": ("name", "signature", "family", "what", "cost"),
}
"""The columns that a terminal has room for."""


def print_listing(what: str, rows: list[dict[str, Any]]) -> None:
    table = Table(show_lines=False, expand=what == "optimizers")
    shown = SHOWN.get(what) or [
        k for k in rows[0] if k not in ("convention", "scope", "source") or len(rows[0]) < 5
    ]
    for name in shown:
        if what == "optimizers":  # a line each
            table.add_column(
                name, overflow="ellipsis", no_wrap=True, ratio=1 if name == "what" else None
            )
        else:
            table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*("" if row[k] is None else str(row[k]) for k in shown))
    if what == "optimizers":
        table.caption = catalogue.LEGEND
    console().print(table)


__all__ = [
    "listing",
    "print_handwritten",
    "print_listing",
    "print_program",
    "print_result",
    "print_verdicts",
]
