"""The registry: one definition per primitive, from which everything else is read.

A definition is a function of `xp`, a namespace of array functions (`jax.numpy`
for the meaning, the machine and the compiler; `numpy` for probes on the host,
where a call costs a microsecond instead of fifty), and of the arguments. Its
annotations are its signature. The decorator states the algebra and the cost.
"""

from __future__ import annotations

import contextlib
import inspect
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, ParamSpec, TypeVar, cast, get_type_hints

from primitives.kinds import ANY, Kind, Slot, join, shown, takes
from primitives.statements import INPUTS, LEARNING_RATE, RESERVED

ELEMENTWISE = "elementwise"  # called on any array; element i of the result needs only elements i
LEAF = "leaf"  # called on one leaf at a time; may reduce over it
MODEL = "model"  # called on the tuple of all leaves; may reduce over the model
AXIS = "axis"  # called on one leaf as a matrix [r, c]; reduces over one of its axes
MATRIX = "matrix"  # called on one leaf as a matrix; mixes its rows or its columns
WINDOW = "window"  # called on any arrays, as many as there are; as elementwise otherwise
ORACLE = "oracle"  # computed by the task, which the program must ask for as an input
SCOPES = (ELEMENTWISE, LEAF, MODEL, AXIS, MATRIX, WINDOW, ORACLE)

SIGNS = ("+", "-", "*", "/", "**", "%", "@", ">", ">=", "<", "<=", "==", "!=")
"""What may stand between two arguments in a program."""

MEANING, COMPILER, MACHINE = "meaning", "compiler", "machine"
READINGS = dict.fromkeys(SCOPES, (MEANING, COMPILER, MACHINE)) | {
    # An instruction of the machine has room for a few operands.
    WINDOW: (MEANING, COMPILER),
    # The machine would ask the task in every step, whatever the program.
    ORACLE: (MEANING, COMPILER),
}
"""The readings of a program that know the primitives of a scope; scoring picks the fastest that
knows all primitives of a program.
"""


@dataclass(frozen=True, eq=False)
class Primitive:
    """One operation of the language: its name, signature, meaning, algebra and cost.

    A reduction over the model is applied to tuples with a value a leaf, all others to one leaf.
    """

    name: str
    apply: Callable[..., Any]  # apply(xp, *arguments)
    # Kinds that each argument may have; None takes any. A window repeats its last.
    slots: tuple[Slot, ...]
    result: Kind | None  # None: the join of the arguments whose slots leave a choice
    scope: str
    family: str
    flops: float  # arithmetic per element of the result, in units of one addition
    infix: str
    commutative: bool
    idempotent: bool  # f(f(x)) = f(x); for two arguments f(x, x) = x
    involution: bool  # f(f(x)) = x
    identity: float | None  # f(x, identity) = x
    mirror: str  # the primitive that computes the same with its two arguments exchanged
    jumps: bool  # its value may jump between arguments that are close, as that of x > y does
    linear: tuple[tuple[int, ...], ...]  # groups of arguments; linear in one while the others stay
    rule: Callable[..., Kind | None] | None  # the result's kind, where no join of kinds says it
    source: str
    # Whether the machine knows it, as far as its scope allows. Its registers are flat vectors, so
    # of what multiplies matrices that is only what takes tensors and gives one, and says so.
    flat: bool

    @property
    def arity(self) -> int:
        """How many arguments it takes; of a window, the fewest."""
        return len(self.slots)

    @property
    def doc(self) -> str:
        """The docstring of its definition."""
        return inspect.cleandoc(self.apply.__doc__ or "")

    @property
    def summary(self) -> str:
        """What it computes, in one line."""
        return first_paragraph(self.doc)

    @property
    def signature(self) -> str:
        """How it is called, for people: `interp(x, y, a: scalar)`."""
        names = list(inspect.signature(self.apply).parameters)[1:]
        parts = [
            n if k is ANY else f"{n}: {shown(k)}" for n, k in zip(names, self.slots, strict=True)
        ]
        return f"{self.name}({', '.join(parts)}{', ...' * (self.scope == WINDOW)})"

    def slots_of(self, count: int) -> tuple[Slot, ...]:
        """Return the slots of a call with so many arguments."""
        more = count - self.arity if self.scope == WINDOW else 0
        return self.slots + self.slots[-1:] * more

    @property
    def readings(self) -> tuple[str, ...]:
        """The readings of a program that know it."""
        return tuple(r for r in READINGS[self.scope] if self.flat or r != MACHINE)

    @cached_property
    def code(self) -> int:
        """A number for hashing that does not depend on the process or on the other primitives."""
        return zlib.crc32(self.name.encode())

    @cache  # noqa: B019  (primitives live as long as the process)
    def kind(self, *arguments: Kind) -> Kind | None:
        """Return the kind of the result; None where these arguments do not fit the signature."""
        slots = self.slots_of(len(arguments))
        if not all(map(takes, slots, arguments)):
            return None
        if self.rule is not None:
            return self.rule(*arguments)
        if self.result is not ANY:
            return self.result
        return join(
            *(
                given
                for slot, given in zip(slots, arguments, strict=True)
                if not isinstance(slot, Kind)
            )
        )


PRIMITIVES: dict[str, Primitive] = {}
"""All primitives by name, in the order in which they registered.

A plug-in may register its own at any time. So nothing keeps what it has read from here, except
through `per_registry` or `when_registry_changes`.
"""

Given = ParamSpec("Given")
Found = TypeVar("Found")

_forget: list[Callable[[], object]] = []  # what must be called when the registry changes


def when_registry_changes(forget: Callable[[], object]) -> None:
    """Have a function called whenever primitives were added or taken back: to empty a cache."""
    _forget.append(forget)


def per_registry(make: Callable[Given, Found]) -> Callable[Given, Found]:
    """Keep what a function reads from the registry, until the registry changes.

    Every table that is made from all primitives is made by such a function, when it is first asked
    for. To ask again costs as much as to look into a dictionary.
    """
    kept = cache(make)
    when_registry_changes(kept.cache_clear)
    return cast(Callable[Given, Found], kept)


def _changed() -> None:
    for forget in _forget:
        forget()


def forget(names: Iterable[str]) -> None:
    """Take primitives out of the registry, as if they had never registered.

    For tests, and for a plug-in that fails halfway. Programs that call them cannot be run any more.
    """
    for name in names:
        del PRIMITIVES[name]
    _changed()


@contextlib.contextmanager
def registered_for_a_while() -> Iterator[None]:
    """Take back, at the end, whatever registers inside: for tests."""
    before = set(PRIMITIVES)
    try:
        yield
    finally:
        forget([name for name in PRIMITIVES if name not in before])


@per_registry
def oracles() -> tuple[str, ...]:
    """Return the names of the inputs that are called, as `hvp(x)`."""
    return tuple(p.name for p in PRIMITIVES.values() if p.scope == ORACLE)


@per_registry
def of_matrices() -> frozenset[str]:
    """Return the names of the primitives that see a leaf as a matrix."""
    return frozenset(p.name for p in PRIMITIVES.values() if p.scope in (AXIS, MATRIX))


@per_registry
def signs() -> dict[str, str]:
    """Return the primitive that each sign stands for: "+" is "add"."""
    return {p.infix: p.name for p in PRIMITIVES.values() if p.infix}


def primitive(
    *,
    family: str,
    scope: str = ELEMENTWISE,
    flops: float = 1.0,
    infix: str = "",
    commutative: bool = False,
    idempotent: bool = False,
    involution: bool = False,
    identity: float | None = None,
    mirror: str = "",
    jumps: bool = False,
    linear: tuple[tuple[int, ...], ...] = (),
    rule: Callable[..., Kind | None] | None = None,
    source: str = "",
    flat: bool | None = None,
) -> Callable[[Callable[..., Any]], Primitive]:
    """Return a decorator that enters a definition into the registry.

    The name of the function is that of the primitive, without the underscore that keeps it apart
    from a word of Python; its annotations are the signature; the fields of `Primitive` say what
    the arguments here are.

    Raises `ValueError` for what no program could call: one sentence, ready to be shown.
    """

    def enter(function: Callable[..., Any]) -> Primitive:
        name = function.__name__.rstrip("_")
        if name in PRIMITIVES:
            raise ValueError(f"a primitive called {name!r} exists already")
        if scope not in SCOPES:
            raise ValueError(f"{name}: no scope is called {scope!r}")
        slots, result = _signature(name, function, scope)
        entry = Primitive(
            name, function, slots, result, scope, family, flops, infix,
            commutative, idempotent, involution, identity, mirror, jumps, linear, rule, source,
            scope != MATRIX if flat is None else flat,
        )  # fmt: skip
        _refuse_contradictions(entry)
        PRIMITIVES[name] = entry
        _changed()
        return entry

    return enter


def _signature(
    name: str, function: Callable[..., Any], scope: str
) -> tuple[tuple[Slot, ...], Kind | None]:
    """Read the slots and the kind of the result from the annotations of a definition."""
    hints = get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters)
    annotated = [*parameters[1:], "return"]
    if parameters[:1] != ["xp"] or not all(
        hasattr(hints.get(a), "__metadata__") for a in annotated
    ):
        raise ValueError(
            f"{name}: its first argument must be xp, and all others and the result annotated with "
            "kinds, as in `def twice(xp, x: Tensor) -> Tensor`; primitives.kinds has them"
        )
    last = list(inspect.signature(function).parameters.values())[-1]
    if (last.kind is last.VAR_POSITIONAL) != (scope == WINDOW):
        raise ValueError(
            f"{name}: the last argument is *x where the scope is window, and only there"
        )
    *slots, result = (hints[a].__metadata__[0] for a in annotated)
    return tuple(slots), result if isinstance(result, Kind) else ANY


def _refuse_contradictions(entry: Primitive) -> None:
    """Raise `ValueError` for a primitive that could not be written, or whose algebra cannot be."""
    name, infix = entry.name, entry.infix
    if name in RESERVED or name in INPUTS or name == LEARNING_RATE:
        raise ValueError(f"{name}: this is a word of the language; give the primitive another name")
    if infix in signs():
        raise ValueError(f"{name}: the sign {infix} is that of {signs()[infix]}; leave infix out")
    if infix and infix not in SIGNS:
        raise ValueError(f"{name}: no program can be read with the sign {infix}; leave infix out")
    needed = {  # how many arguments a fact is about
        "commutative": (entry.commutative, (2,)),
        "idempotent": (entry.idempotent, (1, 2)),
        "involution": (entry.involution, (1,)),
        "identity": (entry.identity is not None, (2,)),
        "mirror": (bool(entry.mirror), (2,)),
        "infix": (bool(infix), (2,)),
    }
    for fact, (said, counts) in needed.items():
        if said and entry.arity not in counts:
            raise ValueError(
                f"{name}: {fact} is said of {' or '.join(map(str, counts))} arguments, and it has "
                f"{entry.arity}; leave {fact} out"
            )


def first_paragraph(doc: str) -> str:
    """Return what a docstring says first, as one line."""
    return " ".join(doc.split("\n\n")[0].split())
