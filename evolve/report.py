"""What people read: tables on the terminal. Higher scores are better; 0 is tuned AdamW."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

import baselines
from evolve.config import Config, load_config, load_suite, preset_names
from evolve.confirm import Verdict, shown_interval, shown_score
from evolve.folder import command
from primitives import PRIMITIVES, Program, identity
from primitives.cost import cost
from primitives.graph import graph
from primitives.liveness import live_statements
from proxy_tasks import TASKS

if TYPE_CHECKING:
    from evolve.run import Result

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
            v.name, shown_score(v) + mark, shown_interval(v), str(v.statements), str(v.buffers), f"{v.operations:g}"
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
        print("\nNothing was found: no candidate passed the selection seeds. A longer budget may help.\n")
    else:
        print(f"\nThe best program found:\n\n{result.best}")
        print(f"The run:         {path}")
        print(f"The program:     {path / 'best' / 'program.py'}")
        print(f"As optax file:   {path / 'best' / 'optax.py'}\n")
    print(
        "Go on searching:       "
        + f"{evolve} resume {path} --set budget.candidates={more(config)} --set budget.seconds=null"
    )
    print(f"Score one of yours:    {evolve} score adamw lion {path} my_program.py --suite {_suite_name(result)}")
    print(f"Export:                {evolve} export {path} --to optax -o my_optimizer.py")


def more(config: Config) -> int:
    return 2 * (config.budget.candidates or 20000)


def _suite_name(result: Result) -> str:
    """The suite as it was given, which the resolved config writes out."""
    import yaml

    given = yaml.safe_load((result.folder.path / "config.yaml").read_text())
    return given["suite"] if isinstance(given["suite"], str) else "quickstart"


def print_status(found: dict[str, Any]) -> None:
    print(f"{found['run']}: {found['state']}")
    if not found["candidates"]:
        print("no candidate yet")
        return
    print(f"{found['candidates']:,} candidates in {found['seconds']:.0f} s of search")
    print(f"  {found['evaluated']:,} scored, {found['cached']:,} known already")
    for reason, count in sorted(found["rejected"].items()):
        print(f"  {count:,} rejected: {reason}")
    for name, count in sorted(found["statuses"].items()):
        if name not in ("ok", "cached", "rejected"):
            print(f"  {count:,} {name}")
    best = found["best"]
    if best:
        print(f"best so far: candidate {best['candidate']}, {best['score']:+.4f} on the selection seeds")
    print(f"hash chain: {found['hash_chain']}")
    if found["state"] == "stopped":
        print(f"go on with:  {command()} resume {found['run']}")


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
        "live_state": sorted(states),
        "buffers_per_parameter": price.buffers,
        "operations_per_parameter": price.operations,
        "inputs": list(program.inputs),
        "primitives": sorted({i.op for i in program.body}),
        "key": identity.key(values),
    }


def print_program(program: Program) -> None:
    found = program_facts(program)
    print(program)
    print(
        f"# {found['live_statements']} of {found['statements']} statements are live; "
        f"{found['buffers_per_parameter']} state buffers and {found['operations_per_parameter']:g} operations "
        "a parameter"
    )
    print(f"# identity {found['key']}")


def listing(what: str) -> list[dict[str, Any]]:
    """Rows of facts on what there is."""
    if what == "optimizers":
        rows = []
        for name in baselines.names():
            program = baselines.get(name)
            price = cost(program)
            rows.append(
                {
                    "name": name,
                    "what": program.doc.splitlines()[0].split(": ", 1)[-1],
                    "statements": price.statements,
                    "state": price.buffers,
                    "source": _labelled(program.doc, "Source"),
                    "convention": _labelled(program.doc, "Convention"),
                }
            )
        return rows
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
            {"name": name, "tasks": ", ".join(t.kind for t in load_suite(name)[1])} for name in preset_names("suites")
        ]
    return [_preset_row(name) for name in preset_names()]


def _preset_row(name: str) -> dict[str, Any]:
    config = load_config(name)
    budget = ", ".join(f"{v:,g} {k}" for k, v in config.budget.model_dump().items() if v is not None)
    suite = config.suite if isinstance(config.suite, str) else "of its own"
    return {"name": name, "search": config.search.kind, "suite": suite, "budget": budget}


def _labelled(doc: str, label: str) -> str:
    """The paragraph of a docstring that starts with `label:`, as one line."""
    lines, taking = [], False
    for line in doc.splitlines():
        if line.startswith(f"{label}:"):
            taking = True
            line = line.removeprefix(f"{label}:")
        elif line and not line.startswith(" ") and ": " in line[:20]:
            taking = False
        if taking:
            lines.append(line.strip())
    return " ".join(lines).strip()


def print_listing(rows: list[dict[str, Any]]) -> None:
    table = Table(show_lines=False)
    shown = [k for k in rows[0] if k not in ("convention", "scope", "source") or len(rows[0]) < 5]
    for name in shown:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(str(row[k]) for k in shown))
    console().print(table)


__all__ = ["listing", "print_listing", "print_program", "print_result", "print_status", "print_verdicts"]
