"""Printing: the text of a program, from which `parse.py` reads the same program.

It prints drafts, so it stands below `Program`, which prints itself with it.
"""

from __future__ import annotations

from dataclasses import replace

from primitives.kinds import TENSOR
from primitives.registry import PRIMITIVES
from primitives.statements import KERNELS, Draft, Fallback, Hyperparameter, Instruction, State

# Two of the bounds that `parse.py` sets; only a docstring could exceed them.
MAX_LINE = 1000
MAX_NESTING = 32


def print_program(program: Draft) -> str:
    """Return the program as text that parses to the same program."""
    lines = []
    if program.doc:
        lines += [_print_doc(program.doc)]
    for h in program.hyperparameters:
        lines.append(f"{h.name} = {_print_hyperparameter(h)}")
    for s in program.states:
        lines.append(f"{s.name} = {_print_start(s)}")
    if program.kernels != KERNELS[0]:
        lines.append(f"kernels = {program.kernels}()")
    functions: list[tuple[str, Draft | Fallback]] = [("step", program)]
    if program.fallback is not None:
        functions.append(("fallback", program.fallback))

    for name, function in functions:
        lines += [""] if lines else []
        lines.append(f"def {name}({', '.join(function.inputs)}):")
        lines += [f"    {print_instruction(instruction)}" for instruction in function.body]
        returned = (
            (function.output, function.evaluate_at) if function.evaluate_at else (function.output,)
        )
        lines.append(f"    return {', '.join(returned)}")
    return "\n".join(lines) + "\n"


def print_instruction(instruction: Instruction) -> str:
    """Return a statement as text: `update = m / v1`."""
    args = [a if isinstance(a, str) else _print_number(a) for a in instruction.args]
    primitive = PRIMITIVES[instruction.op]
    if instruction.op == "copy":
        value = args[0]
    elif primitive.infix:
        left = f"({args[0]})" if args[0].startswith("-") and primitive.infix == "**" else args[0]
        value = f"{left} {primitive.infix} {args[1]}"
    else:
        value = f"{instruction.op}({', '.join(args)})"
    return f"{instruction.target} = {value}"


def _print_number(value: float) -> str:
    return repr(float(value))  # repr of a numpy float is "np.float64(0.5)"


def _print_doc(doc: str) -> str:
    """Return a docstring as text that can be read again.

    It stays within the bounds above, and what a file cannot hold, or would give back changed, is
    written as an escape.
    """
    quotes = '\\"' if '"""' in doc or doc.endswith('"') else '"'
    many = (
        sum(map(doc.count, "([{")) > MAX_NESTING
    )  # the bound on nesting counts the brackets of a string too
    text, width = "", 0
    for c in doc:
        if c == '"':
            c = quotes
        elif c in "([{" and many:
            c = f"\\x{ord(c):02x}"
        elif c == "\\" or not (
            c.isprintable() or c in "\n\t"
        ):  # NUL, carriage return, lone surrogates, ...
            c = c.encode("unicode_escape").decode()
        if width > MAX_LINE - 20 and c != "\n":
            text, width = text + "\\\n", 0
        text, width = text + c, 0 if c == "\n" else width + len(c)
    return f'"""{text}"""'


def _print_hyperparameter(h: Hyperparameter) -> str:
    if h.low is None and h.scale == "linear" and not h.tuned:
        return _print_number(h.value)
    parts = [_print_number(h.value)]
    if h.low is not None and h.high is not None:
        parts += [f"low={_print_number(h.low)}", f"high={_print_number(h.high)}"]
    if h.scale != "linear":
        parts.append(f'scale="{h.scale}"')
    if h.tuned:
        parts.append(f"tuned=({', '.join(map(_print_number, h.tuned))},)")
    return f"tunable({', '.join(parts)})"


def _print_start(s: State) -> str:
    if s.ring:
        return f"ring({_print_start(replace(s, ring=0))}, {s.ring})"
    if s.kind is not TENSOR:
        return f"{s.kind}({s.start if isinstance(s.start, str) else _print_number(s.start)})"
    if isinstance(s.start, str):
        return f"copy({s.start})"
    return (
        "zeros_like(w)" if _is_positive_zero(s.start) else f"full_like(w, {_print_number(s.start)})"
    )


def _is_positive_zero(value: float) -> bool:
    return repr(value) == "0.0"
