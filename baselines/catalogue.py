"""The catalogue: one row for every known optimizer, read from its file and from what was measured.

`python -m baselines.catalogue` prints the table that stands in OPTIMIZERS.md.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import baselines
from baselines import handwritten
from primitives import PRIMITIVES, Program
from primitives.canonical.cost import cost
from primitives.canonical.graph import graph
from primitives.canonical.liveness import prune
from primitives.registry import AXIS, LEAF, MATRIX, MODEL, first_paragraph

AGREEMENT = Path(__file__).parent / "agreement.json"
"""What `make agreement` measured: the error of every program against its second opinions."""

FAMILIES = (
    "gradient descent", "momentum", "sign", "adaptive", "layerwise", "matrix", "second order",
    "conjugate gradient", "parameter free", "averaging", "mirror descent", "variance reduction",
    "line search",
)  # fmt: skip

CLASSES = {
    "E": "elementwise", "T": "reduces over a leaf", "A": "over an axis", "G": "over the model",
    "M": "matrix", "p": "reads the parameters", "V": "reads the loss",
    "H": "Hessian or Gauss-Newton products", "R": "random", "S": "evaluated elsewhere",
    "C": "reads the share of the run done", "L": "written by hand: searches, accepts or rejects",
}  # fmt: skip

LEGEND = (
    "class: " + ", ".join(f"{letter} {what}" for letter, what in CLASSES.items()) + "\n"
    "state: arrays of the size of a leaf, and smaller ones; error: largest relative distance to "
    "a second opinion\n"
    "over 100 steps in float64 (float32 in --json and in baselines/OPTIMIZERS.md)"
)

OUT_OF_REACH = {
    "optax.contrib.dpsgd": "clips the gradient of every example; a task gives the gradient of a "
    "batch",
    "optax.contrib.differentially_private_aggregate": "aggregates gradients of examples; a task "
    "gives that of a batch",
    "optax.contrib.split_real_and_imaginary": "a wrapper for complex parameters; parameters are "
    "real here",
}
"""Optimizers of optax that no row stands for, and why."""

UNSAID = {
    "layer-wise rates": "ask for the name or the depth of a leaf, and a program sees neither: "
    "`optax.partition` puts an exported optimizer on some leaves with a rate of their own",
    "quantiles of all gradients so far": "need a memory that grows; a ring keeps 128 values at "
    "most, as for `autoclip_adam`",
    "a window whose length is tuned": "is no ring, whose length is part of the program, as for "
    "`grokfast_ma`",
    "states of rank x columns": "have no kind: `apollo` and `dion` keep theirs in the first rows "
    "or columns of a square, with the same steps and more memory",
}
"""What optimizers are published with and the language does not say, and why."""


@dataclass(frozen=True)
class Row:
    """What is known of an optimizer."""

    name: str
    what: str
    family: str
    year: str
    class_: str
    state: str
    statements: int  # 0 for one that is written by hand
    primitives: tuple[str, ...]
    opinions: tuple[dict[str, Any], ...]  # by whom, and the error in float32 and float64
    convention: str
    source: str
    optax: tuple[str, ...]  # names of optax that this is the row for
    why: str = ""  # why it is no program
    opinion: str = ""  # the second opinion on one that is written by hand, and the bar of its test
    missing: str = ""  # why it cannot be used here
    # How far it leads from the convention that it departs from, as a relative distance.
    differs: str = ""

    @property
    def error(self) -> float | None:
        """Return the largest float64 error; None where nothing was measured."""
        errors = [o["float64"] for o in self.opinions]
        return max(errors) if errors else None

    def facts(self) -> dict[str, Any]:
        """Return what tables and JSON show of it."""
        found = {("class" if k == "class_" else k): v for k, v in asdict(self).items()}
        shown = "" if self.error is None else f"{self.error:.0e}"
        return found | {
            "error": shown,
            "primitives": list(self.primitives),
            "optax": list(self.optax),
        }


@cache
def agreement() -> dict[str, Any]:
    """Return the measured agreement by optimizer; empty where nobody measured."""
    return json.loads(AGREEMENT.read_text()) if AGREEMENT.is_file() else {}


def program_key(program: Program) -> str:
    """Return what a measured agreement belongs to.

    Another program of this name needs another measurement.
    """
    return graph(program).key.hex()


def rows() -> list[Row]:
    """Make all rows: programs, then optimizers written by hand."""
    programs = [program_row(baselines.get(name)) for name in baselines.names()]
    return programs + [handwritten_row(handwritten.get(name)) for name in handwritten.names()]


def program_row(program: Program) -> Row:
    """Make the row of a known program."""
    measured = agreement().get(program.name, {})
    opinions = tuple(measured["opinions"]) if measured.get("key") == program_key(program) else ()
    price, plain = cost(program), prune(program)
    used = tuple(sorted({i.op for body in plain.bodies for i in body}))
    return Row(
        program.name, *_about(program.doc), class_of(plain), price.state, price.statements, used,
        opinions, labelled(program.doc, "Convention"), labelled(program.doc, "Source"),
        _names(program.doc),
        differs="{from} {by:.0e}".format(**measured["differs"]) if "differs" in measured else "",
    )  # fmt: skip


def handwritten_row(entry: handwritten.Handwritten) -> Row:
    """Make the row of an optimizer that is no program."""
    return Row(
        entry.name, *_about(entry.doc), "L", "", 0, (), (),
        labelled(entry.doc, "Convention"), labelled(entry.doc, "Source"), _names(entry.doc),
        labelled(entry.doc, "Why"), labelled(entry.doc, "Opinion"), entry.missing,
    )  # fmt: skip


def class_of(program: Program) -> str:
    """Return letters of `CLASSES`: what a program reduces over, then what it reads and returns."""
    ops = [PRIMITIVES[i.op] for body in program.bodies for i in body]
    scopes = {p.scope for p in ops}
    letters = [
        letter
        for letter, scope in (("T", LEAF), ("A", AXIS), ("G", MODEL), ("M", MATRIX))
        if scope in scopes
    ]
    read = {a for body in program.bodies for i in body for a in i.args}
    reads = {
        "p": "w" in read,
        "V": "loss" in program.needs,
        "H": bool(program.needs & {"hvp", "gnvp"}),
        "R": bool(program.needs & {"noise", "rademacher"}),
        "C": "run_progress" in program.needs,
        "S": bool(program.evaluate_at),
    }
    return "".join(letters or ["E"]) + "".join(letter for letter, so in reads.items() if so)


def labelled(doc: str, label: str) -> str:
    """Return the paragraph of a docstring that starts with `label:`, as one line."""
    lines, taking = [], False
    for line in doc.splitlines():
        if line.startswith(f"{label}:"):
            taking = True
            line = line.removeprefix(f"{label}:")
        elif re.match(r"[A-Z][a-z]+: ", line) or not line.strip():
            taking = False
        if taking:
            lines.append(line.strip())
    return " ".join(lines).strip()


def _about(doc: str) -> tuple[str, str, str]:
    """Read from a docstring what the optimizer is, its family and its year."""
    first = first_paragraph(doc)
    year = re.search(r"\b(1[89]|20)\d\d\b", labelled(doc, "Source"))
    return first.split(": ", 1)[-1], labelled(doc, "Family"), year.group() if year else ""


def _names(doc: str) -> tuple[str, ...]:
    """Return the names of optax that a docstring claims."""
    return tuple(name.strip(" .") for name in labelled(doc, "Optax").split(",") if name.strip())


def markdown() -> str:
    """Write the table for people, from the same rows as `evolve list optimizers`."""
    lines = [
        "# Known optimizers",
        "",
        "Generated by `make agreement` from the program files and from `agreement.json`. "
        + LEGEND.replace("\n", " "),
        "",
        "| name | what | year | class | state | statements | second opinion | float32 | float64 "
        "| convention | differs "
        "from | optax |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows():
        said = [o["by"] + (f" (wider bar: {o['why']})" if o["why"] else "") for o in row.opinions]
        by = "<br>".join(said) or f"{row.opinion} Written by hand: {row.why}"
        single, double = (
            "<br>".join(f"{o[d]:.1e}" for o in row.opinions) for d in ("float32", "float64")
        )
        cells = [
            f"[{row.name}](programs/{row.name}.py)" if row.statements else row.name, row.what,
            row.year, row.class_, row.state, str(row.statements or ""), by, single, double,
            row.convention, row.differs, ", ".join(row.optax),
        ]  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += ["", "Out of reach:", ""]
    lines += [f"- `{name}` {why}." for name, why in OUT_OF_REACH.items()]
    lines += ["", "What the language does not say:", ""]
    lines += [f"- {what[0].upper()}{what[1:]} {why}." for what, why in UNSAID.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
