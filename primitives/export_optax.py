"""Export to Optax: a program as one readable file that imports only jax and optax.

Where the learning rate and the decoupled weight decay stand decides the form:

    update = lr · (d + w · c)   →   chain(scale_by_<name>, add_decayed_weights, scale_by_learning_rate)
    update = lr · d             →   chain(scale_by_<name>, scale_by_learning_rate)
    anything else               →   scale_by_<name> takes the learning rate and the parameters inside
"""

from __future__ import annotations

import ast
import builtins
import keyword
import math
import textwrap
from dataclasses import replace
from pathlib import Path

from primitives.definitions import Definitions, explained
from primitives.errors import ProgramError
from primitives.kinds import SCALAR
from primitives.listing import DECAY, FIRST, Number, Value, formulas, listing, without_decay, without_learning_rate
from primitives.liveness import prune
from primitives.program import INPUTS, LEARNING_RATE, Hyperparameter, Program, State
from primitives.registry import ELEMENTWISE, MODEL

TEMPLATE = Path(__file__).with_name("optax_template.py.jinja")
PROGRAM_HEADING = "The program, in Pride's language:"
"""The last part of an exported docstring: below it stands the program, indented, ready to be parsed again."""

WIDTH = 88

OPTAX_GIVES = ("w", "g", "lr", "t")
_TAKEN = frozenset(dir(builtins)) | {
    "jax", "jnp", "optax", "NamedTuple",
    "init_fn", "update_fn", "updates", "state", "params", "count", "learning_rate", "mask",
    "l", "O", "I",  # ruff's E741
}  # fmt: skip
_OURS = ("_direction", "_update", "_each_leaf", "_whole_model", "_dtype", "_wide", "_copy")  # in the template


def to_optax_source(program: Program, *, name: str | None = None, found: str = "") -> str:
    """The text of a Python file that defines `scale_by_<name>` and `<name>`.

    found: where the program was found and how it scored; goes into the docstring.

    Raises `ProgramError` for a name that Python cannot use, and for a primitive whose
    definition needs more than jax.
    """
    name = _checked(program.name if name is None else name)
    for given in prune(program).inputs:
        if given not in OPTAX_GIVES:
            hint = "Export a program that reads w, g, lr and t only."
            raise ProgramError(f"optax gives an optimizer no {given!r}", hint=hint)
    return _Exporter(program, name, found).source()


def _checked(name: str) -> str:
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        raise ProgramError(
            f"{name!r} cannot name a Python function",
            hint="Give another name: letters, digits and _, not first a digit, and no keyword of Python.",
        )
    if name in _TAKEN or name.startswith("_"):
        hint = f"Name it {name.strip('_')}_opt."
        raise ProgramError(f"an exported file needs the name {name!r} itself", hint=hint)
    return name


