"""Export to Optax: a program as one readable file that imports only jax and optax.

Where the learning rate and the decoupled weight decay stand decides the form:

    update = lr · (d + w · c)   →   chain(scale_by_<name>, add_decayed_weights,
    scale_by_learning_rate) update = lr · d             →   chain(scale_by_<name>,
    scale_by_learning_rate) anything else               →   scale_by_<name> takes the learning rate
    and the parameters inside

A program with a rule for matrices and one for other leaves becomes two functions, chosen by a
leaf's shape. What a program asks of the task is a keyword of `update`, but for noise, which comes
from a key in the state.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import math
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from primitives.canonical.liveness import prune
from primitives.errors import ProgramError
from primitives.export.modules import module_from_text
from primitives.export.placement import DECAY, without_decay, without_learning_rate
from primitives.kinds import SCALAR, TENSOR
from primitives.program import Program
from primitives.registry import AXIS, ELEMENTWISE, MATRIX, ORACLE, oracles
from primitives.statements import IDENTITY, INPUTS, LEARNING_RATE, STANDING, Hyperparameter, State
from primitives.writing.formulas import explained, formulas
from primitives.writing.listing import FIRST, Listing, Number, Value, listing
from primitives.writing.source import Definitions

TEMPLATE = Path(__file__).parent / "templates" / "optax.py.jinja"
PROGRAM_HEADING = "The program, in Pride's language:"
"""The last part of an exported docstring: below it stands the program, indented, ready to be parsed
again.
"""

WIDTH = 88

DRAWS = {"noise": "normal", "rademacher": "rademacher"}
"""Inputs that the exported optimizer draws itself, and the functions of jax.random that do."""

ASKED = {
    "loss": ("value", "the loss at the parameters.", ()),
    "hvp": (
        "hvp",
        "a function of a tree like the parameters, the Hessian at them times this tree:",
        ("hvp = lambda x: jax.jvp(jax.grad(loss), (params,), (x,))[1]",),
    ),
    "gnvp": (
        "gnvp",
        "a function of a tree like the parameters, the Gauss-Newton matrix at them times this "
        "tree:",
        (
            "y, back = jax.vjp(model, params)",
            "tangent = lambda x: jax.jvp(model, (params,), (x,))[1]",
            "gnvp = lambda x: back(jax.jvp(jax.grad(loss_of_y), (y,), (tangent(x),))[1])[0]",
        ),
    ),
}
"""Inputs that `update` takes by keyword: the keyword, what it is, and how it is made with jax."""

_TAKEN = frozenset(dir(builtins)) | {
    "jax", "jnp", "optax", "NamedTuple",
    "init_fn", "update_fn", "updates", "state", "params", "count", "learning_rate", "mask",
    "l", "O", "I",  # ruff's E741
}  # fmt: skip
_OURS = (
    "_direction", "_update", "_each_leaf", "_whole_model", "_dtype", "_wide", "_copy", "_by_shape",
    "_each_of_stacks", "_is_matrix", "_as_matrix", "_beside", "_number", "_draws",
    "_direction_of_matrices", "_direction_of_others", "_update_of_matrices", "_update_of_others",
)  # in the template  # fmt: skip


def to_optax_source(program: Program, *, name: str | None = None, found: str = "") -> str:
    """The text of a Python file that defines `scale_by_<name>` and `<name>`.

    found: where the program was found and how it scored; goes into the docstring.

    Raises `ProgramError` for a name that Python cannot use, and for a primitive whose
    definition needs more than jax.
    """
    name = _checked(program.name if name is None else name)
    for given in prune(program).needs:
        if given not in ASKED and given not in DRAWS:
            known = ", ".join((*STANDING, *DRAWS, *ASKED))
            hint = f"Export a program that reads no more than {known}."
            raise ProgramError(f"optax gives an optimizer no {given!r}", hint=hint)
    return _Exporter(program, name, found).source()


@dataclass(frozen=True)
class OptaxFunctions:
    """The functions of an exported file, ready to be called.

    optimizer: makes the whole optimizer. `optimizer(learning_rate, ...)` takes a number or a
    schedule of Optax, and by name the hyperparameters of the program, with its values as defaults;
    so `optimizer()` is the program as it stands, at the peak of its schedule.
    scale_by: makes what stands before the learning rate in `optax.chain`, like Optax's own
    `scale_by_adam`; its sign is that of Optax: with the learning rate inside the rule it gives
    what is added to the parameters.
    eval_params: for a program that evaluates the model elsewhere than it trains, the function of
    (state, params) that gives these parameters; None for any other.
    source: the text of the file.
    """

    name: str
    optimizer: Callable[..., Any]
    scale_by: Callable[..., Any]
    eval_params: Callable[..., Any] | None
    source: str = field(repr=False)


def to_optax(program: Program, name: str | None = None) -> OptaxFunctions:
    """Return a program as live functions that make Optax's optimizers, without a file.

    They are those of the file that `to_optax_source` writes, imported from its text: they take the
    same steps, run under `jax.jit` and inside of Optax's wrappers, and their docstrings say what
    the hyperparameters are and which learning rate the program was tuned with. A program that is
    asked for again is not imported again.

    name: of the optimizer, the program's own if None. Raises `ProgramError` as `to_optax_source`.

    >>> import baselines, jax.numpy as jnp
    >>> optimizer = to_optax(baselines.get("sgd")).optimizer(learning_rate=0.5)
    >>> updates, _ = optimizer.update(jnp.ones(2), optimizer.init(jnp.zeros(2)))
    >>> updates.tolist()
    [-0.5, -0.5]
    """
    name = _checked(program.name if name is None else name)
    source = to_optax_source(program, name=name)
    functions = vars(module_from_text(source, name))
    return OptaxFunctions(
        name,
        functions[name],
        functions[f"scale_by_{name}"],
        functions.get(f"{name}_eval_params"),
        source,
    )


def _checked(name: str) -> str:
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        raise ProgramError(
            f"{name!r} cannot name a Python function",
            hint="Give another name: letters, digits and _, not first a digit, and no keyword of "
            "Python.",
        )
    if name in _TAKEN or name.startswith("_"):
        hint = f"Name it {name.strip('_')}_opt."
        raise ProgramError(f"an exported file needs the name {name!r} itself", hint=hint)
    return name


@dataclass(frozen=True)
class _Part:
    """One plain program: for all leaves, for matrices, or for those that are none."""

    program: Program
    full: Listing  # the step as it is
    code: Listing  # the rule: the step without what stands outside of it

    @property
    def entries(self) -> set[str]:
        return self.code.live()[1]

    @property
    def over_model(self) -> bool:
        return any(line.whole for line in self.code.live_lines())


def _split(program: Program) -> tuple[list[_Part], bool, Value | None]:
    """The parts of a program; whether the learning rate stands outside of their rules, and which
    decay does.
    """
    plain = [prune(part) for part in program.parts]
    full = [listing(part) for part in plain]
    directions = [d for code in full if (d := without_learning_rate(code)) is not None]
    if len(directions) < len(full):
        return (
            [_Part(part, code, code) for part, code in zip(plain, full, strict=True)],
            False,
            None,
        )
    decayed = [
        f
        for code, part in zip(directions, plain, strict=True)
        if (f := without_decay(code, part)) is not None
    ]
    decays = {decay for _, decay in decayed}
    rules, decay = directions, None
    if len(decayed) == len(full) and len(decays) == 1:  # all leaves decay alike
        rules, decay = [code for code, _ in decayed], decays.pop()
    return [_Part(*three) for three in zip(plain, full, rules, strict=True)], True, decay


class _Exporter:
    """Collects what the template asks for."""

    def __init__(self, program: Program, name: str, found: str):
        self.whole, self.name, self.found = program, name, found
        self.program = prune(program)
        self.parts, self.chained, self.decay = _split(self.program)
        self.by_shape = program.fallback is not None or program.matrix_statement is not None
        self.states = list({s.name: s for part in self.parts for s in part.program.states}.values())
        self.entries = set().union(*(part.entries for part in self.parts))
        called = set().union(*({line.op for line in part.code.live_lines()} for part in self.parts))
        self.oracles = [name for name in oracles() if name in called]
        self.draws = {
            name: f"of_{name}" for name in DRAWS if name in self.entries
        }  # and their keys
        self.asked = [name for name in ASKED if name in self.entries or name in self.oracles]
        self.camel = "ScaleBy" + "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        self.definitions = Definitions(_OURS)
        self._name_variables()

    def _name_variables(self) -> None:
        """Decides what each variable of the program, and each input, is called in the exported
        file.
        """
        self.taken = {*_TAKEN, self.name, f"scale_by_{self.name}", f"{self.camel}State"}
        if isinstance(self.decay, Number):
            self.taken.add(DECAY)
        if self.asked:
            self.taken |= {
                "extra_args",
                *(ASKED[name][0] for name in self.asked if name not in self.oracles),
            }
        if self.draws:
            self.taken |= {"key", "seed", *self.draws.values()}
        programs = [part.program for part in self.parts]
        inputs = [name for program in programs for name in program.inputs]
        states = [s.name for s in self.states]
        targets = [i.target for program in programs for i in program.body]
        variables = dict.fromkeys((*inputs, *self.program.values, *states, *targets, *INPUTS))
        self.python = {v: self._fresh(v.lstrip("_") or "x") for v in variables}
        self.dtype, self.leaves = self._fresh("dtype"), self._fresh("leaves")  # of the rule itself
        self.point, self.own_point = "", False
        if self.program.evaluate_at:
            self._place_point()

    def _place_point(self) -> None:
        """Decides which field of the state holds the parameters to evaluate at."""
        for (
            state
        ) in self.states:  # one that starts at w and always becomes this value holds it already
            codes = [part.code for part in self.parts]
            if state.start == "w" and all(
                code.states.get(state.name) == code.evaluate_at for code in codes
            ):
                self.point = self.python[state.name]
                return
        self.point, self.own_point = self._fresh("evaluate_at"), True

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

    def _body(self, part: _Part) -> list[str]:
        """The lines of a rule."""
        code, python = part.code, self.python
        order = code.live()[0]
        # what only the rule of the other leaves reads comes out as it went in
        returned = [code.update, *(code.states.get(s.name, s.name) for s in self.states)]
        if self.own_point:
            assert code.evaluate_at is not None
            returned.append(code.evaluate_at)
        others = [s.name for s in self.states if s.name not in code.states]
        over_model = part.over_model
        many: set[Value] = {e for e in part.entries if e in ("w", "g", *DRAWS, *code.states)}
        many.update(others)  # over a model, lists of leaves
        last: dict[Value, float] = {}  # the last line that reads a value
        arrays: dict[Value, str] = {}  # literals that must be arrays, and what they are called
        for n in order:
            line = code.lines[n]
            last.update(dict.fromkeys(line.args, n))
            arrays.update((line.args[slot], "") for slot in line.array_slots())
            if line.whole or many.intersection(line.args):
                many.add(n)
        last.update(dict.fromkeys(returned, math.inf))
        for number, literal in enumerate(arrays, 1):
            arrays[literal] = self._numbered("c", number)
        called: dict[Value, str] = {e: python[e] for e in (*part.entries, *others)}
        holder: dict[str, Value] = {name: value for value, name in called.items()}

        def shown(value: Value) -> str:
            return str(value) if isinstance(value, Number) else called[value]

        def listed(value: Value) -> str:
            return (
                f"[{shown(value)}] * {self.leaves}"
                if over_model and value not in many
                else shown(value)
            )

        lines = []
        for n in order:
            line = code.lines[n]
            if line.scope == ORACLE:
                right = f"{python[line.op]}({shown(line.args[0])})"
            elif line.whole:
                right = self.definitions.call(line.op, [listed(a) for a in line.args])
            else:
                slots = line.array_slots()
                args = [
                    arrays[a] if slot in slots else shown(a) for slot, a in enumerate(line.args)
                ]
                right = _first(*args) if line.op == FIRST else self.definitions.call(line.op, args)
                over = list(dict.fromkeys(shown(a) for a in line.args if a in many))
                if over_model and over:
                    source = over[0] if len(over) == 1 else f"zip({', '.join(over)})"
                    right = f"[{right} for {', '.join(over)} in {source}]"
            target = python[line.name]
            if (
                target in holder and last.get(holder[target], -1) > n
            ):  # its old value is still to be read
                target = self._numbered(target, 2)
            holder[target] = n
            called[n] = target
            lines += _folded(f"{target} = {right}")
        values = [listed(v) for v in returned]
        if not self.chained:
            values[0] = f"[-x for x in {values[0]}]" if over_model else f"-{values[0]}"
        lines.append(f"return {', '.join(values)}" if len(values) > 1 else f"return ({values[0]},)")
        top = []
        if arrays:
            top.append(f"{self.dtype} = {python['g']}{'[0]' if over_model else ''}.dtype")
            top += [
                f"{name} = jnp.asarray({literal}, {self.dtype})" for literal, name in arrays.items()
            ]
        if any(f"] * {self.leaves}" in line for line in lines):
            top.append(f"{self.leaves} = len({python['g']})")
        return top + lines

    # --- the parts of the file ---

    def source(self) -> str:
        program, python = self.program, self.python
        kept = [python[s.name] for s in self.states] + ([self.point] if self.own_point else [])
        reads_parameters = "w" in self.entries
        rated = "lr" in self.entries
        tuned = [h for h in program.hyperparameters if h.name != LEARNING_RATE]
        inner = [h for h in tuned if h.name in self.entries]
        sources = {"t": "count", "lr": "lr", "loss": "value"} | {
            h.name: python[h.name] for h in tuned
        }
        numbers = {
            name: source for name, source in sources.items() if name in self.entries
        }  # beside the trees
        read = {"w": "params"} if reads_parameters else {}
        read |= {name: python[name] for name in self.draws}
        rule_parameters = [
            python["g"],
            *kept,
            *(python[v] for v in (*read, *numbers, *self.oracles)),
        ]

        rate = f"learning_rate: optax.ScalarOrSchedule = {program.learning_rate!r}"
        inner_parameters = [f"{python[h.name]}: jax.typing.ArrayLike = {h.value!r}" for h in inner]
        inner_call = [f"{python[h.name]}={python[h.name]}" for h in inner]
        if rated:
            inner_parameters.insert(0, rate)
            inner_call.insert(0, "learning_rate=learning_rate")
        if self.draws:
            inner_parameters.append("seed: int = 0")
            inner_call.append("seed=seed")
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
            outer_arguments.append(
                f"{DECAY}: decoupled weight decay, a bare number in the program."
            )
        if decay:
            outer_parameters.append("mask: optax.MaskOrFn = None")
            outer_arguments.append(
                "mask: a tree of bools, or a function that makes it from the parameters:"
            )
            outer_arguments.append("    which of them decay.")
        if self.draws:
            outer_parameters.append("seed: int = 0")
            outer_arguments.append("seed: of the random numbers; their key is kept in the state.")
        rules = self._rules(rule_parameters, kept)  # before the helpers, which they collect
        trees = [
            f"kept={_tuple(['updates', *(f'state.{s}' for s in kept)])}",
            f"read={_tuple(list(read.values()))}",
            f"numbers={_tuple(list(numbers.values()))}",
        ]
        if self.oracles:
            trees.append(f"functions={_tuple(self.oracles)}")
        text = _template().render(
            name=self.name,
            docstring=_quoted(self._docstring()),
            constants=[f"{name} = {text}" for name, text in self.definitions.constants.items()],
            helpers=list(self.definitions.helpers.values()),
            state_class=f"{self.camel}State",
            states=self._fields(),
            inner_parameters=_stacked(inner_parameters),
            inner_summary=self._inner_summary(rated),
            outer_parameters=_stacked(outer_parameters),
            outer_summary=_title(self.whole, self.name),
            outer_arguments=outer_arguments,
            call=_call,
            inner_call=inner_call,
            reads_parameters=reads_parameters,
            reads_rate=rated,
            chained=self.chained,
            decay=decay,
            rules=rules,
            by_shape=self.by_shape,
            fallback=program.fallback is not None,
            kernels=program.kernels,
            beside=any(s.kind not in (TENSOR, SCALAR) for s in self.states),
            identities=any(s.start == IDENTITY for s in self.states),
            stacks_of_model=rules[0]["adapter"] == "_each_of_stacks",
            vmapped=self.by_shape
            and program.kernels == "stack"
            and rules[0]["adapter"] == "_each_leaf",
            each_leaf=any(not part.over_model for part in self.parts),
            whole_model=any(part.over_model for part in self.parts),
            adapted=[
                f"({rule['adapter']}, {rule['name']})" if self.by_shape else rule["name"]
                for rule in rules
            ],
            results=", ".join(["updates", *kept]) if kept else "(updates,)",
            trees=trees,
            asked=[ASKED[name][0] for name in self.asked],
            calls=self._calls(),
            oracles=bool(self.oracles),
            draws=[(python[name], DRAWS[name], key) for name, key in self.draws.items()],
            point=self.point,
            new_state=[
                "count=count",
                *(["key=key"] if self.draws else []),
                *(f"{s}={s}" for s in kept),
            ],
            copies=self.own_point or any(s.start == "w" for s in self.states),
        )
        return text.rstrip("\n") + "\n"

    def _inner_summary(self, rated: bool) -> str:
        if self.chained:
            return f"The direction of `{self.name}`: its step before the learning rate."
        if rated:
            return f"The steps of `{self.name}`; its rule reads the learning rate inside."
        return f"The steps of `{self.name}`."

    def _rules(self, parameters: list[str], kept: list[str]) -> list[dict]:
        """For each rule what the template asks of it."""
        rules = []
        stem = "_direction" if self.chained else "_update"
        for number, part in enumerate(self.parts):
            which = ("matrices", "others")[number] if self.by_shape else ""
            adapter = "_whole_model" if part.over_model else "_each_leaf"
            if (
                number == 0
                and part.over_model
                and self.by_shape
                and self.program.kernels == "stack"
            ):
                adapter = "_each_of_stacks"
            rules.append(
                {
                    "name": f"{stem}_of_{which}" if which else stem,
                    "parameters": ", ".join(parameters),
                    "summary": self._rule_summary(part, which, kept),
                    "lines": self._body(part),
                    "adapter": adapter,
                }
            )
        return rules

    def _rule_summary(self, part: _Part, which: str, kept: list[str]) -> str:
        what = "The direction to descend" if self.chained else "What is added to the parameters"
        new = f", then the new {', '.join(kept)}" if kept else ""
        leaves = {"": "leaf", "matrices": "matrix", "others": "leaf that is no matrix"}[which]
        many = {"": "leaves", "matrices": "matrices", "others": "leaves that are no matrices"}[
            which
        ]
        where = f"over lists of all {many}" if part.over_model else f"on one {leaves}"
        return f"{what}{new}; {where}."

    def _fields(self) -> list[dict[str, str]]:
        """The fields of the state, and how each is made from the parameters."""
        places = [{s.name for s in part.program.states} for part in self.parts]
        fields = []
        for state in self.states:
            start = _start(state)
            stacked = self.by_shape and self.program.kernels == "stack"
            if state.kind not in (TENSOR, SCALAR):
                start = (
                    f"lambda p: _beside(p, {''.join(state.kind.axes)!r}, {state.start!r})".replace(
                        "'", '"'
                    )
                )
            elif state.kind is SCALAR:
                start = f"lambda p: _number(p, {state.start!r})" if stacked else start
            elif not all(state.name in names for names in places):
                made = f"{start}(p)" if start == "_copy" else start.removeprefix("lambda p: ")
                nothing = "_number(p, 0.0)" if stacked else "jnp.zeros([], _wide(p))"
                yes = "_is_matrix(p)" if state.name in places[0] else "not _is_matrix(p)"
                start = f"lambda p: {made} if {yes} else {nothing}"
            fields.append({"name": self.python[state.name], "start": start})
        if self.own_point:
            fields.append({"name": self.point, "start": "_copy"})
        return fields

    def _calls(self) -> list[str]:
        """What `update` takes by keyword, for a docstring."""
        lines = []
        for name in self.asked:
            keyword, text, code = ASKED[name]
            lines += [f"{keyword}: {text}", *(f"    {line}" for line in code)]
        if self.oracles:
            lines.append(
                "Under optax.masked or optax.partition, these trees have optax.MaskedNode() for "
                "other leaves."
            )
        return lines

    def _rate_advice(self) -> str:
        if not self.chained and "lr" not in self.entries:
            return "learning_rate: not used, the rule does not read it; kept for a uniform call."
        return "learning_rate: a number, or a schedule of the step count."

    def _rate_paragraph(self) -> str:
        peak = self.whole.learning_rate
        declared = next((h for h in self.whole.hyperparameters if h.name == LEARNING_RATE), None)
        text = (
            f"Learning rate: {peak:g} is the peak of the schedule that the program was tuned with"
        )
        if declared is not None and declared.low is not None:
            text += f" (looked for between {declared.low:g} and {declared.high:g})"
        return (
            f"{text}; `lr` in the rule is the schedule's value at this step, so pass a schedule "
            f"that decays, "
            f"for example `optax.cosine_decay_schedule({peak:g}, steps)`, or a number to keep it "
            f"constant."
        )

    def _advice(self, h: Hyperparameter) -> str:
        text = f"{self.python[h.name]}: "
        text += "decoupled weight decay" if h.name == self.decay else f"`{h.name}` in the rule"
        return text + (f"; tuned between {h.low:g} and {h.high:g}." if h.low is not None else ".")

    def _docstring(self) -> str:
        whole, lines = self.whole, [line for part in self.parts for line in part.full.live_lines()]
        doc = whole.doc.strip("\n") or f"{self.name}: an optimizer program, exported from Pride."
        parts = [doc.rstrip()]
        heads = ("matrix", "leaf") if self.by_shape else ("leaf",)
        for number, (part, leaf) in enumerate(zip(self.parts, heads, strict=False)):
            head = (
                f"The rule, for one {leaf} w of the parameters and its gradient g, "
                "in step t = 1, 2, ...:"
            )
            parts.append("For a leaf that is no matrix:" if number else head)
            parts.append(textwrap.indent("\n".join(formulas(part.full, part.program)), "    "))
        words = explained(dict.fromkeys(line.op for line in lines if line.op != FIRST))
        if words:
            parts += ["where", textwrap.indent("\n".join(words), "    ")]
        if self.by_shape:
            parts.append(textwrap.fill(_LEAVES[whole.kernels], WIDTH))
        parts.append(textwrap.fill(self._rate_paragraph(), WIDTH))
        if any(
            line.scope not in (ELEMENTWISE, ORACLE)
            for part in self.parts
            for line in part.full.lines
        ):
            note = (
                "Sums run over what this process sees of a leaf: inside shard_map or pmap they "
                "are local."
            )
            parts.append(textwrap.fill(note, WIDTH))
        if any(line.scope in (AXIS, MATRIX) for line in lines):
            note = (
                "Matrices need automatic sharding: jax multiplies none whose axes are of the type "
                "Explicit."
            )
            parts.append(textwrap.fill(note, WIDTH))
        if self.found.strip():
            parts.append(self.found.strip())
        parts += [
            PROGRAM_HEADING,
            textwrap.indent(str(replace(whole, doc="")).rstrip("\n"), "    "),
        ]
        return "\n\n".join(parts) + "\n"


_LEAVES = {
    "flatten": "A leaf of two axes or more is a matrix; the rows of a kernel are all its axes "
    "but the last.",
    "stack": "A leaf of two axes is a matrix, one of more a stack of matrices, each with states "
    "of its own.",
    "fallback": "A leaf of two axes is a matrix; one of more is none.",
}
"""What is a matrix, by the rule for kernels."""


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


@cache
def _template() -> Any:
    import jinja2  # here: only an export needs it

    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(TEMPLATE.read_text("utf-8"))


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
    first = (
        program.doc.strip().splitlines()[0] if program.doc.strip() else f"The optimizer `{name}`."
    )
    return _quoted(first)


def _quoted(text: str) -> str:
    """A text as it is written between triple quotes, where a new line follows it."""
    text = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return "".join(
        c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )
