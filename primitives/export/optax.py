"""Export to Optax: a program as one readable file that imports only jax and optax.

Where the learning rate and the decoupled weight decay stand decides the form (`rule.py`):

    both outside    chain(scale_by_<name>, add_decayed_weights, scale_by_learning_rate)
    the rate alone  chain(scale_by_<name>, scale_by_learning_rate)
    neither         scale_by_<name> takes the learning rate and the parameters inside

A program with a rule for matrices and one for other leaves becomes two functions, chosen by a
leaf's shape. What a program asks of the task is a keyword of `update`, but for noise, which comes
from a key in the state.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from types import ModuleType
from typing import Any

import jax

from primitives.canonical.liveness import prune
from primitives.errors import ProgramError
from primitives.export.names import checked
from primitives.export.optax_file import ASKED, DRAWS, TAKEN, OptaxFile
from primitives.export.rule import exported_rule
from primitives.modules import import_text
from primitives.program import Program
from primitives.statements import STANDING

SHADOWED = sys.stdlib_module_names | {
    "jax", "jaxlib", "optax", "numpy", "scipy", "ml_dtypes", "opt_einsum", "absl", "chex",
}  # fmt: skip
"""Names that no exported file should have: it imports modules of these names, or these import them.
"""


def to_optax_source(program: Program, *, name: str | None = None, found: str = "") -> str:
    """Return the text of a Python file that defines `scale_by_<name>` and `<name>`.

    found: where the program was found and how it scored; goes into the docstring.

    Raises `ProgramError` for a name that Python cannot use, and for a primitive whose
    definition needs more than jax.
    """
    name = checked(program.name if name is None else name, TAKEN)
    for given in prune(program).needs:
        if given not in ASKED and given not in DRAWS:
            known = ", ".join((*STANDING, *DRAWS, *ASKED))
            hint = f"Export a program that reads no more than {known}."
            raise ProgramError(f"optax gives an optimizer no {given!r}", hint=hint)
    return OptaxFile(exported_rule(program), name, found).text()


def tried_optax_source(program: Program, *, name: str | None = None, found: str = "") -> str:
    """Return the text of `to_optax_source`, of which one step has been traced on a small model.

    Raises `ProgramError` besides for a file that does not run.
    """
    name = program.name if name is None else name
    source = to_optax_source(program, name=name, found=found)
    try:
        jax.eval_shape(_step_of(getattr(_imported(source, name), name)), _small_model(program))
    except Exception as fault:  # of whatever kind: a primitive may be anybody's
        raise ProgramError(
            f"{name} cannot be exported: its file does not run: {type(fault).__name__}: {fault}",
            hint="A primitive of a plug-in must compute with jax what it computes with numpy; "
            "where there is none, please report this program.",
        ) from fault
    return source


def _small_model(program: Program) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of a matrix and, where the program takes it, a vector."""
    shapes = {"matrix": (3, 2), "vector": (2,)}
    if program.matrix_statement is not None and program.fallback is None:
        del shapes["vector"]
    return {name: jax.ShapeDtypeStruct(shape, "float32") for name, shape in shapes.items()}


def _step_of(make: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return the first step of an optimizer at parameters which are their own gradients."""

    def step(params: Any) -> Any:
        optimizer = make()
        given = {"value": 1.0, "hvp": lambda x: x, "gnvp": lambda x: x}
        return optimizer.update(params, optimizer.init(params), params, **given)

    return step


@dataclass(frozen=True)
class OptaxFunctions:
    """The functions of an exported file, ready to be called.

    optimizer: makes the whole optimizer. `optimizer(learning_rate, ...)` takes a number or a
    schedule of Optax, and by name the hyperparameters of the program, with its values as defaults;
    so `optimizer()` is the program as it stands, at the peak of its schedule.
    scale_by: makes what stands before the learning rate in `optax.chain`, like Optax's own
    `scale_by_adam`. A rule that reads the learning rate itself gives what is added to the
    parameters, and nothing follows it.
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
    name = program.name if name is None else name
    source = to_optax_source(program, name=name)
    functions = vars(_imported(source, name))
    return OptaxFunctions(
        name,
        functions[name],
        functions[f"scale_by_{name}"],
        functions.get(f"{name}_eval_params"),
        source,
    )


@lru_cache(256)
def _imported(source: str, name: str) -> ModuleType:
    """Import an exported file from its text; the same text is imported once."""
    digest = hashlib.blake2b(source.encode(), digest_size=8).hexdigest()
    module = f"pride_exported_{name}_{digest}"
    return import_text(source, module, f"<{module}>")