class _Exporter:
    """Collects what the template asks for."""

    def __init__(self, program: Program, name: str, found: str):
        self.whole, self.name, self.found = program, name, found
        self.program = prune(program)
        self.full = self.code = listing(self.program)
        self.decay: Value | None = None
        direction = without_learning_rate(self.full)
        self.chained = direction is not None
        if direction is not None:
            self.code, self.decay = without_decay(direction, self.program) or (direction, None)
        self.entries = self.code.live()[1]
        self.over_model = any(line.scope == MODEL for line in self.code.live_lines())
        self.camel = "ScaleBy" + "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        self.definitions = Definitions(_OURS)
        self._name_variables()

    def _name_variables(self) -> None:
        """Decides what each variable of the program, and each input, is called in the exported file."""
        program = self.program
        self.taken = {*_TAKEN, self.name, f"scale_by_{self.name}", f"{self.camel}State"}
        if isinstance(self.decay, Number):
            self.taken.add(DECAY)
        states, targets = (s.name for s in program.states), (i.target for i in program.body)
        variables = dict.fromkeys((*program.inputs, *program.values, *states, *targets, *INPUTS))
        self.python = {v: self._fresh(v.lstrip("_") or "x") for v in variables}
        self.dtype, self.leaves = self._fresh("dtype"), self._fresh("leaves")  # of the rule itself

    def _fresh(self, name: str) -> str:
        """The name, with an underscore or more where it is taken."""
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return name

    def _numbered(self, stem: str, number: int) -> str:
        """The stem with this number, or with a larger one where that is taken."""
        while f"{stem}{number}" in self.taken:
            number += 1
        self.taken.add(f"{stem}{number}")
        return f"{stem}{number}"

    # --- the rule ---

    def _body(self) -> list[str]:
        """The lines of the rule."""
        code, python = self.code, self.python
        order = code.live()[0]
        returned = (code.update, *(code.states[s.name] for s in self.program.states))
        many: set[Value] = {e for e in self.entries if e in ("w", "g", *code.states)}  # over a model, lists of leaves
        last: dict[Value, float] = {}  # the last line that reads a value
        arrays: dict[Value, str] = {}  # literals that must be arrays, and what they are called
        for n in order:
            line = code.lines[n]
            last.update(dict.fromkeys(line.args, n))
            arrays.update((line.args[slot], "") for slot in line.array_slots())
            if line.scope == MODEL or many.intersection(line.args):
                many.add(n)
        last.update(dict.fromkeys(returned, math.inf))
        for number, literal in enumerate(arrays, 1):
            arrays[literal] = self._numbered("c", number)
        called: dict[Value, str] = {e: python[e] for e in self.entries}
        holder: dict[str, Value] = {name: value for value, name in called.items()}

        def shown(value: Value) -> str:
            return str(value) if isinstance(value, Number) else called[value]

        def listed(value: Value) -> str:
            return f"[{shown(value)}] * {self.leaves}" if self.over_model and value not in many else shown(value)

        lines = []
        for n in order:
            line = code.lines[n]
            if line.scope == MODEL:
                right = self.definitions.call(line.op, [listed(a) for a in line.args])
            else:
                slots = line.array_slots()
                args = [arrays[a] if slot in slots else shown(a) for slot, a in enumerate(line.args)]
                right = _first(*args) if line.op == FIRST else self.definitions.call(line.op, args)
                over = list(dict.fromkeys(shown(a) for a in line.args if a in many))
                if self.over_model and over:
                    source = over[0] if len(over) == 1 else f"zip({', '.join(over)})"
                    right = f"[{right} for {', '.join(over)} in {source}]"
            target = python[line.name]
            if target in holder and last.get(holder[target], -1) > n:  # its old value is still to be read
                target = self._numbered(target, 2)
            holder[target] = n
            called[n] = target
            lines += _folded(f"{target} = {right}")
        values = [listed(v) for v in returned]
        if not self.chained:
            values[0] = f"[-x for x in {values[0]}]" if self.over_model else f"-{values[0]}"
        lines.append(f"return {', '.join(values)}" if len(values) > 1 else f"return ({values[0]},)")
        top = []
        if arrays:
            top.append(f"{self.dtype} = {python['g']}{'[0]' if self.over_model else ''}.dtype")
            top += [f"{name} = jnp.asarray({literal}, {self.dtype})" for literal, name in arrays.items()]
        if any(f"] * {self.leaves}" in line for line in lines):
            top.append(f"{self.leaves} = len({python['g']})")
        return top + lines

    # --- the parts of the file ---

    def source(self) -> str:
        import jinja2  # here: only an export needs it

        program, python = self.program, self.python
        states = [python[s.name] for s in program.states]
        read = ["w"] if "w" in self.entries else []
        rated = "lr" in self.entries
        tuned = [h for h in program.hyperparameters if h.name != LEARNING_RATE]
        inner = [h for h in tuned if h.name in self.entries]
        sources = {"t": "count", "lr": "lr"} | {h.name: python[h.name] for h in tuned}
        numbers = {name: source for name, source in sources.items() if name in self.entries}  # beside the trees
        rule_parameters = [python[v] for v in ("g", *(s.name for s in program.states), *read, *numbers)]

        rate = f"learning_rate: optax.ScalarOrSchedule = {program.learning_rate!r}"
        inner_parameters = [f"{python[h.name]}: jax.typing.ArrayLike = {h.value!r}" for h in inner]
        inner_call = [f"{python[h.name]}={python[h.name]}" for h in inner]
        if rated:
            inner_parameters.insert(0, rate)
            inner_call.insert(0, "learning_rate=learning_rate")
        outer_parameters = [rate]
        outer_arguments = [self._rate_advice()]
        for h in tuned:
            kind = "optax.ScalarOrSchedule" if h.name == self.decay else "jax.typing.ArrayLike"
            outer_parameters.append(f"{python[h.name]}: {kind} = {h.value!r}")
            outer_arguments.append(self._advice(h))
        decay = python[self.decay] if isinstance(self.decay, str) else ""
        if isinstance(self.decay, Number):
            decay = DECAY
            outer_parameters.append(f"{DECAY}: optax.ScalarOrSchedule = {self.decay}")
            outer_arguments.append(f"{DECAY}: decoupled weight decay, a bare number in the program.")
        if decay:
            outer_parameters.append("mask: optax.MaskOrFn = None")
            outer_arguments.append("mask: a tree of bools, or a function that makes it from the parameters:")
            outer_arguments.append("    which of them decay.")
        body = self._body()  # before the helpers, which it collects
        environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
        text = environment.from_string(TEMPLATE.read_text("utf-8")).render(
            name=self.name,
            docstring=_quoted(self._docstring()),
            constants=list(self.definitions.constants.values()),
            helpers=list(self.definitions.helpers.values()),
            state_class=f"{self.camel}State",
            states=[{"name": python[s.name], "start": _start(s)} for s in program.states],
            inner_parameters=_stacked(inner_parameters),
            inner_summary=self._inner_summary(rated),
            outer_parameters=_stacked(outer_parameters),
            outer_summary=_title(self.whole, self.name),
            outer_arguments=outer_arguments,
            call=_call,
            inner_call=inner_call,
            reads_parameters=bool(read),
            reads_rate=rated,
            chained=self.chained,
            decay=decay,
            over_model=self.over_model,
            adapter="_whole_model" if self.over_model else "_each_leaf",
            rule="_direction" if self.chained else "_update",
            rule_parameters=", ".join(rule_parameters),
            rule_summary=self._rule_summary(states),
            rule_lines=body,
            results=", ".join(["updates", *states]) if states else "(updates,)",
            trees=[
                f"kept={_tuple(['updates', *(f'state.{s}' for s in states)])}",
                f"read={'(params,)' if read else '()'}",
                f"numbers={_tuple(list(numbers.values()))}",
            ],
            new_state=["count=count", *(f"{s}={s}" for s in states)],
            copies=any(s.start == "w" for s in program.states),
        )
        return text.rstrip("\n") + "\n"

    def _inner_summary(self, rated: bool) -> str:
        if self.chained:
            return f"The direction of `{self.name}`: its step before the learning rate."
        if rated:
            return f"The steps of `{self.name}`; its rule reads the learning rate inside."
        return f"The steps of `{self.name}`."

    def _rule_summary(self, states: list[str]) -> str:
        what = "The direction to descend" if self.chained else "What is added to the parameters"
        new = f", then the new {', '.join(states)}" if states else ""
        where = "over lists of all leaves" if self.over_model else "on one leaf"
        return f"{what}{new}; {where}."

    def _rate_advice(self) -> str:
        if not self.chained and "lr" not in self.entries:
            return "learning_rate: not used, the rule does not read it; kept for a uniform call."
        return "learning_rate: a number, or a schedule of the step count."

    def _rate_paragraph(self) -> str:
        peak = self.whole.learning_rate
        declared = next((h for h in self.whole.hyperparameters if h.name == LEARNING_RATE), None)
        text = f"Learning rate: {peak:g} is the peak of the schedule that the program was tuned with"
        if declared is not None and declared.low is not None:
            text += f" (looked for between {declared.low:g} and {declared.high:g})"
        return (
            f"{text}; `lr` in the rule is the schedule's value at this step, so pass a schedule that decays, "
            f"for example `optax.cosine_decay_schedule({peak:g}, steps)`, or a number to keep it constant."
        )

    def _advice(self, h: Hyperparameter) -> str:
        text = f"{self.python[h.name]}: "
        text += "decoupled weight decay" if h.name == self.decay else f"`{h.name}` in the rule"
        return text + (f"; tuned between {h.low:g} and {h.high:g}." if h.low is not None else ".")

    def _docstring(self) -> str:
        whole, lines = self.whole, self.full.live_lines()
        doc = whole.doc.strip("\n") or f"{self.name}: an optimizer program, exported from Pride."
        parts = [
            doc.rstrip(),
            "The rule, for one leaf w of the parameters and its gradient g, in step t = 1, 2, ...:",
            textwrap.indent("\n".join(formulas(self.full, self.program)), "    "),
        ]
        words = explained(dict.fromkeys(line.op for line in lines if line.op != FIRST))
        if words:
            parts += ["where", textwrap.indent("\n".join(words), "    ")]
        parts.append(textwrap.fill(self._rate_paragraph(), WIDTH))
        if any(line.scope != ELEMENTWISE for line in self.full.lines):
            note = "Sums run over what this process sees of a leaf: inside shard_map or pmap they are local."
            parts.append(textwrap.fill(note, WIDTH))
        if self.found.strip():
            parts.append(self.found.strip())
        parts += [PROGRAM_HEADING, textwrap.indent(str(replace(whole, doc="")).rstrip("\n"), "    ")]
        return "\n\n".join(parts) + "\n"


