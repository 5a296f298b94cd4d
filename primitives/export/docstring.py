"""The docstring of an exported file: what the program says of itself, the rule, and the program."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace

from primitives.export.body import WIDTH
from primitives.export.rule import ExportedRule
from primitives.program import Program
from primitives.statements import LEARNING_RATE, Hyperparameter
from primitives.views import MATRICES
from primitives.writing.formulas import explained, formulas
from primitives.writing.listing import FIRST

PROGRAM_HEADING = "The program, in Pride's language:"
"""The last part of an exported docstring: below it stands the program, indented, ready to be parsed
again.
"""


def docstring(rule: ExportedRule, name: str, advice: Sequence[str], found: str) -> str:
    """Return the docstring of a file, which is still to be quoted.

    advice: paragraphs about using the rule with this library; found: where the program was found
    and how it scored.
    """
    whole = rule.whole
    doc = whole.doc.strip("\n") or f"{name}: an optimizer program, exported from Pride."
    paragraphs = [doc.rstrip()]
    heads = ("matrix", "leaf") if rule.by_shape else ("leaf",)
    for number, (part, leaf) in enumerate(zip(rule.parts, heads, strict=False)):
        head = (
            f"The rule, for one {leaf} w of the parameters and its gradient g, "
            "in step t = 1, 2, ...:"
        )
        paragraphs.append("For a leaf that is no matrix:" if number else head)
        paragraphs.append(textwrap.indent("\n".join(formulas(part.full, part.program)), "    "))

    words = explained(dict.fromkeys(line.op for line in rule.lines if line.op != FIRST))
    if words:
        paragraphs += ["where", textwrap.indent("\n".join(words), "    ")]
    if rule.by_shape:
        paragraphs.append(textwrap.fill(MATRICES[whole.kernels], WIDTH))
    paragraphs += [textwrap.fill(text, WIDTH) for text in advice]
    if found.strip():
        paragraphs.append(found.strip())
    program = str(replace(whole, doc="")).rstrip("\n")
    paragraphs += [PROGRAM_HEADING, textwrap.indent(program, "    ")]
    return "\n\n".join(paragraphs) + "\n"


def peak_of_rate(program: Program) -> str:
    """Say which learning rate a program was tuned with."""
    text = f"{program.learning_rate:g} is the peak of the schedule that the program was tuned with"
    declared = next((h for h in program.hyperparameters if h.name == LEARNING_RATE), None)
    if declared is not None and declared.low is not None:
        text += f" (looked for between {declared.low:g} and {declared.high:g})"
    return text


def about(h: Hyperparameter, rule: ExportedRule) -> str:
    """Say what a hyperparameter is, and between which values it was tuned."""
    text = "decoupled weight decay" if h.name == rule.decay else f"`{h.name}` in the rule"
    return text + (f"; tuned between {h.low:g} and {h.high:g}." if h.low is not None else ".")


def title(program: Program, name: str) -> str:
    """Return the first line of the program's docstring, safe inside another one."""
    doc = program.doc.strip()
    return quoted(doc.splitlines()[0] if doc else f"The optimizer `{name}`.")


def quoted(text: str) -> str:
    """Return a text as it is written between triple quotes, where a new line follows it."""
    text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return "".join(
        c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )
