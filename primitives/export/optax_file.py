"""The pieces of a file for Optax; the template puts them together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from primitives.export.body import WIDTH, Body
from primitives.export.docstring import about, docstring, peak_of_rate, quoted, title
from primitives.export.names import BUILTINS, Names
from primitives.export.placement import DECAY
from primitives.export.rule import ExportedRule, Part
from primitives.kinds import SCALAR, TENSOR
from primitives.registry import AXIS, ELEMENTWISE, MATRIX, ORACLE, WINDOW
from primitives.statements import INPUTS, State
from primitives.writing.listing import Number
from primitives.writing.source import Definitions

TEMPLATE = Path(__file__).parent / "templates" / "optax.py.jinja"

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
    "run_progress": (
        "progress",
        "the share of the steps that is done before this one: count / steps.",
        (),
    ),
}
"""Inputs that `update` takes by keyword: the keyword, what it is, and how it is made with jax."""

TAKEN = BUILTINS | {
    "jax", "jnp", "optax", "NamedTuple",
    "init_fn", "update_fn", "updates", "state", "params", "count", "learning_rate", "mask",
    "l", "O", "I",  # ruff's E741
}  # fmt: skip
_OURS = (
    "_direction", "_update", "_each_leaf", "_whole_model", "_dtype", "_wide", "_copy", "_by_shape",
    "_gradients", "_is_none", "_stored", "_refuse_16_bits", "_state_dtype", "_masked",
    "_laid_out", "_matrices", "_as_given", "_by_letters", "_order",
    "_each_of_stacks", "_is_matrix", "_as_matrix", "_beside", "_number", "_draws",
    "_direction_of_matrices", "_direction_of_others", "_update_of_matrices", "_update_of_others",
)  # in the template  # fmt: skip


MASK = "mask: optax.MaskOrFn = None"
OF_STATE = "_state_dtype(p, state_dtype)"
COPY = f"lambda p: _copy(p, {OF_STATE})"


@dataclass(frozen=True)
class _Function:
    """A rule as a function of the file, and the function of the file that applies it to trees."""

    name: str
    parameters: str
    summary: str
    lines: list[str]
    adapter: str


class OptaxFile:
    """The pieces of one file, each under the name by which the template asks for it."""

    def __init__(self, rule: ExportedRule, name: str, found: str):
        self.rule, self.name, self.found = rule, name, found
        self.state_class = (
            "ScaleBy" + "".join(part[:1].upper() + part[1:] for part in name.split("_")) + "State"
        )
        self.draws = [name for name in DRAWS if name in rule.entries]
        self.asked = [name for name in ASKED if name in rule.entries or name in rule.oracles]
        self.definitions = Definitions(_OURS)

        self.holds_point = bool(rule.program.evaluate_at) and rule.evaluation_state is None
        self.names = self._variables()
        self.dtype, self.leaves = self.names.fresh("dtype"), self.names.fresh("leaves")
        # The field of the state that holds the parameters to evaluate at
        holder = rule.evaluation_state
        self.point = self.names.fresh("evaluate_at") if self.holds_point else ""
        if holder is not None:
            self.point = self.names(holder.name)

        # Before the helpers and constants of the file, which they collect
        self.functions = [self._function(number, part) for number, part in enumerate(rule.parts)]

    def text(self) -> str:
        """Return the whole file."""
        text = _template().render(file=self, rule=self.rule, call=_call)
        return text.rstrip("\n") + "\n"

    def _variables(self) -> Names:
        """Decide what each variable of the program, and each input, is called in the file."""
        taken = {*TAKEN, self.name, f"scale_by_{self.name}", self.state_class}
        if isinstance(self.rule.decay, Number):
            taken.add(DECAY)
        taken |= {"given", "laid", "layout"} if self.layout else set()
        taken |= {"state_dtype"} if self.state_dtype else set()
        if self.asked:
            keywords = [ASKED[name][0] for name in self.asked if name not in self.rule.oracles]
            taken |= {"extra_args", *keywords}
        if self.draws:
            taken |= {"key", "seed", *map(_key_of, self.draws)}
        names = Names(taken)
        programs = [part.program for part in self.rule.parts]
        names.add(name for program in programs for name in program.inputs)
        names.add(self.rule.program.values)
        names.add(s.name for s in self.rule.states)
        names.add(i.target for program in programs for i in program.body)
        names.add(INPUTS)
        return names

    # --- the rules ---

    def _function(self, number: int, part: Part) -> _Function:
        stem = "_direction" if self.rule.rate_outside else "_update"
        which = ("matrices", "others")[number] if self.rule.by_shape else ""
        adapter = "_whole_model" if part.over_model else "_each_leaf"
        if number == 0 and part.over_model and self.rule.stacked:
            adapter = "_each_of_stacks"
        body = Body(
            self.rule,
            part,
            self.names,
            self.definitions,
            (*DRAWS, *self.rule.decays),
            self.dtype,
            self.leaves,
        )
        return _Function(
            f"{stem}_of_{which}" if which else stem,
            ", ".join(self._rule_parameters()),
            self._rule_summary(part, which),
            body.statements(),
            adapter,
        )

    def _rule_parameters(self) -> list[str]:
        read = [*self.parameters_read, *self.numbers, *self.rule.oracles]
        return [self.names("g"), *self.kept, *map(self.names, read)]

    def _rule_summary(self, part: Part, which: str) -> str:
        outside = self.rule.rate_outside
        what = "The direction to descend" if outside else "What is added to the parameters"
        new = f", then the new {', '.join(self.kept)}" if self.kept else ""
        leaves = {"": "leaf", "matrices": "matrix", "others": "leaf that is no matrix"}[which]
        many = {"": "leaves", "matrices": "matrices", "others": "leaves that are no matrices"}
        where = f"over lists of all {many[which]}" if part.over_model else f"on one {leaves}"
        return f"{what}{new}; {where}."

    @property
    def each_leaf(self) -> bool:
        """Whether a rule is applied to one leaf at a time."""
        return any(not part.over_model for part in self.rule.parts)

    @property
    def whole_model(self) -> bool:
        """Whether a rule is applied to all leaves at once."""
        return any(part.over_model for part in self.rule.parts)

    @property
    def vmapped(self) -> bool:
        """Whether the rule for matrices is applied to each matrix of a stack alone."""
        return self.rule.stacked and not self.rule.parts[0].over_model

    @property
    def constants(self) -> list[str]:
        """The assignments of constants that definitions read."""
        return [f"{name} = {value}" for name, value in self.definitions.constants.items()]

    # --- what goes into the rules and comes out ---

    @cached_property
    def kept(self) -> list[str]:
        """Trees of the state that the rules read and renew."""
        kept = [self.names(s.name) for s in self.rule.states]
        return [*kept, self.point] if self.holds_point else kept

    @cached_property
    def parameters_read(self) -> dict[str, str]:
        """Trees that the rules only read, by input: what each is called in `update_fn`."""
        laid = "laid" if self.layout else "params"
        read = {"w": laid} if self.rule.reads_parameters else {}
        read |= {name: self.names(name) for name in self.draws}
        decays = {h.name: self.names(h.name) for h in self.rule.inner if h.name in self.rule.decays}
        of = "params, laid" if self.layout else "params"
        return read | {name: f"_masked({it}, mask, {of})" for name, it in decays.items()}

    @cached_property
    def numbers(self) -> dict[str, str]:
        """Numbers that the rules read, by variable: what each is called in `update_fn`."""
        sources = {"t": "count", "lr": "lr", "loss": "value", "run_progress": "progress"}
        constant = [h.name for h in self.rule.tuned if h.name not in self.rule.decays]
        sources |= {name: self.names(name) for name in constant}
        return {name: source for name, source in sources.items() if name in self.rule.entries}

    @property
    def call_of_rules(self) -> str:
        """The statement of `update_fn` that applies the rules."""
        rules = [
            f"({function.adapter}, {function.name})" if self.rule.by_shape else function.name
            for function in self.functions
        ]
        trees = [
            f"kept={_tuple(['updates', *(f'state.{s}' for s in self.kept)])}",
            f"read={_tuple(list(self.parameters_read.values()))}",
            f"numbers={_tuple(list(self.numbers.values()))}",
        ]
        if self.rule.oracles:
            trees.append(f"functions={_tuple(list(self.rule.oracles))}")
        results = ", ".join(["updates", *self.kept]) if self.kept else "(updates,)"
        adapter = "_by_shape" if self.rule.by_shape else self.functions[0].adapter
        return _call(f"{results} = {adapter}", rules + trees, 8)

    @property
    def drawn(self) -> list[tuple[str, str, str]]:
        """Random trees: what each is called, the function of jax.random, and its key."""
        return [(self.names(name), DRAWS[name], _key_of(name)) for name in self.draws]

    # --- the state ---

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The fields of the state, and how each is made from the parameters."""
        fields = [(self.names(state.name), self._start(state)) for state in self.rule.states]
        return [*fields, (self.point, COPY)] if self.holds_point else fields

    @property
    def layout(self) -> bool:
        """Whether the user may say which axes of a leaf are rows and columns.

        Not where somebody else must know it: who makes a product with a matrix of the model, or
        finds the parameters to evaluate at.
        """
        rule = self.rule
        return rule.by_shape and not rule.oracles and not rule.program.evaluate_at

    @property
    def state_dtype(self) -> bool:
        """Whether the user may say in which dtype states are kept."""
        return self.holds_point or any(s.kind is TENSOR for s in self.rule.states)

    def _start(self, state: State) -> str:
        """Return a function that makes a state's first value from a leaf."""
        stacked = self.rule.stacked
        if state.kind not in (TENSOR, SCALAR):
            start = f"lambda p: _beside(p, {''.join(state.kind.axes)!r}, {state.start!r})"
            return start.replace("'", '"')
        if state.kind is SCALAR and stacked:
            return f"lambda p: _number(p, {state.start!r})"

        start = _start_of_leaf(state)
        known = self.rule.parts_of(state)
        if state.kind is SCALAR or all(known):
            return start
        made = start.removeprefix("lambda p: ")
        nothing = "_number(p, 0.0)" if stacked else "jnp.zeros([], _wide(p))"
        yes = "_is_matrix(p)" if known[0] else "not _is_matrix(p)"
        return f"lambda p: {made} if {yes} else {nothing}"

    @property
    def new_state(self) -> list[str]:
        """The arguments of the state after the step."""
        key = ["key=key"] if self.draws else []
        return ["count=count", *key, *(f"{s}={s}" for s in self.kept)]

    @property
    def copies(self) -> bool:
        """Whether a state starts as a copy of the parameters."""
        return self.holds_point or any(s.start == "w" for s in self.rule.states)

    # --- the two functions that a user calls ---

    @property
    def inner_parameters(self) -> str:
        """Of `scale_by_<name>`."""
        parameters = [self._rate_parameter()] if self.rule.reads_rate else []
        for h in self.rule.inner:
            parameters.append(f"{self.names(h.name)}: jax.typing.ArrayLike = {h.value!r}")
        return _stacked([*parameters, *self._other_parameters()])

    @property
    def checked(self) -> list[str]:
        """The numbers that must be precise, as keywords."""
        return [f"{name}={name}" for name in (self.names(h.name) for h in self.rule.inner)]

    @property
    def inner_call(self) -> str:
        """The call of `scale_by_<name>` by `<name>`."""
        given = ["learning_rate"] if self.rule.reads_rate else []
        given += [self.names(h.name) for h in self.rule.inner]
        given += ["mask"] if self.rule.decays else []
        given += ["layout"] if self.layout else []
        given += ["state_dtype"] if self.state_dtype else []
        given += ["seed"] if self.draws else []
        return _call(f"scale_by_{self.name}", [f"{name}={name}" for name in given], 8)

    @property
    def inner_summary(self) -> str:
        if self.rule.rate_outside:
            return f"The direction of `{self.name}`: its step before the learning rate."
        if self.rule.reads_rate:
            return f"The steps of `{self.name}`; its rule reads the learning rate inside."
        return f"The steps of `{self.name}`."

    @property
    def outer_parameters(self) -> str:
        """Of `<name>`."""
        parameters = [self._rate_parameter()]
        for h in self.rule.tuned:
            decays = h.name == self.rule.decay
            kind = "optax.ScalarOrSchedule" if decays else "jax.typing.ArrayLike"
            parameters.append(f"{self.names(h.name)}: {kind} = {h.value!r}")
        if isinstance(self.rule.decay, Number):
            parameters.append(f"{DECAY}: optax.ScalarOrSchedule = {self.rule.decay}")
        if self.decay:
            parameters.append(MASK)
        return _stacked([*parameters, *self._other_parameters()])

    @property
    def outer_arguments(self) -> list[str]:
        """What the parameters of `<name>` are, in lines of its docstring."""
        rule = self.rule
        lines = ["learning_rate: a number, or a schedule of the step count."]
        if not rule.rate_outside and not rule.reads_rate:
            lines = ["learning_rate: not used, the rule does not read it; kept for a uniform call."]
        lines += [f"{self.names(h.name)}: {about(h, rule)}" for h in rule.tuned]
        if isinstance(rule.decay, Number):
            lines.append(f"{DECAY}: decoupled weight decay, a bare number in the program.")
        if self.decay or self.rule.decays:
            lines.append("mask: a tree of bools, or a function that makes it from the parameters:")
            lines.append("    which of them decay.")
        if self.layout:
            lines += [
                "layout: of leaves that have other matrices than the rule above says, a tree of",
                "    strings or a function that makes it from the parameters. One letter an axis:",
                '    "r" for rows, "c" for columns, "s" for a stack of matrices, as "rcc" of an',
                '    attention kernel or "src" of scanned layers; "" for a leaf without matrices,',
                "    None for one that the rule above is for.",
            ]
        if self.state_dtype:
            lines.append(
                "state_dtype: of the states that are like parameters; if None, float32, or"
            )
            lines.append("    float64 where a parameter has it.")
        if self.draws:
            lines += [
                "seed: of the random numbers; their key is kept in the state. Equal seeds",
                "    draw equal numbers: map it with jax.vmap over an ensemble, and add",
                "    jax.lax.axis_index(axis) to it where shards are to draw their own.",
            ]
        return lines

    @property
    def outer_summary(self) -> str:
        return title(self.rule.whole, self.name)

    @property
    def decay(self) -> str:
        """What the decay that stands outside is called; empty where there is none."""
        decay = self.rule.decay
        if isinstance(decay, Number):
            return DECAY
        return self.names(decay) if isinstance(decay, str) else ""

    def _rate_parameter(self) -> str:
        return f"learning_rate: optax.ScalarOrSchedule = {self.rule.program.learning_rate!r}"

    def _other_parameters(self) -> list[str]:
        """Return the parameters that are no hyperparameters."""
        mask = [MASK] if self.rule.decays else []
        dtype = ["state_dtype: jax.typing.DTypeLike | None = None"] if self.state_dtype else []
        layout = ["layout: optax.MaskOrFn = None"] if self.layout else []
        return [*mask, *layout, *(["seed: jax.typing.ArrayLike = 0"] if self.draws else []), *dtype]

    @property
    def keywords(self) -> list[str]:
        """What `update` takes by keyword."""
        return [ASKED[name][0] for name in self.asked]

    @property
    def about_keywords(self) -> list[str]:
        """What these are, in lines of a docstring."""
        lines = []
        for name in self.asked:
            keyword, text, code = ASKED[name]
            lines += [f"{keyword}: {text}", *(f"    {line}" for line in code)]
        if self.rule.oracles:
            lines.append(
                "Under optax.masked or optax.partition, these trees have optax.MaskedNode() for "
                "other leaves."
            )
        return lines

    # --- the docstring ---

    @property
    def docstring(self) -> str:
        """Of the file."""
        peak = self.rule.whole.learning_rate
        advice = [
            f"Learning rate: {peak_of_rate(self.rule.whole)}; `lr` in the rule is the schedule's "
            f"value at this step, so pass a schedule that decays, for example "
            f"`optax.cosine_decay_schedule({peak:g}, steps)`, or a number to keep it constant."
        ]
        scopes = {line.scope for part in self.rule.parts for line in part.full.lines}
        if scopes - {ELEMENTWISE, WINDOW, ORACLE}:
            advice.append(
                "Sums run over what this process sees of a leaf: inside shard_map or pmap they "
                "are local."
            )
        if self.rule.program.fallback and any(part.over_model for part in self.rule.parts):
            advice.append(
                "What is of the whole model is of all matrices here, and of all other leaves apart."
            )
        if any(line.scope in (AXIS, MATRIX) for line in self.rule.lines):
            advice.append(
                "Matrices need automatic sharding: jax multiplies none whose axes are of the type "
                "Explicit."
            )
        return quoted(docstring(self.rule, self.name, advice, self.found))


def _key_of(draw: str) -> str:
    """Return what the key of random numbers is called."""
    return f"of_{draw}"


def _start_of_leaf(state: State) -> str:
    """Return a function that makes a state's first value from a leaf, as if there were no stacks
    and no fallback.
    """
    if state.start == "w":
        return COPY
    if state.kind is SCALAR:
        return f"lambda p: jnp.full([], {state.start!r}, _wide(p))"
    start = 0.0 if state.start == "g" else state.start
    if repr(start) == "0.0":
        return f"lambda p: jnp.zeros_like(p, dtype={OF_STATE})"
    return f"lambda p: jnp.full_like(p, {start!r}, dtype={OF_STATE})"


@cache
def _template() -> Any:
    import jinja2  # here: only an export needs it

    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(TEMPLATE.read_text("utf-8"))


# --- pieces of Python -----------------------------------------------------------------------------


def _stacked(parameters: list[str]) -> str:
    """Return the parameters of a definition, one a line."""
    return "".join(f"\n    {p}," for p in parameters) + "\n" if parameters else ""


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"


def _call(head: str, items: list[str], indent: int) -> str:
    """Return a call on one line, or with one argument a line where that is too long."""
    line = f"{head}({', '.join(items)})"
    if indent + len(line) <= WIDTH or not items:
        return line
    inner = " " * (indent + 4)
    return f"{head}(\n" + "".join(f"{inner}{item},\n" for item in items) + " " * indent + ")"