def _first(t: str, g: str, state: str) -> str:
    return f"jnp.where({t} == 1.0, {g}, {state})"


def _start(state: State) -> str:
    """A function that makes a state's first value from a leaf."""
    if state.start == "w":
        return "_copy"
    if state.kind is SCALAR:
        return f"lambda p: jnp.full([], {state.start!r}, _wide(p))"
    start = 0.0 if state.start == "g" else state.start
    if repr(start) == "0.0":
        return "lambda p: jnp.zeros_like(p, dtype=_dtype(p))"
    return f"lambda p: jnp.full_like(p, {start!r}, dtype=_dtype(p))"


def _stacked(parameters: list[str]) -> str:
    return "".join(f"\n    {p}," for p in parameters) + "\n" if parameters else ""


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _call(head: str, items: list[str], indent: int) -> str:
    """A call on one line, or with one argument a line where that is too long."""
    line = f"{head}({', '.join(items)})"
    if indent + len(line) <= WIDTH or not items:
        return line
    inner = " " * (indent + 4)
    return f"{head}(\n" + "".join(f"{inner}{item},\n" for item in items) + " " * indent + ")"


def _folded(line: str) -> list[str]:
    """A statement on lines that fit: a long right side goes into parentheses."""
    for node in ast.walk(ast.parse(line)):  # evolved programs say such things, and ruff minds
        if isinstance(node, ast.Compare):
            sides = (node.left, *node.comparators)
            if all(isinstance(side, ast.Constant) for side in sides):
                return [f"{line}  # noqa: PLR0133"]
            if len({ast.unparse(side) for side in sides}) == 1:
                return [f"{line}  # noqa: PLR0124"]
    if len(line) + 4 <= WIDTH or " = " not in line:
        return [line]
    target, right = line.split(" = ", 1)
    cut = right.find(" for ")
    if right.startswith("[") and cut > 0:
        return [f"{target} = [", f"    {right[1:cut]}", f"    {right[cut + 1 : -1]}", "]"]
    return [f"{target} = (", f"    {right}", ")"]


def _title(program: Program, name: str) -> str:
    """The first line of the program's docstring, safe inside another one."""
    first = program.doc.strip().splitlines()[0] if program.doc.strip() else f"The optimizer `{name}`."
    return _quoted(first)


def _quoted(text: str) -> str:
    """A text as it is written between triple quotes, where a new line follows it."""
    text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)
